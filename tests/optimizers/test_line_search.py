from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from line_functions import MORE_THUENTE, ONE, along, wiggly

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import SearchStatus, StrongWolfe
from pinnlab.optimizers.hager_zhang import HagerZhang

both = pytest.mark.parametrize("rule", [StrongWolfe, HagerZhang])
"""What every line search must do; `test_hager_zhang.py` has what only that one does."""


def search(function, step=1.0, rule=StrongWolfe, **options):
    evaluate, loss, gradient = along(function)
    result = rule(**options).search(evaluate, ONE, loss, gradient, step)
    assert result.evaluations == len(evaluate.steps)
    return result


@pytest.mark.parametrize("step", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("table", MORE_THUENTE)
def test_strong_wolfe_on_more_thuente(table, step):
    function, c1, c2 = MORE_THUENTE[table]
    result = search(function, step, c1=c1, c2=c2)
    assert result.status is SearchStatus.WOLFE
    assert result.evaluations <= 13  # the most that the tables of the paper show
    _, loss, gradient = along(function)
    _, loss_there, gradient_there = along(lambda t: function(t + result.step))
    assert loss_there <= loss + c1 * result.step * float(gradient)
    assert abs(float(gradient_there)) <= c2 * abs(float(gradient))
    assert (result.loss, float(result.gradient)) == (loss_there, float(gradient_there))


@both
def test_good_first_trial_costs_one_evaluation(rule):
    result = search(lambda t: (t - 1) ** 2, rule=rule)
    assert (result.step, result.evaluations, result.loss) == (1.0, 1, 0.0)


@pytest.mark.parametrize("scale", [1e-14, 1e-12, 1e-10])
@pytest.mark.parametrize(("rule", "key"), [(StrongWolfe, "c2"), (HagerZhang, "sigma")])
def test_round_off_is_decided_by_slopes(scale, rule, key):
    # The loss is constant to the last digits, so only the slope can lead towards the minimum at 3.
    result = search(lambda t: 1 + scale * (t - 3) ** 2, 50.0, rule, **{key: 0.1})
    assert result.status in (SearchStatus.WOLFE, SearchStatus.APPROXIMATE_WOLFE)
    assert result.step == pytest.approx(3, abs=0.31)
    assert result.loss <= 1 + 9 * scale


@pytest.mark.parametrize(("rule", "key"), [(StrongWolfe, "round_off"), (HagerZhang, "epsilon")])
def test_noise_above_the_decrease_is_accepted_approximately(rule, key):
    # f falls by 1e-9 towards 1, but its evaluation adds noise of 1e-8 away from the start.
    def evaluate(step):
        noise = 0.0 if step == 0 else 1e-8
        gradient = torch.tensor([2e-9 * (step - 1)], dtype=torch.float64)
        return 1 + 1e-9 * (step - 1) ** 2 + noise, gradient

    loss, gradient = evaluate(0.0)
    result = rule().search(evaluate, ONE, loss, gradient, 1.0)
    assert result.status is SearchStatus.APPROXIMATE_WOLFE
    strict = rule(**{key: 0.0}).search(evaluate, ONE, loss, gradient, 1.0)
    assert strict.status is SearchStatus.NO_DECREASE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("edge", [2.0, 1e-2, 1e-8])
@both
def test_a_region_that_is_not_finite_is_too_far(bad, edge, rule):
    # The minimum lies close below the edge beyond which nothing is finite.
    def evaluate(step):
        inside = step < edge
        loss = (step / edge - 0.9) ** 2 if inside else bad
        return loss, torch.tensor([2 * (step / edge - 0.9) / edge if inside else bad], dtype=torch.float64)

    result = rule().search(evaluate, ONE, *evaluate(0.0), 10.0)
    assert result.status is SearchStatus.WOLFE
    assert 0 < result.step < edge


@both
def test_nan_in_the_gradient_alone_is_not_finite(rule):
    def evaluate(step):
        slope = 2 * (step - 0.5) if step < 0.8 else math.nan
        return (step - 0.5) ** 2, torch.tensor([slope], dtype=torch.float64)

    result = rule().search(evaluate, ONE, *evaluate(0.0), 1.0)
    assert result.status is SearchStatus.WOLFE
    assert result.step < 0.8


@pytest.mark.parametrize("slope", [0.0, 1.0])
@both
def test_not_a_descent_direction(slope, rule):
    result = search(lambda t: slope * t, rule=rule)
    assert result.status is SearchStatus.NOT_DESCENT
    assert (result.step, result.evaluations) == (0.0, 0)
    assert not result.status.moved


@both
def test_start_that_is_not_finite(rule):
    result = search(lambda t: t * math.nan, rule=rule)
    assert (result.status, result.evaluations) == (SearchStatus.NOT_FINITE, 0)


@both
def test_nowhere_finite(rule):
    result = rule().search(lambda step: (math.nan, -ONE), ONE, 0.0, -ONE)
    assert (result.status, result.evaluations, result.step) == (SearchStatus.NOT_FINITE, 25, 0.0)


@both
def test_spent_budget_returns_the_best_decrease(rule):
    # Unbounded below: no Wolfe point exists, so the farthest trial is the best.
    result = search(lambda t: -t, rule=rule, max_evaluations=6)
    assert (result.status, result.evaluations) == (SearchStatus.DECREASE, 6)
    assert result.loss == -result.step < -1


@both
def test_wrong_gradient_gives_no_decrease_and_leaves_the_start(rule):
    # The gradient promises descent, the loss only rises.
    def evaluate(step):
        return step, -ONE

    result = rule().search(evaluate, ONE, 0.0, -ONE)
    assert result.status is SearchStatus.NO_DECREASE
    assert (result.step, result.loss) == (0.0, 0.0)


@both
def test_scaling_the_loss_changes_nothing(rule):
    plain = search(wiggly, 10.0, rule)
    scaled = search(lambda t: 2.0**40 * wiggly(t), 10.0, rule)
    assert (plain.step, plain.evaluations) == (scaled.step, scaled.evaluations)


@pytest.mark.parametrize("seed", range(30))
def test_random_polynomials(seed):
    generator = np.random.default_rng(seed)
    coefficients = generator.normal(size=6)
    step = float(10 ** generator.uniform(-3, 3))

    def function(t):
        return sum(c * t ** (k + 1) for k, c in enumerate(coefficients)) - abs(coefficients[0]) * 2 * t + t**8

    result = search(function, step)
    _, loss, gradient = along(function)
    assert result.status is SearchStatus.WOLFE
    assert result.loss <= loss + 1e-4 * result.step * float(gradient)
    assert abs(float(result.gradient)) <= 0.9 * abs(float(gradient))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"c1": 0.0}, "c1"),
        ({"c1": 0.5, "c2": 0.4}, "c1, c2"),
        ({"c2": 1.0}, "c2"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"round_off": -1e-6}, "round_off"),
    ],
)
def test_options_are_checked(options, key):
    with pytest.raises(ConfigurationError, match=key):
        StrongWolfe(**options)
