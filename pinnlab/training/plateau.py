"""`ReduceLROnPlateau` as the scheduler of a phase: what it watches, and when it looks."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from pinnlab.errors import ConfigurationError, unknown


def check_monitor(trainer: Any, scheduler: Any) -> None:
    """Refuses a value to watch that is never measured.

    Raises:
        ConfigurationError: it is measured at validation, and there is none.
    """
    name = _monitored(scheduler)
    if name is not None and trainer.limit_val_batches == 0:
        raise ConfigurationError(
            f"model.phases.scheduler: watches {name} at validation, but trainer.limit_val_batches is 0; "
            "use torch's ReduceLROnPlateau, which watches the loss, or validate"
        )


def look_after_step(scheduler: Any, loss: float) -> bool:
    """Shows the loss to a scheduler that watches it, torch's own `ReduceLROnPlateau`.

    Returns:
        Whether the scheduler waits for a value, be it this one or another.
    """
    waits = isinstance(scheduler, ReduceLROnPlateau)
    if waits and _monitored(scheduler) is None:
        scheduler.step(loss)
    return waits


def look_after_validation(trainer: Any) -> None:
    """Shows what was measured to the schedulers that watch it: Lightning's `ReduceLROnPlateau`, with a `monitor`.

    Raises:
        ConfigurationError: nothing of that name was measured.
    """
    for config in trainer.lr_scheduler_configs:
        name = _monitored(config.scheduler)
        if name is None:
            continue
        if name not in trainer.callback_metrics:
            raise unknown("value of model.phases.scheduler.monitor:", name, trainer.callback_metrics)
        config.scheduler.step(float(trainer.callback_metrics[name]))


def _monitored(scheduler: Any) -> str | None:
    return getattr(scheduler, "monitor", None) if isinstance(scheduler, ReduceLROnPlateau) else None
