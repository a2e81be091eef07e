"""What a run did: a record of each phase, and every decision about its course."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L

from pinnlab.errors import StopReason
from pinnlab.reporting.loggers import board_of


@dataclass(frozen=True)
class Counts:
    """What a run has made before a module of it began: in windows of time, in those before.

    Attributes:
        steps: of optimizers.
        evaluations: of the loss.
        points_seen: in them.
        seconds: that they took.
    """

    steps: int = 0
    evaluations: int = 0
    points_seen: int = 0
    seconds: float = 0.0


@dataclass
class PhaseRecord:
    """What a phase did, for the summary.

    Attributes:
        optimizer: the optimizer's class name.
        steps: optimizer steps made.
        evaluations: loss and gradient evaluations made.
        seconds: wall time, of all sessions of a resumed run.
        loss: the loss at its end.
        stopped: why it ended, in words.
        phase: its number, from 1; a phase that the run went back to has another record.
    """

    optimizer: str
    steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    stopped: str = StopReason.RUNNING.value
    phase: int = 1


@dataclass
class Decision:
    """A decision about the course of a run.

    Attributes:
        step: optimizer steps that the trainer has counted by then; those of trials are not among them.
        evaluations: of the loss, made by then, those of trials included.
        phase: the number of the phase in which it was taken, from 1.
        event: `switch`, `trial kept`, `trial undone`, `rollback`, `back` (to the phase before), `stop`, `compiled`, or
            `scale` and the number that `ScaleSearch` has chosen.
        reason: why, in words.
        value: the number that it rests on, if any.
    """

    step: int
    evaluations: int
    phase: int
    event: str
    reason: str
    value: float | None = None


BEGINNINGS = ("switch", "trial kept", "back")
"""The events with which another phase begins."""


class RunHistory:
    """Counts steps, evaluations and seconds of the present phase, and keeps what was decided.

    Attributes:
        records: what each phase did; the last one is still running.
        decisions: all decisions, in order.
        first_step: the trainer's number of the step before the run's first: not 0 in a later window of time, or in a
            second `fit` of one trainer, which goes on counting.
        began: whether training has; it does not where a limit of the trainer is over before the first step.
        outside: what ended the run, if none of its phases did.
    """

    def __init__(self) -> None:
        self.records: list[PhaseRecord] = []
        self.decisions: list[Decision] = []
        self._watch, self._counted, self._waited = time.perf_counter(), 0, 0.0
        self._begun = Counts()
        self.first_step = 0
        self.began, self.outside = False, StopReason.TRAINER

    @property
    def present(self) -> PhaseRecord:
        """The record of the phase that is running."""
        return self.records[-1]

    def open(self, module: Any) -> None:
        """The module's phase begins."""
        optimizer = module.phases[module.phase].sample_optimizer()
        self._begun = module.counted_before
        self.records.append(PhaseRecord(type(optimizer).__name__, phase=module.phase + 1))

    def interrupted(self) -> None:
        """The run is ended from outside, in the middle of the present phase."""
        if self.present.stopped == StopReason.RUNNING.value:
            self.present.stopped = StopReason.INTERRUPTED.value

    def reopen(self) -> str:
        """The present phase goes on, whatever ended the run that a checkpoint is of; returns what did."""
        reason, self.present.stopped = self.present.stopped, StopReason.RUNNING.value
        return reason

    def start_watch(self, trainer: L.Trainer, module: Any) -> None:
        """Time and waiting count from now on, steps from this one."""
        self.began = True
        self._watch, self._counted, self._waited = time.perf_counter(), trainer.global_step, module.objective.waited

    def count(self, trainer: L.Trainer, module: Any) -> None:
        """Notes the present step in the record, once."""
        if self._counted == trainer.global_step:
            return
        record, before, waited = self.present, self._watch, self._waited
        self.start_watch(trainer, module)
        # Compilation is no part of an optimizer's work.
        record.seconds += (self._watch - before) - (self._waited - waited)
        record.steps += 1
        earlier = self._begun.evaluations + sum(r.evaluations for r in self.records[:-1])
        record.evaluations = module.evaluations - earlier
        record.loss = module.current_loss()

    def decide(self, trainer: L.Trainer, module: Any, event: str, reason: str, value: float | None) -> None:
        """Records a decision about the present phase, prints it, and hands it to TensorBoard; see `Decision`."""
        self.count(trainer, module)
        record, step = self.present, trainer.global_step
        self.decisions.append(Decision(step, module.evaluations, record.phase, event, reason, value))
        line = f"phase {record.phase} ({record.optimizer}), {record.steps} steps, {event}: {reason}"
        module.print(line)  # above the progress bar; `Trainer.print` knows nothing of it
        if (board := board_of(trainer)) is not None:
            board.experiment.add_text("decisions", line if value is None else f"{line} ({value:.4g})", step)

    def phase_step(self, step: int) -> int:
        """How many steps the trainer has made since the present phase began, or the run came back to it."""
        return step - next((d.step for d in reversed(self.decisions) if d.event in BEGINNINGS), self.first_step)

    def steps_made(self, step: int | None = None) -> int:
        """Steps of the present phase, also those before the run came back to it; not those that were given up.

        Args:
            step: the trainer's, for who asks before the last step was counted. Default: the last one that was.
        """
        late = 0 if step is None else step - self._counted
        number, given_up = self.present.phase, StopReason.ROLLED_BACK.value
        return late + sum(r.steps for r in self.records if r.phase == number and r.stopped != given_up)

    def state_dict(self) -> dict[str, Any]:
        """Records and decisions as primitives."""
        return {
            "records": [asdict(record) for record in self.records],
            "decisions": [asdict(decision) for decision in self.decisions],
            "first_step": self.first_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a `state_dict`."""
        self.records = [PhaseRecord(**record) for record in state["records"]]
        self.decisions = [Decision(**decision) for decision in state["decisions"]]
        self.first_step = state.get("first_step", self.first_step)
