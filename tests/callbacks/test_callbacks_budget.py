"""A budget ends a run after the step in which it is spent, says so, and does it again when resumed."""

from __future__ import annotations

import pytest
import torch
from training import ADAM, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import EvaluationBudget, RunSummary
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other

ROWS = 3 * 21  # of a full batch in `small_data`


def fit(budget, phases, batch_size=None, summary_first=False):
    summary = RunSummary()
    module = small_module(phases=phases)
    trainer = quiet_trainer(callbacks=[summary, budget] if summary_first else [budget, summary])
    trainer.fit(module, small_data(module.problem, batch_size=batch_size))
    return summary.result, module, trainer


def two_phases():
    return [Phase(ADAM, steps=5), Phase(QUASI_NEWTON, steps=50)]


@pytest.mark.parametrize("summary_first", [False, True])
@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (EvaluationBudget(evaluations=12), StopReason.BUDGET),
        (EvaluationBudget(points_seen=11 * ROWS + 1), StopReason.POINTS),
    ],
    ids=["evaluations", "points"],
)
def test_the_step_in_which_the_budget_is_spent_is_the_last(budget, reason, summary_first):
    result, module, trainer = fit(budget, two_phases(), summary_first=summary_first)
    last = result["phases"][-1]
    assert [record["stopped"] for record in result["phases"]] == [StopReason.STEPS.value, reason.value]
    assert result["decisions"][-1]["event"] == "stop"
    # An L-BFGS step of three iterations takes three evaluations, or some more.
    assert 12 <= result["evaluations"] <= 12 + 10
    assert result["points_seen"] == ROWS * result["evaluations"]
    # The record has the last step as well.
    assert last["steps"] == trainer.global_step - 5
    assert last["evaluations"] == module.evaluations - 5
    assert last["loss"] == module.current_loss()
    assert phases_of(trainer).finished


def test_points_are_counted_by_mini_batches():
    _, module, trainer = fit(EvaluationBudget(points_seen=61), [Phase(ADAM, steps=50)], batch_size=5)
    assert trainer.global_step == 5  # 15 rows each
    assert module.points_seen == 75


def test_a_budget_that_is_not_spent_changes_nothing():
    result, _, trainer = fit(EvaluationBudget(evaluations=1000), [Phase(ADAM, steps=6)])
    assert trainer.global_step == 6
    assert result["phases"][-1]["stopped"] == StopReason.STEPS.value


def test_a_run_that_ends_by_itself_as_its_budget_is_spent_keeps_its_own_reason():
    result, _, _ = fit(EvaluationBudget(evaluations=6), [Phase(ADAM, steps=6)])
    assert result["phases"][-1]["stopped"] == StopReason.STEPS.value
    assert [decision["event"] for decision in result["decisions"]] == ["stop"]


@pytest.mark.parametrize("budget", [{"evaluations": 14}, {"points_seen": 14 * ROWS}], ids=str)
def test_a_resumed_run_stops_where_the_whole_one_did(tmp_path, budget):
    callbacks = lambda: [EvaluationBudget(**budget)]  # noqa: E731
    whole, trainer, module, _ = full_run(tmp_path / "whole", every=1, callbacks=callbacks())
    steps = trainer.global_step
    assert 8 < steps < 14
    paths = list((tmp_path / "whole").glob("*.ckpt"))
    assert len(paths) == steps  # the last one among them: resumed from there, no step is made
    for path in paths:
        again, trainer_again, resumed, _ = full_run(tmp_path / "again", path, every=100, callbacks=callbacks())
        assert trainer_again.global_step == steps, path.name
        assert (resumed.evaluations, resumed.points_seen) == (module.evaluations, module.points_seen)
        assert phases_of(trainer_again).records[-1].stopped == phases_of(trainer).records[-1].stopped
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step])


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "either evaluations or points_seen"),
        ({"evaluations": 5, "points_seen": 5}, "either evaluations or points_seen"),
        ({"evaluations": 0}, r"EvaluationBudget\.evaluations"),
        ({"points_seen": -1}, r"EvaluationBudget\.points_seen"),
    ],
)
def test_bad_budgets_are_refused(options, key):
    with pytest.raises(ConfigurationError, match=key):
        EvaluationBudget(**options)
