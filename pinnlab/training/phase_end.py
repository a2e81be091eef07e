"""Whether a phase is over, and whether a run that was over is asked for more."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Timer

from pinnlab.criteria import Progress
from pinnlab.errors import StopReason
from pinnlab.training.history import PhaseRecord, RunHistory
from pinnlab.training.trainer_parts import callbacks_of

FROM_OUTSIDE = tuple(
    reason.value for reason in (StopReason.BUDGET, StopReason.POINTS, StopReason.TRAINER, StopReason.CALLBACK)
)
"""Reasons to stop that are none of the phases: who stopped the run decides again when it goes on."""


def criterion_met(record: PhaseRecord, module: Any) -> bool:
    """Shows a step to the present phase's criterion; what it costs is counted.

    Args:
        record: of the phase.
        module: the `PINN`.
    """
    until = module.phases[module.phase].until
    if until is None:
        return False
    gradients, spent = module.loss_gradients(), record.evaluations
    version = module.loss_version  # not the present one: points may have changed after the step
    damping = getattr(module.current_optimizer(), "last_damping", None)
    met: bool = until.update(Progress(record.steps, spent, record.loss, record.seconds, version, gradients, damping))
    module.evaluations += gradients.evaluations
    record.evaluations += gradients.evaluations
    return met


def asked_for_more(history: RunHistory, module: Any) -> bool:
    """Whether a run that was over has more to do: steps, a phase behind its last one, or a larger budget."""
    return not phase_is_over(history, module) or module.phase + 1 < len(module.phases)


def phase_is_over(history: RunHistory, module: Any) -> bool:
    """Whether the phase in which a run ended has nothing left to do."""
    reason, steps = history.present.stopped, module.phases[module.phase].steps
    if reason == StopReason.STEPS.value:
        return steps is not None and history.steps_made() >= steps
    return reason not in (*FROM_OUTSIDE, StopReason.RUNNING.value)


def ended_by(trainer: Any) -> StopReason:
    """What ended a run before its phases did: a limit of the trainer, or a callback such as `EarlyStopping`."""
    left = [timer.time_remaining() for timer in callbacks_of(trainer, Timer)]
    is_late = any(seconds is not None and seconds <= 0 for seconds in left)
    return StopReason.CALLBACK if trainer.should_stop and not is_late else StopReason.TRAINER


def cut_short(trainer: Any, module: Any) -> str | None:
    """What to say of a run whose epochs were over before its phases; None of another one."""
    epochs, made = trainer.max_epochs, trainer.fit_loop.epoch_progress.current.processed
    if trainer.fast_dev_run or epochs is None or not 0 <= epochs <= made:
        return None
    place = f"phase {module.phase + 1} of {len(module.phases)}"
    return f"trainer.max_epochs={epochs} ends the run in {place}; leave it out to go on"
