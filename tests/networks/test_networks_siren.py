from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pinnlab.errors import ConfigurationError
from pinnlab.networks import SIREN


@pytest.mark.parametrize("hidden_frequency", [1.0, 30.0])
def test_agrees_with_its_formula(hidden_frequency: float):
    torch.manual_seed(0)
    network = SIREN(2, 1, hidden=[6, 4], first_frequency=7.0, hidden_frequency=hidden_frequency).double()
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    h = np.sin(7 * (x @ weights[0].T + weights[1]))
    h = np.sin(hidden_frequency * (h @ weights[2].T + weights[3]))
    expected = h @ weights[4].T + weights[5]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_trained_frequencies_are_those_given_at_the_start():
    options = {"hidden": [6, 4], "first_frequency": 7.0, "hidden_frequency": 2.0}
    x = torch.rand(5, 2, dtype=torch.float64)
    torch.manual_seed(0)
    fixed = SIREN(2, 1, **options).double()
    torch.manual_seed(0)
    trained = SIREN(2, 1, trained_frequencies=True, **options).double()
    torch.testing.assert_close(trained(x), fixed(x), rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        trained.log_frequencies.copy_(torch.tensor([3.0, 0.5]).log())
    h = torch.sin(3.0 * trained.hidden[0](x))
    expected = trained.last(torch.sin(0.5 * trained.hidden[1](h)))
    torch.testing.assert_close(trained(x), expected, rtol=1e-6, atol=1e-6)


def test_orthogonal_start():
    network = SIREN(2, 1, hidden=[8, 8], start="orthogonal")
    torch.testing.assert_close(network.hidden[0].weight.T @ network.hidden[0].weight, torch.eye(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(network.hidden[1].weight.T @ network.hidden[1].weight, torch.eye(8), atol=1e-5, rtol=0)
    assert not network.hidden[0].bias.any()


def test_unknown_start_is_refused():
    with pytest.raises(ConfigurationError, match=r"unknown start 'orthogonl'.*did you mean 'orthogonal'"):
        SIREN(2, 1, start="orthogonl")


@pytest.mark.parametrize("hidden_frequency", [1.0, 30.0])
def test_weights_are_uniform_with_the_bounds_of_the_paper(hidden_frequency: float):
    torch.manual_seed(0)
    network = SIREN(3, 200, hidden=[400, 400], hidden_frequency=hidden_frequency)
    later = math.sqrt(6 / 400) / hidden_frequency
    for layer, bound in zip([*network.hidden, network.last], [1 / 3, later, later], strict=True):
        uniform = layer.weight.detach().flatten().numpy() / bound
        assert stats.kstest(uniform, stats.uniform(-1, 2).cdf).statistic < 0.04
        assert np.abs(uniform).max() <= 1 + 1e-6


@pytest.mark.parametrize("hidden_frequency", [1.0, 30.0])
def test_activations_keep_their_distribution_at_any_depth(hidden_frequency: float):
    """The arguments are normal, N(0, s^2), and the variance of their sines is (1 - exp(-2 s^2)) / 2."""
    torch.manual_seed(0)
    width, depth = 512, 6
    network = SIREN(1, 1, hidden=[width] * depth, first_frequency=30.0, hidden_frequency=hidden_frequency)
    x = torch.rand(400, 1) * 2 - 1
    h = torch.sin(30 * network.hidden[0](x)).detach()
    # The first layer's phases cover many periods: its sines follow the arcsine law, of variance 1/2.
    assert stats.kstest(h.flatten().numpy(), stats.arcsine(-1, 2).cdf).statistic < 0.05
    variance = 0.5
    for layer in network.hidden[1:]:
        argument = (hidden_frequency * layer(h)).detach()
        h = torch.sin(argument)
        spread = 2 * variance + hidden_frequency**2 / (3 * width)  # of weights, and of biases
        variance = (1 - math.exp(-2 * spread)) / 2
        assert argument.var().item() == pytest.approx(spread, rel=0.15)
        assert h.var().item() == pytest.approx(variance, rel=0.1)
        assert h.mean().abs() < 4 * math.sqrt(variance / width)
    standardised = (argument / argument.std()).flatten().numpy()
    assert stats.kstest(standardised, stats.norm.cdf).statistic < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "hidden must list at least one layer width"),
        ({"first_frequency": 0.0}, "first_frequency: must be positive"),
        ({"hidden_frequency": -1.0}, "hidden_frequency: must be positive"),
        ({"outputs": 0}, "outputs must be a positive integer"),
    ],
)
def test_bad_options_are_named(options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        SIREN(**{"inputs": 2, "outputs": 1, **options})
