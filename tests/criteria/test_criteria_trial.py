"""When a trial of the next optimizer is due, and what becomes of it."""

import json
import math

import numpy as np
import pytest
from watching import decided, progress

from pinnlab.criteria import FixedSteps, LossPlateau, Progress, TrialStep
from pinnlab.errors import ConfigurationError

FALL = 1e-3
"""Fall of log(loss) per step in `falling`."""


def falling(start=1, evaluations=1, lost=0):
    """Steps of an optimizer with some evaluations each, after trials that cost some."""
    k = start
    while True:
        yield Progress(k, k * evaluations + lost, math.exp(-FALL * k))
        k += 1


def test_it_only_calls_for_a_trial():
    criterion = TrialStep()
    assert criterion.trial is criterion
    assert LossPlateau().trial is None


def test_the_first_trial_is_due_when_the_window_is_full_and_it_is_proposed():
    assert decided(TrialStep(window=20), falling()) == 20
    assert decided(TrialStep(window=20, propose=FixedSteps(50)), falling()) == 50
    assert decided(TrialStep(window=200, propose=LossPlateau(window=20, tolerance=1e-2)), progress(np.ones(300))) == 200


def test_a_proposal_stands_until_the_trial():
    # A plateau up to step 40, then the loss falls; the window of the trial is full only at step 60.
    losses = np.exp(-np.clip(np.arange(100) - 40, 0, None) / 5)
    assert decided(LossPlateau(window=20, tolerance=1e-2), list(progress(losses))[50:]) is None
    assert decided(TrialStep(window=60, propose=LossPlateau(window=20, tolerance=1e-2)), progress(losses)) == 60


@pytest.mark.parametrize("window", [20, 21])
@pytest.mark.parametrize("evaluations", [1, 3])
@pytest.mark.parametrize(("factor", "kept"), [(0.9, False), (1.1, True), (3.0, True), (-1.0, False)])
def test_a_trial_is_kept_when_it_is_faster_per_evaluation(window, evaluations, factor, kept):
    criterion = TrialStep(window=window)
    assert decided(criterion, falling(evaluations=evaluations)) == window
    rate = factor * FALL / evaluations
    assert criterion.judge(1.0, math.exp(-60 * rate), 60) is kept
    assert criterion.value == pytest.approx(factor)
    assert criterion.reason.startswith(f"trial step: {rate:.2g} against {FALL / evaluations:.2g} per evaluation, ")
    assert criterion.reason.endswith("kept" if kept else "undone")


def test_margin():
    criterion = TrialStep(window=20, margin=3.0)
    decided(criterion, falling())
    assert not criterion.judge(1.0, math.exp(-60 * 2.9 * FALL), 60)
    assert criterion.judge(1.0, math.exp(-60 * 3.1 * FALL), 60)


def test_where_the_present_optimizer_is_stuck_any_fall_counts_but_no_rise():
    for losses in (np.ones(30), np.exp(np.arange(30) / 10)):
        criterion = TrialStep(window=20)
        decided(criterion, progress(losses))
        assert criterion.judge(1.0, 0.999, 60)
        assert criterion.value is None
        assert not criterion.judge(1.0, 1.0, 60)
        assert not criterion.judge(1.0, 1.001, 60)


@pytest.mark.parametrize("after", [math.nan, math.inf, -math.inf])
def test_a_trial_that_ends_with_no_number_is_undone(after):
    criterion = TrialStep(window=20)
    decided(criterion, falling())
    assert not criterion.judge(1.0, after, 60)
    assert criterion.reason == "trial step: -inf against 0.001 per evaluation, undone"
    assert criterion.value is None
    assert not criterion.judge(math.nan, 1.0, 60)
    assert not criterion.judge(1.0, 0.1, 0)
    assert criterion.judge(1.0, 0.0, 60)


def test_after_an_undone_trial_the_next_one_waits_until_the_phase_is_twice_as_long():
    criterion = TrialStep(window=100, evaluations=60)
    assert decided(criterion, falling()) == 100
    assert not criterion.judge(1.0, 1.0, 70)
    # 200 evaluations, of which 70 are lost, are 130 steps.
    assert decided(criterion, falling(101, lost=70)) == 200 - 70
    assert not criterion.judge(1.0, 1.0, 62)
    assert decided(criterion, falling(131, lost=132)) == 400 - 132


def test_evaluations_lost_do_not_slow_the_present_optimizer_down():
    criterion = TrialStep(window=20, backoff=1.0)
    assert decided(criterion, falling()) == 20
    assert not criterion.judge(1.0, 1.0, 60)
    for record, _ in zip(falling(21, lost=60), range(10), strict=False):
        criterion.update(record)
    assert not criterion.judge(1.0, math.exp(-60 * 0.9 * FALL), 60)
    assert criterion.value == pytest.approx(0.9)


def test_after_an_undone_trial_it_has_to_be_proposed_anew():
    propose = LossPlateau(window=20, tolerance=1e-2)
    criterion = TrialStep(window=20, propose=propose, backoff=1.0)
    records = list(progress(np.ones(200)))
    assert decided(criterion, records) == 29
    assert not criterion.judge(1.0, 1.0, 60)
    assert propose.value is None
    assert decided(criterion, records[29:]) == 29 + 29


def test_a_kept_trial_leaves_the_proposal_alone():
    criterion = TrialStep(window=20)
    decided(criterion, falling())
    before = criterion.state_dict()
    assert criterion.judge(1.0, 0.1, 60)
    after = criterion.state_dict()
    assert {key for key in after if after[key] != before[key]} == {"value", "outcome"}


def test_a_loss_that_is_not_finite_starts_the_window_again_but_not_the_account():
    criterion = TrialStep(window=20, backoff=1.5)
    decided(criterion, falling())
    criterion.judge(1.0, 1.0, 60)
    assert decided(criterion, progress([1.0] * 19 + [math.nan] + [1.0] * 19)) is None
    assert criterion.state_dict()["lost"] == 60
    assert criterion.state_dict()["losses"] == [1.0] * 19


def test_state_survives_a_trial():
    first, second = (TrialStep(window=20, propose=FixedSteps(25)) for _ in range(2))
    decided(first, falling())
    first.judge(1.0, math.nan, 60)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.reason == first.reason
    assert decided(first, falling(26, lost=60)) == decided(second, falling(26, lost=60))


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: TrialStep(evaluations=0), "evaluations"),
        (lambda: TrialStep(margin=0.0), "margin"),
        (lambda: TrialStep(window=3), "window"),
        (lambda: TrialStep(backoff=0.9), "backoff"),
        (lambda: TrialStep(propose=TrialStep()), "propose"),
    ],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
