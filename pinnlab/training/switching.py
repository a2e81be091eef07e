"""Moves a run from phase to phase."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import lightning as L
from torch.optim import Optimizer

from pinnlab.criteria import Progress, TrialRule
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.numerics import distributed
from pinnlab.reporting.loggers import board_of
from pinnlab.training.optimizer_swap import fit_points, install
from pinnlab.training.optimizer_trial import Snapshot, check_trials, probe
from pinnlab.training.phases import (
    Decision,
    Phase,
    PhaseRecord,
    check_phases,
    draw_points,
    enter,
    new_record,
    use_width,
)


class OptimizerPhases(L.Callback):
    """Moves a module from phase to phase; the module adds this callback itself.

    Decides after every step whether the phase is over: its steps are made, its criterion is met, or its
    optimizer stalled. A `TrialStep` has the next phase's optimizer tried first. All ranks decide alike. The last
    phase's end ends the training.

    A callback with a method `before_switch(trainer, pl_module)` is told before a run leaves a phase, or tries to; one
    with a method `after_switch(trainer, pl_module)` once it is in the next phase, before that takes its points.

    Attributes:
        records: what each phase did; the last one is still running.
        decisions: all decisions about the course of the run, those of `Rollback` included.
        finished: whether the last phase is over.
        hold_until: how many steps the present phase has to make before it may be left again: after a return from the
            phase behind it.
    """

    def __init__(self) -> None:
        self._watch = time.perf_counter()
        self._start_over()

    def _start_over(self) -> None:
        self.records: list[PhaseRecord] = []
        self.decisions: list[Decision] = []
        self.finished, self.hold_until = False, 0
        self._counted = 0

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the phases against the trainer and starts with the first; a checkpoint overrides that later."""
        if stage != "fit":
            return
        check_phases(trainer, pl_module)
        check_trials(trainer, pl_module)
        pl_module.start_over()
        enter(pl_module, 0)
        draw_points(pl_module)
        self._start_over()
        self.records.append(new_record(pl_module))
        for phase in pl_module.phases:
            if phase.until is not None:
                phase.until.reset()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Starts the clock; a run that was resumed after its end stops at once."""
        self._watch, self._counted = time.perf_counter(), trainer.global_step
        fit_points(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or self.finished

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step, and moves on when the phase is over."""
        if self.finished:
            return
        self._count(trainer, pl_module)
        if self.records[-1].steps == 0:
            return  # the run came back to this phase a moment ago
        phase = pl_module.phases[pl_module.phase]
        met = self._criterion_met(phase, self.records[-1], pl_module)
        reason = self._over(phase, met, trainer.optimizers[0])
        if distributed.any_rank(reason is not None, pl_module.device):
            value = phase.until.value if phase.until is not None and reason == phase.until.reason else None
            self._leave(trainer, pl_module, reason or StopReason.CRITERION.value, value)
            return
        trial = None if phase.until is None else phase.until.trial
        if trial is not None and distributed.any_rank(met and not self._held(), pl_module.device):
            self._try_next(trainer, pl_module, trial)

    def decide(self, trainer: L.Trainer, pl_module: Any, event: str, reason: str, value: float | None = None) -> None:
        """Records a decision about the phase of the last record, prints it, and hands it to TensorBoard.

        Args:
            trainer: of the run.
            pl_module: the `PINN`.
            event: what is done; see `Decision`.
            reason: why.
            value: the number that it rests on.
        """
        self._count(trainer, pl_module)
        record, step = self.records[-1], trainer.global_step
        self.decisions.append(Decision(step, pl_module.evaluations, record.phase, event, reason, value))
        line = f"phase {record.phase} ({record.optimizer}), {record.steps} steps, {event}: {reason}"
        trainer.print(line)
        if (board := board_of(trainer)) is not None:
            board.experiment.add_text("decisions", line, step)
            if value is not None:
                board.experiment.add_scalar("decisions/value", value, step)

    def go_back(
        self, trainer: L.Trainer, pl_module: Any, phase: int, least: int, reason: str, value: float | None = None
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
        self.records[-1].stopped = StopReason.ROLLED_BACK.value
        self.decide(trainer, pl_module, "back", reason, value)
        self._begin(trainer, pl_module, phase)
        made = self._steps_made()
        self.hold_until = made + max(made, least)

    def stop(self, trainer: L.Trainer, reason: StopReason) -> None:
        """Ends the training for a reason that is not a phase's own."""
        self._finish(trainer, trainer.lightning_module, reason.value)

    def _finish(self, trainer: L.Trainer, pl_module: Any, reason: str, value: float | None = None) -> None:
        self.records[-1].stopped = reason
        self.decide(trainer, pl_module, "stop", reason, value)
        self.finished = True
        trainer.should_stop = True

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Outside of training the whole network is used: other weights may be loaded then."""
        use_width(pl_module, None)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Notes that the run did not end by itself."""
        self.teardown(trainer, pl_module, "fit")
        if self.records and not self.finished:
            self.records[-1].stopped = StopReason.INTERRUPTED.value

    def summary(self) -> list[dict[str, Any]]:
        """The records as primitives, when training is over; says so where not a phase's own rule ended it."""
        if self.records and self.records[-1].stopped == StopReason.RUNNING.value:
            self.records[-1].stopped = StopReason.TRAINER.value
        return [asdict(record) for record in self.records]

    def state_dict(self) -> dict[str, Any]:
        """Records, decisions and the rest that later decisions depend on; primitives only."""
        return {
            "records": [asdict(record) for record in self.records],
            "decisions": [asdict(decision) for decision in self.decisions],
            "finished": self.finished,
            "hold_until": self.hold_until,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self.records = [PhaseRecord(**record) for record in state_dict["records"]]
        self.decisions = [Decision(**decision) for decision in state_dict["decisions"]]
        self.finished, self.hold_until = state_dict["finished"], state_dict["hold_until"]

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the phase's number and its criterion's memory."""
        phase = pl_module.phases[pl_module.phase]
        checkpoint["pinnlab_phase"] = {
            "number": pl_module.phase,
            "count": len(pl_module.phases),
            "until": None if phase.until is None else phase.until.state_dict(),
            "width": phase.width,
            "dtype": phase.dtype,
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Goes to the checkpoint's phase, before Lightning restores the optimizer; only training has phases."""
        if not trainer.training:
            return
        saved = checkpoint["pinnlab_phase"]
        if saved["count"] != len(pl_module.phases):
            raise ConfigurationError(
                f"ckpt_path: the checkpoint's run has {saved['count']} phases, this run {len(pl_module.phases)}"
            )
        phase = pl_module.phases[saved["number"]]
        for key in ("width", "dtype"):
            if saved.get(key) != getattr(phase, key):
                raise ConfigurationError(
                    f"ckpt_path: the checkpoint's phase {saved['number'] + 1} has {key} {saved.get(key)}, "
                    f"this run's {getattr(phase, key)}; use the same model.phases.{key}"
                )
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
        self._tell("before_switch", trainer, pl_module)
        self.records[-1].stopped = reason
        self.decide(trainer, pl_module, "switch", reason, value)
        self._begin(trainer, pl_module, pl_module.phase + 1)
        self._tell("after_switch", trainer, pl_module)

    def _begin(self, trainer: L.Trainer, pl_module: Any, phase: int) -> None:
        install(trainer, pl_module, phase)
        self._open_record(pl_module)

    def _open_record(self, pl_module: Any) -> None:
        """The module's phase begins: for its record, its criterion and the waiting time."""
        self.records.append(new_record(pl_module))
        self.hold_until = 0
        until = pl_module.phases[pl_module.phase].until
        if until is not None:
            until.reset()

    def _try_next(self, trainer: L.Trainer, pl_module: Any, trial: TrialRule) -> None:
        """Tries the next phase's optimizer; goes on from there, or as if nothing had been."""
        self._tell("before_switch", trainer, pl_module)
        present, snapshot = pl_module.phase, Snapshot(trainer, pl_module)
        install(trainer, pl_module, present + 1)
        outcome = probe(trainer, pl_module, trial.evaluations)
        if not trial.judge(outcome.before, outcome.after, outcome.evaluations):
            install(trainer, pl_module, present)
            snapshot.restore(trainer, pl_module)
            self.records[-1].evaluations += outcome.evaluations
            self.decide(trainer, pl_module, "trial undone", trial.reason, trial.value)
            return
        self.records[-1].stopped = trial.reason
        self.decide(trainer, pl_module, "trial kept", trial.reason, trial.value)
        self._open_record(pl_module)
        record, steps = self.records[-1], pl_module.phases[pl_module.phase].steps
        record.steps, record.evaluations, record.loss = outcome.steps, outcome.evaluations, outcome.after
        self._tell("after_switch", trainer, pl_module)
        if steps is not None and steps <= outcome.steps:
            self._leave(trainer, pl_module, StopReason.STEPS.value, None)

    def _tell(self, hook: str, trainer: L.Trainer, pl_module: Any) -> None:
        """Calls a method of the callbacks that have it."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if hasattr(callback, hook):
                getattr(callback, hook)(trainer, pl_module)

    def _count(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Notes the present step in the record, once."""
        if self._counted == trainer.global_step:
            return
        self._counted = trainer.global_step
        record, now = self.records[-1], time.perf_counter()
        record.seconds += now - self._watch
        self._watch = now
        record.steps += 1
        record.evaluations = pl_module.evaluations - sum(r.evaluations for r in self.records[:-1])
        record.loss = pl_module.current_loss()

    def _criterion_met(self, phase: Phase, record: PhaseRecord, pl_module: Any) -> bool:
        """Shows the step to the phase's criterion."""
        if phase.until is None:
            return False
        gradients, spent = pl_module.loss_gradients(), record.evaluations
        version = pl_module.loss_version  # not the present one: points may have changed after the step
        met = phase.until.update(Progress(record.steps, spent, record.loss, record.seconds, version, gradients))
        pl_module.evaluations += gradients.evaluations
        record.evaluations += gradients.evaluations
        return met

    def _over(self, phase: Phase, met: bool, optimizer: Optimizer) -> str | None:
        """Why the phase is over, or None."""
        if getattr(optimizer, "status", None) is StopReason.STALLED:
            return StopReason.STALLED.value  # also while it is held: it would only stall again
        if self._held():
            return None
        if phase.until is not None and phase.until.trial is None and met:
            return phase.until.reason
        if phase.steps is not None and self._steps_made() >= phase.steps:
            return StopReason.STEPS.value
        return None

    def _held(self) -> bool:
        return self._steps_made() < self.hold_until

    def _steps_made(self) -> int:
        """Steps of the present phase, also those before the run came back to it; not those that were given up."""
        number, given_up = self.records[-1].phase, StopReason.ROLLED_BACK.value
        return sum(r.steps for r in self.records if r.phase == number and r.stopped != given_up)


def phases_of(trainer: L.Trainer) -> OptimizerPhases:
    """The callback that moves a trainer's module from phase to phase."""
    return next(c for c in trainer.callbacks if isinstance(c, OptimizerPhases))  # type: ignore[attr-defined]
