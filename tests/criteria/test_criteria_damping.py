from __future__ import annotations

import math

import pytest
from watching import decided

from pinnlab.criteria import DampingMinimum, Progress
from pinnlab.criteria.series import passed_minimum
from pinnlab.errors import ConfigurationError


def steps(*dampings):
    return [Progress(k, k, 1.0, damping=damping) for k, damping in enumerate(dampings, 1)]


def valley(bottom, length=300):
    """A damping that falls to a step, and then rises."""
    return [10.0 ** (abs(k - bottom) / 20 - 12) for k in range(1, length + 1)]


def test_passed_minimum():
    assert passed_minimum([1.1**k for k in range(30)]) == pytest.approx(1.0)
    assert passed_minimum([0.9**k for k in range(30)]) == 0.0
    assert passed_minimum([1e-9] * 30) == 0.0
    assert passed_minimum([1.00001**k for k in range(30)]) == 0.0  # up, but by next to nothing


@pytest.mark.parametrize("bottom", [100, 150])
def test_ends_when_the_damping_rises(bottom):
    found = decided(DampingMinimum(window=30), steps(*valley(bottom)))
    assert bottom + 10 < found <= bottom + 25


def test_minimum_steps_come_first():
    assert decided(DampingMinimum(window=9, minimum_steps=200), steps(*valley(20))) == 200


def test_an_optimizer_without_damping_is_refused():
    with pytest.raises(ConfigurationError, match="DampingMinimum needs an optimizer with a damping"):
        decided(DampingMinimum(), [Progress(1, 1, 1.0)])


def test_dampings_that_say_nothing_are_left_out():
    assert decided(DampingMinimum(), steps(*[math.inf] * 200)) is None
