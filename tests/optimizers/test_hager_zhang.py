from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from line_functions import MORE_THUENTE, ONE, along, wiggly
from scipy import optimize

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import SearchStatus
from pinnlab.optimizers.hager_zhang import HagerZhang


def search(function, step=1.0, **options):
    """The result and the steps tried."""
    evaluate, loss, gradient = along(function)
    result = HagerZhang(**options).search(evaluate, ONE, loss, gradient, step)
    assert result.evaluations == len(evaluate.steps)
    return result, evaluate.steps


def conditions(loss, slope, start_loss, start_slope, step, delta=0.1, sigma=0.9, epsilon=1e-6):
    """T1 and T2 of the paper."""
    wolfe = loss - start_loss <= delta * step * start_slope and slope >= sigma * start_slope
    approximate = (2 * delta - 1) * start_slope >= slope >= sigma * start_slope
    return wolfe, approximate and loss <= start_loss + epsilon * abs(start_loss)


def assert_accepted(result, function, **options):
    """The values are those of the point, and the status names the conditions that hold there."""
    _, loss, gradient = along(function)
    _, loss_there, gradient_there = along(lambda t: function(t + result.step))
    assert (result.loss, float(result.gradient)) == (loss_there, float(gradient_there))
    wolfe, approximate = conditions(loss_there, float(gradient_there), loss, float(gradient), result.step, **options)
    if wolfe:
        assert result.status is SearchStatus.WOLFE
    else:
        assert approximate
        assert result.status is SearchStatus.APPROXIMATE_WOLFE


