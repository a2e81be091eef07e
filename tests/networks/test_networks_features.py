"""Random features: their formula, and what is trained of them."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pinnlab.errors import ConfigurationError
from pinnlab.networks import PeriodicFeatures, RandomFeatures


def test_agrees_with_its_formula():
    torch.manual_seed(0)
    network = RandomFeatures(2, 3, count=7, scale=4.0).double()
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    sines = np.sin(4 * x @ network.directions.numpy().T + network.phases.numpy()) / math.sqrt(7)
    last = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    expected = sines @ last["last.weight"].T + last["last.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-13)
    assert set(last) == {"last.weight", "last.bias"}


def test_directions_are_normal_and_phases_uniform():
    torch.manual_seed(0)
    network = RandomFeatures(2, 1, count=3000)
    assert stats.kstest(network.directions.flatten().numpy(), stats.norm.cdf).statistic < 0.03
    assert stats.kstest(network.phases.numpy(), stats.uniform(0, 2 * math.pi).cdf).statistic < 0.03


def test_another_scale_keeps_the_directions_and_goes_into_the_state():
    torch.manual_seed(0)
    first, directions = RandomFeatures(2, 1, count=7, scale=2.0), None
    directions = first.directions.clone()
    first.rescale(9.0)
    assert torch.equal(first.directions, directions)
    torch.manual_seed(0)
    same = RandomFeatures(2, 1, count=7, scale=9.0)
    x = torch.rand(4, 2)
    assert torch.equal(first(x), same(x))
    other = RandomFeatures(2, 1, count=7)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(x), first(x))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_scale_must_be_positive(scale):
    with pytest.raises(ConfigurationError, match=r"^scale: must be"):
        RandomFeatures(1, 1).rescale(scale)


def test_periodic_features_agree_with_their_formula():
    torch.manual_seed(0)
    network = PeriodicFeatures(2, 3, column=1, waves=4, each=3, scale=0.5).double()
    torch.nn.init.normal_(network.last.weight)
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    numbers = np.repeat(np.arange(5), 3)
    angles = np.outer(x[:, 0], network.directions[:, 0]) + math.pi * np.outer(x[:, 1], numbers) + network.phases.numpy()
    last = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    expected = np.sin(angles) @ last["last.weight"].T / math.sqrt(15) + last["last.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-13)
    assert set(last) == {"last.weight", "last.bias"}


@torch.no_grad()
def test_periodic_features_are_periodic_and_begin_with_a_constant():
    torch.manual_seed(0)
    network = PeriodicFeatures(2, 1, waves=30, each=2).double()
    x = torch.rand(6, 2, dtype=torch.float64)
    assert torch.equal(network(x), network.last.bias.expand(6, 1))
    torch.nn.init.normal_(network.last.weight)
    later = x + torch.tensor([2.0, 0.0], dtype=torch.float64)  # the width of the scaled domain
    torch.testing.assert_close(network(later), network(x), rtol=0, atol=1e-12)
    assert float((network(x.flip(1)) - network(x)).abs().max()) > 0.1
