"""The rule that takes the longest step with a given gain ratio, on functions and on a tiny least-squares problem."""

import math

import pytest
import torch
from least_squares import DenseLinearization, LeastSquares, quadratic, rosenbrock, vector

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import GaussNewton, LevenbergMarquardt, TargetRatio, TargetRatioGaussNewton
from pinnlab.optimizers.step_rules import Candidate, Trials
from pinnlab.optimizers.target_ratio import longest


class Scripted(Trials):
    """Trials whose gain ratio and loss are functions of the length."""

    def __init__(self, ratio, loss):
        self.loss, self._ratio, self._loss, self.asked = 1.0, ratio, loss, []

    def of_lengths(self, lengths):
        self.asked.append(list(lengths))
        return [Candidate(torch.tensor([x]), 1.0, self._loss(x), 1 / x, self._ratio(x)) for x in lengths]

    def damped(self, damping):
        raise AssertionError

    def gain_ratio(self, candidate):
        raise AssertionError

    def forget_momentum(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([0.9, 0.8, 0.7], 2),  # all reach it
        ([0.4, 0.8, 0.7], 0),  # the first does not: what comes later does not count
        ([0.9, 0.5, 0.1], 1),
        ([0.9, 0.1, 0.8], 0),
        ([0.8, math.nan, 0.8], 0),
        ([0.8, 0.8, math.inf], 1),
    ],
)
def test_longest(ratios, expected):
    assert longest(ratios, 0.5) == expected


def test_takes_the_longest_step_with_the_target():
    rule = TargetRatio(target=0.5, late=0.5, probes=9, window=10.0)
    memory, trials = rule.initial(), Scripted(lambda x: 1 - math.log10(10 * x) / 2 + 1e-9, lambda x: 0.5)
    found = rule.find(memory, trials)
    assert float(found.step) == pytest.approx(1.0)
    assert found.length == 1.0
    assert memory["radius"] == pytest.approx(1.0)
    assert trials.asked[0] == pytest.approx([10 ** (k / 4 - 1) for k in range(9)])


def test_lengths_shrink_until_the_loss_falls():
    rule = TargetRatio(window=3.0)
    memory, trials = rule.initial(), Scripted(lambda x: -1.0, lambda x: 0.9 if x < 0.02 else 1.1)
    found = rule.find(memory, trials)
    assert float(found.step) == pytest.approx(3.0**-4)
    assert memory["radius"] == pytest.approx(3.0**-4)


def test_gives_up_below_the_smallest_length():
    rule = TargetRatio(smallest=1e-3)
    assert rule.find(rule.initial(), Scripted(lambda x: 0.0, lambda x: 1.0)) is None


def test_later_target_once_the_damping_rises():
    rule = TargetRatio(patience=40)
    memory, falling = rule.initial(), [10.0 ** (-k / 10) for k in range(60)]
    for damping in falling:
        rule._look_back(memory, damping)
    assert not memory["late"]
    for damping in reversed(falling[40:]):
        rule._look_back(memory, damping)
    assert memory["late"]
    assert len(memory["dampings"]) == 30


def test_patience_comes_first():
    rule = TargetRatio(patience=50)
    memory = rule.initial()
    for k in range(51):
        assert not memory["late"]
        rule._look_back(memory, 10.0 ** (k / 10))
    assert memory["late"]


def test_solves_rosenbrock_to_the_last_bit():
    problem = LeastSquares(rosenbrock, [vector([-1.2, 1.0])], TargetRatioGaussNewton)
    problem.step(60)
    assert problem.loss().item() < 1e-28


def test_reaches_what_a_squared_condition_number_forbids():
    """Residuals with a condition number of 1e10: J'J says nothing of the last directions."""
    losses = {}
    for name, build in (("qr", TargetRatioGaussNewton), ("primal", lambda p: LevenbergMarquardt(p, form="primal"))):
        problem = LeastSquares(quadratic(1e20), [vector([0.0] * 20)], build)
        problem.step(60)
        losses[name] = (problem.flat() - 1).norm().item()
    assert losses["qr"] < 1e-4
    assert losses["primal"] > 1e-2


def test_stalls_at_the_minimum():
    problem = LeastSquares(rosenbrock, [vector([1.0, 1.0])], TargetRatioGaussNewton)
    problem.step()
    assert problem.optimizer.status is StopReason.STALLED


def test_counts_its_probes():
    rule = TargetRatio(probes=7)
    problem = LeastSquares(rosenbrock, [vector([-1.2, 1.0])], lambda p: TargetRatioGaussNewton(p, damping=rule))
    problem.step()
    assert problem.optimizer.evaluations == 8  # the gradient and seven probes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, "target"),
        ({"target": 0.6}, "target <= late"),
        ({"late": 1.0}, "late < 1"),
        ({"probes": 1}, "probes: must be at least 2"),
        ({"probes": 2.5}, "probes"),
        ({"window": 1.0}, "window"),
        ({"patience": 3}, "patience: must be at least 30"),
        ({"smallest": 2.0}, "smallest < initial"),
        ({"initial": math.inf}, "initial"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigurationError, match=message):
        TargetRatio(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "primal"}, "form: TargetRatio needs singular values; use form: qr"),
        ({"form": "dual"}, "form: qr"),
        ({"momentum": 0.5}, "momentum: TargetRatio"),
        ({"row_scaling": True}, "row_scaling: TargetRatio"),
        ({"sketch": 0.5}, "sketch: must be 0 or at least 1"),
        ({"sketch": math.inf}, "sketch"),
    ],
)
def test_what_does_not_go_together(options, message):
    with pytest.raises(ConfigurationError, match=message):
        GaussNewton([vector([1.0])], damping=TargetRatio(), **options)


def test_sketch_needs_rows():
    with pytest.raises(ConfigurationError, match="use form: qr"):
        GaussNewton([vector([1.0])], sketch=2.0, form="dual")


def test_sketched_steps_lower_the_whole_loss():
    residual = quadratic(100.0)
    tall = lambda x: torch.cat([residual(x)] * 20) / 20**0.5  # noqa: E731
    problem = LeastSquares(tall, [vector([0.0] * 20)], lambda p: TargetRatioGaussNewton(p, sketch=3.0))
    assert DenseLinearization(tall, problem.flat().detach()).triangle(60).shape == (21, 21)
    problem.step(30)
    assert problem.loss().item() < 1e-8
