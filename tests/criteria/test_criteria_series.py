"""What criteria measure, against numpy and by hand."""

import math

import numpy as np
import pytest
import torch

from pinnlab.criteria import alignment, drift, flatness, log_change, plateau, signal_to_noise, spread
from pinnlab.criteria.series import held_for


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([4.0, 2.0], 0.5),
        ([4.0, 9.0, 2.0], 0.5),
        ([1.0, 1.0, 50.0, 1.0, 1.0, 1.0], 0.0),
        ([2.0, 2.0, 3.0, 3.0], -0.5),
        ([-1.0, -2.0], 1.0),
        ([0.0, 0.0], 0.0),
        ([0.0, 1.0], -math.inf),
    ],
)
def test_plateau_values(losses, expected):
    assert plateau(losses) == pytest.approx(expected)


def test_drift_and_spread_values():
    assert drift([1.0, 1.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert drift([2.0, 2.0, 1.0, 1.0]) == pytest.approx(1.0)
    assert drift([0.0, 1.0]) == math.inf
    assert drift([0.0, 0.0]) == 0.0
    values = np.exp(np.random.default_rng(1).normal(size=501))
    low, high = np.quantile(values, [0.25, 0.75])
    assert spread(values.tolist()) == pytest.approx(high / low - 1, rel=0.05)


@pytest.mark.parametrize("length", [2, 7, 200])
def test_flatness_and_change_against_numpy(length):
    losses = np.exp(np.random.default_rng(2).normal(size=length))
    low, high = np.quantile(losses, [0.05, 0.95])
    assert flatness(losses.tolist()) == pytest.approx((high - low) / high)
    slope = np.polyfit(np.arange(length), np.log(losses), 1)[0]
    assert log_change(losses.tolist()) == pytest.approx(slope * length)


def test_flatness_and_change_of_special_series():
    assert (flatness([3.0] * 9), log_change([3.0] * 9)) == (0.0, pytest.approx(0.0, abs=1e-14))
    assert (flatness([0.0] * 9), log_change([0.0] * 9)) == (0.0, pytest.approx(0.0, abs=1e-10))
    assert flatness([-3.0, -1.0] * 20) == pytest.approx(2 / 3)  # an energy
    assert flatness([-1.0, 1.0] * 20) == 2.0
    halved = np.exp2(-np.arange(200) / 200).tolist()
    assert log_change(halved) == pytest.approx(-math.log(2))


@pytest.mark.parametrize("k", [2, 3, 8])
def test_alignment_of_orthogonal_and_of_equal_gradients(k):
    scales = torch.arange(1.0, k + 1)[:, None]
    assert alignment(scales * torch.eye(k, 10)) == pytest.approx(2 / k - 1)
    assert alignment(scales * torch.ones(k, 10)) == pytest.approx(1.0)


def test_alignment_of_two_is_their_cosine_and_of_zeros_nothing():
    generator = torch.Generator().manual_seed(0)
    pair = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    cosine = float(torch.nn.functional.cosine_similarity(pair[0], pair[1], dim=0))
    assert alignment(pair) == pytest.approx(cosine)
    assert alignment(torch.cat([pair, torch.zeros(1, 5)])) == pytest.approx(cosine)
    assert alignment(torch.stack([pair[0], -3 * pair[0]])) == pytest.approx(-1.0)
    assert alignment(pair[:1]) == alignment(torch.zeros(3, 5)) == 1.0
    assert math.isnan(alignment(torch.tensor([[1.0, math.nan], [1.0, 0.0]])))


def test_signal_to_noise_against_numpy():
    rows = np.random.default_rng(3).normal(1.0, 2.0, (8, 5))
    noise = math.sqrt(np.mean([np.sum((row - rows.mean(0)) ** 2) for row in rows]))
    assert signal_to_noise(torch.tensor(rows)) == pytest.approx(np.linalg.norm(rows.mean(0)) / noise)
    assert signal_to_noise(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == 0.0
    assert signal_to_noise(torch.ones(3, 2)) == math.inf
    assert math.isnan(signal_to_noise(torch.zeros(3, 2)))


def test_held_for_counts_steps_with_both_ends():
    held = 0
    for measured in [False, True, True, True]:
        held = held_for(held, 10, measured)
    assert held == 21
    assert held_for(held, 10, False) == 0
    assert held_for(5, 1, True) == 6