@pytest.mark.parametrize("step", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("table", MORE_THUENTE)
def test_more_thuente(table, step):
    function, delta, sigma = MORE_THUENTE[table]
    result, _ = search(function, step, delta=delta, sigma=sigma)
    assert_accepted(result, function, delta=delta, sigma=sigma)
    # When secant steps are no use, as from 1e3 where f' grows like t^4, two trials halve the interval.
    # Otherwise 13, the most that the tables of Moré & Thuente show.
    assert result.evaluations <= max(13, 1 + 2 * math.ceil(math.log2(step / result.step)))


def test_expansion_by_rho_until_the_slope_has_risen():
    # B3. f'(25) = -1950 is still steeper than 0.9 f'(0) = -1800, f'(125) = -1750 is not.
    _, steps = search(lambda t: (t - 1000) ** 2)
    assert steps == [1, 5, 25, 125]
    _, steps = search(lambda t: (t - 1000) ** 2, rho=3.0)
    assert steps == [1, 3, 9, 27, 81, 243]


def test_secant_step_is_exact_for_a_quadratic():
    result, steps = search(lambda t: (t - 3) ** 2, 50.0)
    assert steps == pytest.approx([50, 3], rel=1e-14)
    assert result.loss == pytest.approx(0, abs=1e-25)


def test_second_secant_step_from_the_upper_end():
    # S2. f' = 1 - 2 exp(-t) is concave: the first secant step lands beyond the minimum.
    def slope(t):
        return 1 - 2 * math.exp(-t)

    first = 1.2 / (1 + slope(1.2))
    second = first - slope(first) * (1.2 - first) / (slope(1.2) - slope(first))
    _, steps = search(lambda t: t + 2 * torch.exp(-t), 1.2, delta=0.45, sigma=0.45)
    assert steps == pytest.approx([1.2, first, second], rel=1e-12)


def test_second_secant_step_from_the_lower_end():
    # S3. f' = exp(t) - 2 is convex: the first secant step falls short of the minimum.
    first = 1.1 / (math.exp(1.1) - 1)
    second = first / (math.exp(first) - 1)
    _, steps = search(lambda t: torch.exp(t) - 2 * t, 1.1, delta=0.2, sigma=0.2)
    assert steps == pytest.approx([1.1, first, second], rel=1e-12)


def test_bisection_where_secant_steps_are_slow():
    # L2. f' = t^3 - 1: from [0, 3] the secant step is 1/9, the second one would leave the interval.
    _, steps = search(lambda t: t**4 / 4 - t, 3.0)
    assert steps[:3] == pytest.approx([3, 1 / 9, 14 / 9], rel=1e-12)
    _, steps = search(lambda t: t**4 / 4 - t, 3.0, gamma=0.99)
    assert steps[2] != pytest.approx(14 / 9)


def test_a_trial_beyond_a_maximum_divides_the_interval():
    # U3. At 1 the function is high and falls again; the minimum lies before it.
    def function(t):
        return 3 * t - torch.sin(2 * math.pi * t)

    low, high = 3 - 2 * math.pi, 3 + 2 * math.pi
    _, steps = search(function)
    assert steps[:3] == pytest.approx([1, 0.5, -0.5 * low / (high - low)], rel=1e-12)
    _, steps = search(function, theta=0.4)
    assert steps[1] == 0.4


def test_a_decrease_that_is_small_for_the_first_slope_is_approximate():
    # f falls steeply at 0 and is flat from 0.3 on: nearly all of the possible decrease, yet less than T1 asks for.
    def function(t):
        return torch.exp(-10 * t) / 10 + t**2 / 200

    result, steps = search(function, delta=0.2)
    assert (result.status, steps) == (SearchStatus.APPROXIMATE_WOLFE, [1.0])
    assert_accepted(result, function, delta=0.2)


@pytest.mark.parametrize("seed", range(30))
def test_random_polynomials(seed):
    generator = np.random.default_rng(seed)
    coefficients = generator.normal(size=6)
    step = float(10 ** generator.uniform(-3, 3))

    def function(t):
        return sum(c * t ** (k + 1) for k, c in enumerate(coefficients)) - abs(coefficients[0]) * 2 * t + t**8

    result, _ = search(function, step)
    assert_accepted(result, function)


def test_agrees_with_scipy():
    """Where SciPy's strong Wolfe search takes the first trial, so must this one; elsewhere both find a step."""
    first = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        rows, x = generator.normal(size=(20, 5)), generator.normal(size=5)

        def loss(x, rows=rows):
            return np.logaddexp(0, rows @ x).sum() + 0.5 * x @ x

        def gradient(x, rows=rows):
            return rows.T @ (1 / (1 + np.exp(-(rows @ x)))) + x

        direction = -gradient(x) * 10 ** generator.uniform(-3, 1)

        def evaluate(step, x=x, direction=direction, loss=loss, gradient=gradient):
            point = x + step * direction
            return float(loss(point)), torch.from_numpy(gradient(point))

        result = HagerZhang().search(evaluate, torch.from_numpy(direction), *evaluate(0.0))
        theirs = optimize.line_search(loss, gradient, x, direction, c1=0.1, c2=0.9, amax=1e3)[0]
        assert theirs is not None
        slope, slope_there = gradient(x) @ direction, gradient(x + result.step * direction) @ direction
        assert result.status.moved
        assert any(conditions(loss(x + result.step * direction), slope_there, loss(x), slope, result.step))
        if theirs == 1.0:
            assert (result.step, result.evaluations) == (1.0, 1)
            first += 1
    assert 5 < first < 35  # both cases occur


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_slopes_decide_where_the_loss_is_flat(dtype, sign):
    # Apart from one unit in the last place the loss is constant, so that only slopes lead from 50 to 3.
    # Without care the unit passes for the decrease that T1 asks for.
    eps = torch.finfo(dtype).eps

    def evaluate(step):
        slope = torch.tensor([0.02 * eps * (step - 3)], dtype=dtype)
        return torch.tensor(1 + (sign * eps if step > 0 else 0), dtype=dtype), slope

    loss, gradient = evaluate(0.0)
    result = HagerZhang().search(evaluate, ONE.to(dtype), float(loss), gradient, 50.0)
    assert result.status is SearchStatus.APPROXIMATE_WOLFE
    assert (result.step, result.evaluations) == (pytest.approx(3, rel=1e-6), 2)


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_round_off_does_not_mislead(seed):
    # A quadratic whose whole fall, 1e-16, drowns in noise of 1e-13.
    generator = np.random.default_rng(seed)

    def evaluate(step):
        noise = 1e-13 * generator.normal() if step > 0 else 0.0
        return 1 + 1e-16 * (step - 1) ** 2 + noise, torch.tensor([2e-16 * (step - 1)], dtype=torch.float64)

    first = float(10 ** generator.uniform(-1, 1))
    result = HagerZhang().search(evaluate, ONE, *evaluate(0.0), first)
    assert result.status is SearchStatus.APPROXIMATE_WOLFE
    assert 0.1 <= result.step <= 1.8  # where f' lies between 0.9 f'(0) and -0.8 f'(0)


@pytest.mark.parametrize("budget", range(1, 12))
def test_no_more_than_the_budget_and_the_best_of_the_trials(budget):
    # With delta = sigma = 1e-3, hard to satisfy; the first trial is far off.
    evaluate, loss, gradient = along(wiggly)
    losses = []

    def recorded(step):
        value, slope = evaluate(step)
        losses.append(float(value))
        return value, slope

    rule = HagerZhang(delta=1e-3, sigma=1e-3, max_evaluations=budget)
    result = rule.search(recorded, ONE, loss, gradient, 1e3)
    assert result.evaluations == len(losses) <= budget
    if not result.status.moved:
        assert (result.step, result.loss) == (0.0, loss)
        assert min(losses) >= loss
    if result.status is SearchStatus.DECREASE:
        assert result.loss == min(losses) < loss


def test_the_best_trial_is_not_always_the_last():
    # The slope never rises, so the step grows; the second of three trials is the lowest.
    losses = {1.0: -3.0, 5.0: -5.0, 25.0: -2.0}
    result = HagerZhang(max_evaluations=3).search(lambda step: (losses[step], -ONE), ONE, 0.0, -ONE)
    assert (result.status, result.evaluations) == (SearchStatus.DECREASE, 3)
    assert (result.step, result.loss) == (5.0, -5.0)


def test_expansion_into_a_region_that_is_not_finite_goes_back_half_way():
    steps = []

    def evaluate(step):
        steps.append(step)
        return (-step if step <= 4 else math.nan), -ONE

    HagerZhang(max_evaluations=5).search(evaluate, ONE, 0.0, -ONE)
    assert steps == [1, 5, 3, 4, 4.5]


def test_nothing_between_the_ends_ends_the_search():
    # No number lies between 0 and the smallest one, where the loss has already risen.
    result = HagerZhang().search(lambda step: (1.0, ONE), ONE, 0.0, -ONE, 5e-324)
    assert (result.status, result.evaluations) == (SearchStatus.NO_DECREASE, 1)


def test_the_edge_of_a_region_that_is_not_finite_ends_the_search():
    # f falls, at a constant slope, up to an edge: no Wolfe point exists, the interval shrinks to round-off.
    def evaluate(step):
        return (-step if step <= 2 else math.nan), -ONE

    result = HagerZhang(max_evaluations=200).search(evaluate, ONE, 0.0, -ONE, 1.0)
    assert result.status is SearchStatus.DECREASE
    assert result.step == pytest.approx(2, rel=1e-14)
    assert result.evaluations < 60


def test_a_hole_inside_the_interval_is_too_far():
    # Finite at 0 and at the first trial, but not where the secant step leads.
    def evaluate(step):
        loss = math.inf if 1 < step < 3 else (step - 0.4) ** 2
        return loss, torch.tensor([2 * (step - 0.4) if step < 1 else 0.3], dtype=torch.float64)

    result = HagerZhang().search(evaluate, ONE, *evaluate(0.0), 5.0)
    assert result.status is SearchStatus.WOLFE
    assert 0 < result.step < 0.8


@pytest.mark.parametrize("step", [1e-320, 1e300])
def test_extreme_first_trials_end(step):
    evaluate, loss, gradient = along(lambda t: (t - 1) ** 2)
    result = HagerZhang(max_evaluations=2000).search(evaluate, ONE, loss, gradient, step)
    assert result.status.moved
    assert 0 < result.step < 2


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"delta": 0.0}, "delta"),
        ({"delta": 0.5}, "delta"),
        ({"delta": 0.4, "sigma": 0.3}, "sigma"),
        ({"sigma": 1.0}, "sigma"),
        ({"epsilon": -1e-6}, "epsilon"),
        ({"theta": 0.0}, "theta"),
        ({"gamma": 1.0}, "gamma"),
        ({"rho": 1.0}, "rho"),
        ({"rho": math.inf}, "rho"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"epsilon": math.nan}, "epsilon"),
    ],
)
def test_options_are_checked(options, key):
    with pytest.raises(ConfigurationError, match=f"^{key}"):
        HagerZhang(**options)
