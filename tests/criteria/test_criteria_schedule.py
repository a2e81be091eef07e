"""Criteria that count steps and seconds."""

import math

import numpy as np
import pytest
from watching import decided, progress

from pinnlab.criteria import FixedSteps, TimeBudget
from pinnlab.errors import ConfigurationError


def test_fixed_steps():
    criterion = FixedSteps(7)
    assert criterion.reason == "fixed steps: 0 of 7 steps made"
    assert decided(criterion, progress(np.ones(20))) == 7
    assert criterion.reason == "fixed steps: 7 of 7 steps made"
    assert criterion.value == 7


def test_time_budget():
    criterion = TimeBudget(0.125)
    assert decided(criterion, progress(np.ones(20))) == 13
    assert criterion.reason == "time budget: 0.13 of 0.125 seconds spent"
    assert criterion.value == pytest.approx(0.13)


def test_they_wait_for_a_finite_loss():
    values = [1.0] * 4 + [math.nan] * 4 + [1.0]
    assert decided(FixedSteps(6), progress(values)) == 9
    assert decided(TimeBudget(0.06), progress(values)) == 9


@pytest.mark.parametrize(
    ("build", "key"),
    [(lambda: FixedSteps(0), "steps"), (lambda: TimeBudget(0.0), "seconds"), (lambda: TimeBudget(math.nan), "seconds")],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
