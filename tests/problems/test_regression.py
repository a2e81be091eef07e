"""The sum of sines: its values, and its measurements with noise."""

import math

import pytest
import torch

from pinnlab.problems import Regression1D
from pinnlab.problems.conditions import Dirichlet

PLACES = torch.linspace(-1, 1, 400, dtype=torch.float64)


def measured(**options):
    return Regression1D(frequencies=[1, 4], amplitudes=[2.0, 0.5], count=400, **options).conditions["data"]


def test_measurements_are_the_sum_and_the_noise_of_the_seed():
    quiet = measured()
    exact = 2 * torch.sin(math.pi * PLACES) + 0.5 * torch.sin(4 * math.pi * PLACES)
    assert torch.equal(quiet.fixed_points(), PLACES[:, None])
    torch.testing.assert_close(quiet.targets["u"], exact, rtol=0, atol=1e-14)
    assert float((measured(noise=0.2).targets["u"] - exact).std()) == pytest.approx(0.2, rel=0.1)
    assert torch.equal(measured(noise=0.2, seed=3).targets["u"], measured(noise=0.2, seed=3).targets["u"])
    assert not torch.equal(measured(noise=0.2, seed=3).targets["u"], measured(noise=0.2, seed=4).targets["u"])


def test_errors_are_against_the_sum_without_noise():
    noisy, quiet = (Regression1D(noise=noise, count=50) for noise in (0.5, 0.0))
    assert torch.equal(noisy.reference_values(PLACES[:, None]), quiet.reference_values(PLACES[:, None]))


def test_values_are_exact_without_measurements():
    assert isinstance(Regression1D().conditions["data"], Dirichlet)
