"""Choices by score against independent computations."""

import numpy as np
import pytest
import torch

from pinnlab.samplers.adaptive import (
    GATE_END,
    GATE_START,
    above_mean,
    advanced,
    capped,
    causal_gate,
    density,
    draw_by_weight,
    largest,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(count=200):
    return torch.rand(count, generator=generator(5), dtype=torch.float64)


@pytest.mark.parametrize(("k", "c"), [(1.0, 1.0), (2.0, 0.0), (0.5, 0.1)])
def test_density_is_that_of_the_paper(k, c):
    r = scores().numpy()
    expected = r**k / np.mean(r**k) + c
    assert density(-torch.from_numpy(r), k, c).numpy() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_density_does_not_depend_on_the_scale(scale):
    assert torch.allclose(density(scale * scores(), 6.0, 0.0), density(scores(), 6.0, 0.0), rtol=1e-12)


@pytest.mark.parametrize("cap", [1.5, 3.0, 10.0])
def test_no_density_exceeds_the_cap_and_the_others_stay(cap):
    weights = 1 / scores() ** 1.5  # a singular corner: few of them hold nearly all
    found = density(weights, 1.0, 0.0, cap)
    assert float(found.max() / found.mean()) == pytest.approx(cap, rel=1e-12)
    below = found < found.max()
    assert torch.equal(found[below], density(weights, 1.0, 0.0)[below])
    assert (density(weights, 1.0, 0.0)[~below] >= found.max()).all()


def test_a_cap_that_is_not_reached_changes_nothing():
    weights = 1 + scores()
    assert torch.equal(capped(weights, 2.5), weights)


def test_where_too_few_weigh_anything_they_weigh_alike():
    weights = torch.zeros(100, dtype=torch.float64)
    weights[:5] = torch.arange(1.0, 6.0, dtype=torch.float64)
    assert torch.equal(capped(weights, 10.0), (weights > 0).double())
    assert torch.equal(capped(torch.zeros(7, dtype=torch.float64), 2.0), torch.zeros(7, dtype=torch.float64))


def test_draws_are_in_proportion_to_the_weights():
    weights = torch.tensor([1.0, 0.0, 3.0, 6.0], dtype=torch.float64)
    drawn = torch.cat([draw_by_weight(weights, 1, generator(seed)) for seed in range(4000)])
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    # The standard deviation of a share is at most 0.008.
    assert (shares - weights / 10).abs().max() < 0.03
    assert shares[1] == 0


def test_draws_are_different_rows_and_depend_on_the_generator_only():
    drawn = draw_by_weight(scores(), 150, generator(1))
    assert len(drawn.unique()) == 150
    assert torch.equal(drawn, draw_by_weight(scores(), 150, generator(1)))
    assert not torch.equal(drawn, draw_by_weight(scores(), 150, generator(2)))


def test_without_any_weight_all_rows_are_alike():
    drawn = torch.cat([draw_by_weight(torch.zeros(5), 2, generator(seed)) for seed in range(500)])
    assert (torch.bincount(drawn, minlength=5) > 150).all()


def test_largest_scores_first_and_of_equal_ones_the_first():
    assert largest(scores(), 7).tolist() == np.argsort(-scores().numpy())[:7].tolist()
    assert largest(torch.tensor([1.0, 2.0, 2.0, 0.0, 2.0]), 3).tolist() == [1, 2, 4]


def test_retained_are_those_above_the_mean():
    r = scores().numpy()
    assert above_mean(torch.from_numpy(r)).tolist() == np.flatnonzero(r > r.mean()).tolist()
    for count in range(1, 40):  # the mean of 3, 9 or 11 times 0.7 is rounded to below 0.7
        assert above_mean(torch.full((count,), 0.7, dtype=torch.float64)).tolist() == []


def test_gate_is_a_logistic_curve_around_its_position():
    time = torch.linspace(0, 1, 11, dtype=torch.float64)
    gate = causal_gate(time, 0.3, 5.0)
    assert gate.numpy() == pytest.approx(1 / (1 + np.exp(10 * (time.numpy() - 0.3))), rel=1e-12)
    assert gate[3] == pytest.approx(0.5)
    assert causal_gate(time, GATE_START, 5.0).max() < 0.01
    assert causal_gate(time, GATE_END, 5.0).min() > 0.99


def test_gate_moves_when_the_residual_behind_it_is_small():
    assert advanced(0.2, 0.0, 20.0, 0.01) == pytest.approx(0.21)
    assert advanced(0.2, 0.05, 20.0, 0.01) == pytest.approx(0.2 + 0.01 * np.exp(-1))
    assert advanced(0.2, 100.0, 20.0, 0.01) == pytest.approx(0.2)
    assert advanced(1.49, 0.0, 20.0, 1.0) == GATE_END
