"""Moves a run from phase to phase."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import lightning as L

from pinnlab.criteria import TrialRule
from pinnlab.errors import NotFiniteError, StopReason
from pinnlab.numerics import distributed
from pinnlab.numerics.precision import exact_products
from pinnlab.optimizers.requirements import has_stalled
from pinnlab.training.checkpoints import checked_phase, described_phase
from pinnlab.training.faults import check_parameters, check_targets, keep_checkpoints, raise_unless_recovered
from pinnlab.training.history import Decision, PhaseRecord, RunHistory
from pinnlab.training.optimizer_swap import fit_points, install
from pinnlab.training.optimizer_trial import Snapshot, check_trials, probe
from pinnlab.training.phase_end import asked_for_more, criterion_met, cut_short, ended_by, phase_is_over
from pinnlab.training.phases import check_phases, draw_points, enter, use_width
from pinnlab.training.quiet import quiet
from pinnlab.training.trainer_parts import callbacks_of, tell


class OptimizerPhases(L.Callback):
    """Moves a module from phase to phase; the module adds this callback itself.

    Decides after every step whether the phase is over: its steps are made, its criterion is met, or its
    optimizer stalled. A `TrialStep` has the next phase's optimizer tried first. All ranks decide alike. The last
    phase's end ends the training.

    A callback with a method `before_switch(trainer, pl_module)` is told before a run leaves a phase, or tries to; one
    with a method `after_switch(trainer, pl_module)` once it is in the next phase, before that takes its points.

    Attributes:
        history: what each phase did, and all decisions about the course of the run, those of `Rollback` included.
        finished: whether the last phase is over.
        hold_until: how many steps the present phase has to make before it may be left again: after a return from the
            phase behind it.
    """

    def __init__(self) -> None:
        self._start_over()
        self._settings = ExitStack()  # of torch and of warnings, for the time of the run

    def _start_over(self) -> None:
        self.history = RunHistory()
        self.finished, self.hold_until = False, 0

    @property
    def records(self) -> list[PhaseRecord]:
        """What each phase did; the last one is still running."""
        return self.history.records

    @property
    def decisions(self) -> list[Decision]:
        """All decisions, in order."""
        return self.history.decisions

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the phases against the trainer and starts with the first; a checkpoint overrides that later."""
        self._settings.enter_context(quiet())
        if stage != "fit":
            return
        check_phases(trainer, pl_module)
        check_trials(pl_module)
        check_targets(pl_module)
        pl_module.start_over()
        self._settings.enter_context(exact_products())
        enter(pl_module, 0)
        draw_points(pl_module)
        self._start_over()
        self.history.first_step = max(trainer.global_step, pl_module.counted_before.steps)
        self.history.open(pl_module)
        for phase in pl_module.phases:
            if phase.until is not None:
                phase.until.reset()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Starts the clock; a run that was resumed after its end stops at once, a phase that has all its steps ends."""
        self.history.start_watch(trainer, pl_module)
        fit_points(trainer, pl_module)
        if not self.finished:
            self.history.reopen()
            # A callback may save a step, the phase's last one, before this one has looked at it.
            if self._over(pl_module, met=False) == StopReason.STEPS.value:
                self._leave(trainer, pl_module, StopReason.STEPS.value, None)
        elif asked_for_more(self.history, pl_module):
            over, self.finished = phase_is_over(self.history, pl_module), False
            reason = self.history.reopen()
            if over:
                self._leave(trainer, pl_module, reason, None)
        else:
            pl_module.print("the run was over already; to go on, give its last phase more steps, or another phase")
        trainer.should_stop = trainer.should_stop or self.finished

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step, and moves on when the phase is over."""
        if self.finished:
            return
        self.history.count(trainer, pl_module)
        raise_unless_recovered(pl_module)
        if self.history.present.steps == 0:
            return  # the run came back to this phase a moment ago
        phase = pl_module.phases[pl_module.phase]
        met = criterion_met(self.history.present, pl_module)
        reason = self._over(pl_module, met)
        if distributed.any_rank(reason is not None, pl_module.device):
            value = phase.until.value if phase.until is not None and reason == phase.until.reason else None
            self._leave(trainer, pl_module, reason or StopReason.CRITERION.value, value)
            return
        trial = None if phase.until is None else phase.until.trial
        if trial is not None and distributed.any_rank(met and not self._held(), pl_module.device):
            self._try_next(trainer, pl_module, trial)

    def go_back(
        self, trainer: L.Trainer, pl_module: Any, phase: int, least: int, reason: str, value: float | None
    ) -> None:
        """Gives up the present phase and resumes an earlier one, for at least as many steps as it has made so far.

        The caller restores weights, points and the optimizer's state afterwards.

        Args:
            trainer: of the run.
            pl_module: the `PINN`.
            phase: the earlier phase.
            least: steps to make there in any case.
            reason: what went wrong.
            value: the number that this rests on.
        """
        self.history.present.stopped = StopReason.ROLLED_BACK.value
        self.history.decide(trainer, pl_module, "back", reason, value)
        self._begin(trainer, pl_module, phase)
        self.hold_until = (made := self.history.steps_made()) + max(made, least)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Sees to it that the run leaves parameters that are finite; says so when the trainer cut it short."""
        check_parameters(pl_module)
        self.history.outside = ended_by(trainer)
        if not self.finished and (line := cut_short(trainer, pl_module)) is not None:
            pl_module.print(line)

    def stop(self, trainer: L.Trainer, reason: StopReason, evidence: str = "") -> None:
        """Ends the training for a reason that is not a phase's own; the evidence for it goes into the decision."""
        self._finish(trainer, trainer.lightning_module, reason.value, evidence=evidence)

    def _finish(
        self, trainer: L.Trainer, pl_module: Any, reason: str, value: float | None = None, evidence: str = ""
    ) -> None:
        self.history.present.stopped = reason
        self.history.decide(trainer, pl_module, "stop", f"{reason}: {evidence}" if evidence else reason, value)
        self.finished = True
        trainer.should_stop = True

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Outside of training the whole network is used, as other weights may be loaded, and torch as it was set."""
        self._settings.close()
        use_width(pl_module, None)
        pl_module.objective.close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Notes that the run did not end by itself."""
        self.teardown(trainer, pl_module, "fit")
        keep_checkpoints(trainer, pl_module, exception)
        if self.records and not self.finished:
            lost = isinstance(exception, NotFiniteError)
            self.history.present.stopped = (StopReason.NOT_FINITE if lost else StopReason.INTERRUPTED).value

    def summary(self) -> list[dict[str, Any]]:
        """The records as primitives, when training is over; says so where not a phase's own rule ended it."""
        if self.records and self.history.present.stopped == StopReason.RUNNING.value:
            self.history.present.stopped = self.history.outside.value
        return [asdict(record) for record in self.records]

    def state_dict(self) -> dict[str, Any]:
        """Records, decisions and the rest that later decisions depend on; primitives only."""
        return {**self.history.state_dict(), "finished": self.finished, "hold_until": self.hold_until}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self.history.load_state_dict(state_dict)
        self.finished, self.hold_until = state_dict["finished"], state_dict["hold_until"]

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the phase's number and its criterion's memory; a callback before this one may save an uncounted step."""
        pl_module.trainer = trainer  # it may have met another one since, with other data or none
        self.history.count(trainer, pl_module)
        if "callbacks" in checkpoint:
            checkpoint["callbacks"][self.state_key] = self.state_dict()
        checkpoint["pinnlab_phase"] = described_phase(pl_module)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Goes to the checkpoint's phase, before Lightning restores the optimizer; only training has phases."""
        if not trainer.training:
            return
        saved = checked_phase(checkpoint, pl_module)
        phase = pl_module.phases[saved["number"]]
        enter(pl_module, saved["number"])
        if phase.until is not None and saved["until"] is not None:
            phase.until.load_state_dict(saved["until"])
        if trainer.strategy.optimizers:  # strategies that restore after their optimizers were built
            install(trainer, pl_module, pl_module.phase)

    def _leave(self, trainer: L.Trainer, pl_module: Any, reason: str, value: float | None) -> None:
        """On to the next phase, or to the end."""
        if pl_module.phase + 1 == len(pl_module.phases):
            self._finish(trainer, pl_module, reason, value)
            return
        tell("before_switch", trainer, pl_module)
        self.history.present.stopped = reason
        self.history.decide(trainer, pl_module, "switch", reason, value)
        self._begin(trainer, pl_module, pl_module.phase + 1)
        tell("after_switch", trainer, pl_module)

    def _begin(self, trainer: L.Trainer, pl_module: Any, phase: int) -> None:
        install(trainer, pl_module, phase)
        self._open_record(pl_module)

    def _open_record(self, pl_module: Any) -> None:
        """The module's phase begins: for its record, its criterion and the waiting time."""
        self.history.open(pl_module)
        self.hold_until = 0
        until = pl_module.phases[pl_module.phase].until
        if until is not None:
            until.reset()

    def _try_next(self, trainer: L.Trainer, pl_module: Any, trial: TrialRule) -> None:
        """Tries the next phase's optimizer; goes on from there, or as if nothing had been."""
        tell("before_switch", trainer, pl_module)
        present, snapshot = pl_module.phase, Snapshot(trainer, pl_module)
        install(trainer, pl_module, present + 1)
        outcome = probe(trainer, pl_module, trial.evaluations)
        if not trial.judge(outcome.before, outcome.after, outcome.evaluations):
            install(trainer, pl_module, present)
            snapshot.restore(trainer, pl_module)
            self.history.present.evaluations += outcome.evaluations
            self.history.decide(trainer, pl_module, "trial undone", trial.reason, trial.value)
            return
        self.history.present.stopped = trial.reason
        self.history.decide(trainer, pl_module, "trial kept", trial.reason, trial.value)
        self._open_record(pl_module)
        record, steps = self.history.present, pl_module.phases[pl_module.phase].steps
        record.steps, record.evaluations, record.loss = outcome.steps, outcome.evaluations, outcome.after
        tell("after_switch", trainer, pl_module)
        if steps is not None and steps <= outcome.steps:
            self._leave(trainer, pl_module, StopReason.STEPS.value, None)

    def _over(self, module: Any, met: bool) -> str | None:
        """Why the phase is over, or None."""
        phase = module.phases[module.phase]
        if has_stalled(module.current_optimizer()):
            return StopReason.STALLED.value  # also while it is held: it would only stall again
        if self._held():
            return None
        if phase.until is not None and phase.until.trial is None and met:
            return phase.until.reason
        if phase.steps is not None and self.history.steps_made() >= phase.steps:
            return StopReason.STEPS.value
        return None

    def _held(self) -> bool:
        return self.history.steps_made() < self.hold_until


def phases_of(trainer: L.Trainer) -> OptimizerPhases:
    """The callback that moves a trainer's module from phase to phase."""
    return next(iter(callbacks_of(trainer, OptimizerPhases)))
