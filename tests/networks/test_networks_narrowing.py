"""A narrowed network is the network of the same kind that is built narrow."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, FourierFeatures, ModifiedMLP, Narrowable, PirateNet, ScaledInput
from pinnlab.networks.narrowing import narrowed_inside

FOURIER = partial(FourierFeatures, features=5)


def scaled(inputs, outputs, hidden):
    return ScaledInput(MLP(inputs, outputs, hidden=hidden), [-1.5] * inputs, [2.5] * inputs)


KINDS = {
    "mlp": MLP,
    "mlp-factorised": partial(MLP, factorised=True),
    "mlp-fourier": partial(MLP, embedding=FOURIER),
    "modified-mlp": ModifiedMLP,
    "modified-mlp-factorised": partial(ModifiedMLP, factorised=True, embedding=FOURIER),
    "siren": partial(SIREN, hidden_frequency=3.0),
    "scaled": scaled,
}


def build(kind, hidden):
    torch.manual_seed(0)
    network = KINDS[kind](2, 3, hidden=hidden).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def tensors(network):
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


POINTS = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("width", [1, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_a_network_that_is_built_narrow(kind, width):
    wide, small = build(kind, [8, 8]), build(kind, [width, width])
    slices = wide.narrowed(tensors(wide), width)
    small.load_state_dict(slices, strict=False)  # refuses other shapes; buffers that are not saved need no copy
    assert set(slices) == set(tensors(small))
    expected = small(POINTS)
    assert torch.allclose(functional_call(wide, slices, (POINTS,)), expected, rtol=1e-14)
    assert (expected - wide(POINTS)).abs().max() > 0.01 or width == 8


def test_agrees_with_its_formula():
    wide = build("mlp", [8, 6])
    weights = [p.detach().numpy() for p in wide.parameters()]
    h = POINTS.numpy()
    h = np.tanh(h @ weights[0][:4].T + weights[1][:4])
    h = np.tanh(h @ weights[2][:4, :4].T + weights[3][:4])
    expected = h @ weights[4][:, :4].T + weights[5]
    values = functional_call(wide, wide.narrowed(tensors(wide), 4), (POINTS,))
    np.testing.assert_allclose(values.detach().numpy(), expected, rtol=1e-13)


def test_a_layer_that_has_no_more_neurons_keeps_all():
    wide, small = build("mlp", [8, 5]), build("mlp", [7, 5])
    shapes = {name: tensor.shape for name, tensor in wide.narrowed(tensors(wide), 7).items()}
    assert shapes == {name: tensor.shape for name, tensor in tensors(small).items()}


def test_some_tensors_are_narrowed_like_all():
    wide = build("scaled", [8, 8])
    some = {"network.hidden.1.weight": wide.network.hidden[1].weight}
    assert torch.equal(wide.narrowed(some, 3)["network.hidden.1.weight"], wide.network.hidden[1].weight[:3, :3])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_slices_and_nothing_else(kind):
    wide, small = build(kind, [8, 8]), build(kind, [4, 4])
    small.load_state_dict(wide.narrowed(tensors(wide), 4), strict=False)
    functional_call(wide, wide.narrowed(tensors(wide), 4), (POINTS,)).square().sum().backward()
    small(POINTS).square().sum().backward()
    inside = wide.narrowed({name: p.grad for name, p in wide.named_parameters()}, 4)
    for name, parameter in small.named_parameters():
        assert torch.allclose(inside[name], parameter.grad, rtol=1e-12, atol=1e-14), name
        inside[name].zero_()
    assert not any(p.grad.any() for p in wide.parameters())


@pytest.mark.parametrize("network", [PirateNet(2, 1), nn.Linear(2, 1)])
def test_other_networks_are_named_in_the_refusal(network):
    assert not isinstance(network, Narrowable)
    with pytest.raises(ConfigurationError, match=rf"{type(network).__name__} cannot be narrowed"):
        ScaledInput(network, [0, 0], [1, 1]).narrowed({}, 3)
    with pytest.raises(ConfigurationError, match="no method `narrowed`"):
        narrowed_inside(network, "network.", {}, 3)
