"""A linear layer on all channels in one call, as on a GPU: what the same layer gives channel by channel."""

import pytest
import torch
from test_rules import WANTED, X
from torch import nn
from torch.nn import functional as F

from pinnlab.derivatives import Wanted, partials
from pinnlab.derivatives.patterns import at_once, scale_map, whole

ASKED = {
    "first": Wanted(frozenset({(1,)})),
    "heat": Wanted(frozenset({(0, 0), (1,)})),
    "Laplacian": Wanted(laplacians=frozenset({(0, 1)})),
    "many": WANTED,
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4)).double()


def between(network, wanted):
    """The jets behind the first layer and behind its activation."""
    seen = []

    def function(x):
        seen.append(network[0](x))
        seen.append(network[1](seen[0]))
        return network[2](seen[1])

    partials(function, X, wanted)
    return seen


def channels(jet):
    return [jet.value, jet.first, *(channel for channel in jet.higher.values() if channel is not None)]


@pytest.mark.parametrize("name", ASKED)
def test_values_and_gradients_are_those_of_single_calls(name, network):
    _, jet = between(network, ASKED[name])
    weight = network[2].weight
    results = []
    for product in (at_once(lambda t: F.linear(t, weight), jet), scale_map(lambda t: F.linear(t, weight), jet)):
        assert product.higher.keys() == jet.higher.keys()
        own = channels(product)
        loss = sum((k + 1) * channel.square().sum() for k, channel in enumerate(own))
        results.append([*own, *torch.autograd.grad(loss, [weight, network[0].weight], retain_graph=True)])
    for found, expected in zip(*results, strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_channels_that_do_not_vary_are_left_to_single_calls(network):
    jet, _ = between(network, ASKED["heat"])
    assert at_once(lambda t: F.linear(t, network[2].weight), whole(jet)) is None
