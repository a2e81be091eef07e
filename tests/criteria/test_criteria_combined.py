"""Criteria made of criteria."""

import itertools

import numpy as np
import pytest
from watching import decided, progress

from pinnlab.criteria import All, Any, AtLeast, FixedSteps, LossPlateau, RelativeImprovement, TimeBudget, TrialStep
from pinnlab.errors import ConfigurationError


def test_any_ends_with_the_first_and_names_it():
    criterion = Any([FixedSteps(30), LossPlateau(window=20, tolerance=1e-2), TimeBudget(0.4)])
    assert criterion.reason.count(" or ") == 2
    assert decided(criterion, progress(np.ones(100))) == 29
    assert criterion.reason.startswith("loss plateau")
    assert criterion.value == 0.0
    both = Any([FixedSteps(30), TimeBudget(0.3)])
    assert decided(both, progress(np.ones(100))) == 30
    assert both.reason == "fixed steps: 30 of 30 steps made"
    assert both.value == 30


def test_all_ends_with_the_last_and_names_all():
    criterion = All([FixedSteps(30), LossPlateau(window=20, tolerance=1e-2)])
    assert decided(criterion, progress(np.ones(100))) == 30
    assert criterion.reason == (
        "fixed steps: 30 of 30 steps made and loss plateau: relative improvement 0 < 0.01 over 20 steps"
    )
    assert criterion.value == 30


def test_all_has_to_agree_at_the_same_step():
    # The loss falls in steps 50 to 100: there the plateau of step 29 on is over before 60 steps are made.
    losses = np.exp(-np.clip(np.arange(200) - 50, 0, 50))
    assert decided(LossPlateau(window=20, tolerance=1e-2), progress(losses)) == 29
    assert decided(All([FixedSteps(60), LossPlateau(window=20, tolerance=1e-2)]), progress(losses)) > 100


@pytest.mark.parametrize("kind", [Any, All])
def test_every_member_sees_every_step(kind):
    members = [FixedSteps(500), RelativeImprovement(patience=50), LossPlateau(window=20, tolerance=1e-2)]
    alone = [FixedSteps(500), RelativeImprovement(patience=50), LossPlateau(window=20, tolerance=1e-2)]
    together = kind(members)
    for record in itertools.islice(progress(np.ones(100)), 40):
        together.update(record)
        for criterion in alone:
            criterion.update(record)
    assert together.state_dict()["members"] == [criterion.state_dict() for criterion in alone]


def test_at_least_looks_on_but_does_not_decide():
    assert decided(AtLeast(25, LossPlateau(window=20, tolerance=1e-2)), progress(np.ones(100))) == 29
    criterion = AtLeast(40, LossPlateau(window=20, tolerance=1e-2))
    assert decided(criterion, progress(np.ones(100))) == 40
    assert criterion.reason == "loss plateau: relative improvement 0 < 0.01 over 20 steps"
    assert criterion.value == 0.0


def test_they_nest():
    criterion = All([AtLeast(35, Any([FixedSteps(10), LossPlateau()])), FixedSteps(33)])
    assert decided(criterion, progress(np.ones(100))) == 35
    again = All([AtLeast(35, Any([FixedSteps(10), LossPlateau()])), FixedSteps(33)])
    again.load_state_dict(criterion.state_dict())
    assert again.state_dict() == criterion.state_dict()
    criterion.reset()
    assert decided(criterion, progress(np.ones(100))) == 35


@pytest.mark.parametrize("name", ["Any", "All", "AtLeast"])
def test_a_trial_belongs_outside(name):
    build = {"Any": lambda m: Any([m]), "All": lambda m: All([FixedSteps(3), m]), "AtLeast": lambda m: AtLeast(3, m)}
    with pytest.raises(ConfigurationError, match=rf"{name}: .* put it outside: TrialStep\(propose={name}\("):
        build[name](TrialStep())
    assert build[name](FixedSteps(4)).trial is None


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Any([]), "Any.criteria"),
        (lambda: All([]), "All.criteria"),
        (lambda: AtLeast(0, FixedSteps(1)), "steps"),
    ],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
