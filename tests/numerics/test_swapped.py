"""A module with other tensors in place of its own, compared with one that has no other names and shares nothing."""

import pytest
import torch
from cases import SharingNetwork
from torch import nn
from torch.nn.functional import linear

from pinnlab.numerics.swapped import call_with, places_of


class Plain(nn.Module):
    """`SharingNetwork`, with every tensor named once and used by hand."""

    def __init__(self, like):
        super().__init__()
        self.like = {name: tensor.detach().clone().requires_grad_() for name, tensor in like.named_parameters()}

    def forward(self, x):
        of = self.like
        frequency = of["layers.1.frequency"]
        h = torch.sin(frequency * linear(x, of["layers.0.weight"], of["layers.0.bias"]))
        h = torch.sin(frequency * linear(h, of["layers.2.weight"], of["layers.2.bias"]))
        h = torch.sin(frequency * linear(h, of["layers.2.weight"], of["layers.4.bias"]))
        return linear(h, of["layers.6.weight"], of["layers.6.bias"])


class TwoNames(nn.Module):
    """One parameter under two names, and one buffer."""

    def __init__(self):
        super().__init__()
        self.a = self.b = nn.Parameter(torch.ones(2))
        self.register_buffer("c", torch.ones(2))
        self.register_buffer("d", self.c)

    def forward(self, x):
        return self.a * x + self.b + self.c - 2 * self.d


@pytest.fixture
def network():
    return SharingNetwork(2, 1).double()


@pytest.fixture
def x():
    return torch.rand(7, 2, dtype=torch.float64)


def others(network):
    return {name: torch.rand_like(tensor).requires_grad_() for name, tensor in network.named_parameters()}


def test_other_tensors_stand_in_every_place(network, x):
    tensors = others(network)
    plain = Plain(network)
    plain.like = tensors
    torch.testing.assert_close(call_with(network, tensors, (x,)), plain(x), rtol=1e-14, atol=0)


def test_gradients_are_those_of_all_places(network, x):
    tensors, plain = others(network), Plain(network)
    plain.like = {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}
    found = torch.autograd.grad(call_with(network, tensors, (x,)).square().sum(), list(tensors.values()))
    wanted = torch.autograd.grad(plain(x).square().sum(), list(plain.like.values()))
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=0)


def test_the_module_is_left_as_it_was(network, x):
    before, places = network(x), dict(places_of(network))
    call_with(network, others(network), (x,))
    assert {name: id(tensor) for name, tensor in places_of(network)} == {n: id(t) for n, t in places.items()}
    assert all(isinstance(tensor, nn.Parameter) for tensor in places.values())
    assert torch.equal(network(x), before)


def test_what_is_not_given_stays(network, x):
    bias = network.layers[4].bias + 1.0
    plain = Plain(network)
    plain.like["layers.4.bias"] = bias
    torch.testing.assert_close(call_with(network, {"layers.4.bias": bias}, (x,)), plain(x), rtol=1e-14, atol=0)


def test_two_names_in_one_module():
    module = TwoNames()
    tensors = {"a": torch.full((2,), 3.0), "c": torch.full((2,), 5.0)}
    assert call_with(module, tensors, (torch.ones(2),)).tolist() == [1.0, 1.0]
    assert module.a is module.b
    assert module(torch.ones(2)).tolist() == [1.0, 1.0]


def test_places_are_those_of_modules_not_of_their_names(network):
    names = [name for name, _ in places_of(network)]
    assert names == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.frequency",
        "layers.2.weight",
        "layers.2.bias",
        "layers.4.weight",
        "layers.4.bias",
        "layers.6.weight",
        "layers.6.bias",
    ]
