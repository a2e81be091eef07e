"""What a run's loggers get of a step."""

from __future__ import annotations

from typing import Any

from pinnlab.problems.coefficients import by_number
from pinnlab.reporting.log_steps import logs_loss
from pinnlab.reporting.loggers import log_scalars
from pinnlab.training.points_seen import PointCount
from pinnlab.training.switching import OptimizerPhases, phases_of
from pinnlab.training.trainer_parts import callbacks_of


def step_scalars(module: Any, batch_size: int) -> dict[str, float]:
    """The numbers of a `PINN`'s last step, by tag.

    Args:
        module: the `PINN`.
        batch_size: the most rows that a condition has in the present batch, of all ranks.
    """
    until = module.phases[module.phase].until
    damping = getattr(module.current_optimizer(), "last_damping", None)
    return {
        **{f"loss/{name}": value for name, value in module.loss_terms().items()},
        **{f"coefficient/{name}": v for name, v in by_number(module.system.coefficient_values()).items()},
        "training/gradient_norm": module.gradient_norm(),
        "training/evaluations": float(module.evaluations),
        "training/points_seen": float(module.points_seen),
        "training/batch_size": float(batch_size),
        "training/phase": float(module.phase + 1),
        **({} if damping is None else {"training/damping": damping}),
        **({} if until is None or until.value is None else {"training/criterion": until.value}),
    }


class StepLog:
    """Logs the loss of a run at the steps of `logs_loss`, and at the last one."""

    def __init__(self) -> None:
        self._is_logged = True  # the last step that was made

    def after_step(self, module: Any, points: PointCount) -> None:
        """A step was made, and perhaps is to be logged; see `step_scalars`."""
        trainer, step = module.trainer, module.global_step
        if not callbacks_of(trainer, OptimizerPhases):
            return  # `lr_find` tries rates without any callback, and logs nothing
        self._is_logged = logs_loss(step, phases_of(trainer).history.phase_step(step), trainer.log_every_n_steps)
        if self._is_logged:
            log_scalars(trainer, step_scalars(module, points.largest))

    def at_end(self, module: Any, points: PointCount) -> None:
        """Training is over: curves end where it does."""
        if not self._is_logged and module.trainer.log_every_n_steps:
            self._is_logged = True
            log_scalars(module.trainer, step_scalars(module, points.largest))
