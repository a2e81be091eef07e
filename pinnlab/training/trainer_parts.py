"""What a module's trainer has: data, points, callbacks; and what an optimizer cannot stand of it."""

from __future__ import annotations

from typing import Any, TypeVar

from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging, WeightAveraging

from pinnlab.errors import ConfigurationError
from pinnlab.training.point_store import PointStore

Kind = TypeVar("Kind")


def data_of(module: Any) -> Any:
    """The data module that a module is trained with; None without one, or without a trainer."""
    return getattr(module._trainer, "datamodule", None)  # `module.trainer` is an error where there is none


def evaluation_data(module: Any) -> Any:
    """The same, if it has evaluation points as a `CollocationDataModule` has them; None for a user's own without."""
    data = data_of(module)
    return data if hasattr(data, "evaluation_set") else None


def point_store(module: Any) -> PointStore | None:
    """The points that a module is trained on; None without a trainer or without a data module that has them."""
    return getattr(data_of(module), "store", None)


def needed_store(module: Any, owner: str) -> PointStore:
    """The points that a module is trained on.

    Args:
        module: the `PINN`.
        owner: who needs them, for the message.

    Raises:
        ConfigurationError: there are none.
    """
    store = point_store(module)
    if store is None:
        raise ConfigurationError(f"{owner}: there is no point store; train with CollocationDataModule")
    return store


def in_training(module: Any) -> bool:
    """Whether a trainer trains a module at the moment, and does not only look at it."""
    return module._trainer is not None and module._trainer.training


def callbacks_of(trainer: Any, kind: type[Kind]) -> list[Kind]:
    """Those of a trainer's callbacks that are of a kind, in their order."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]


def any_says(trainer: Any, attribute: str) -> bool:
    """Whether one of a trainer's callbacks says something of itself by an attribute, such as `recovers`."""
    return any(getattr(callback, attribute, False) for callback in trainer.callbacks)


def warnings_of(trainer: Any) -> list[str]:
    """What callbacks have to say of a run in its summary, by an attribute `warnings`."""
    return [line for callback in trainer.callbacks for line in getattr(callback, "warnings", ())]


def tell(hook: str, trainer: Any, module: Any) -> None:
    """Calls a method `(trainer, module)` of those callbacks that have it."""
    for callback in trainer.callbacks:
        if hasattr(callback, hook):
            getattr(callback, hook)(trainer, module)


def accumulation(trainer: Any) -> str | None:
    """What has Lightning add up the gradients of several batches, now or in a later epoch; None if nothing does."""
    if trainer.accumulate_grad_batches != 1:
        return "trainer.accumulate_grad_batches"
    schedulers = callbacks_of(trainer, GradientAccumulationScheduler)
    later = any(scheduler.going_to_accumulate_grad_batches() for scheduler in schedulers)
    return "GradientAccumulationScheduler.scheduling" if later else None


def check_searched(trainer: Any, optimizer: str) -> None:
    """Refuses what an optimizer that evaluates the loss itself cannot stand.

    Args:
        trainer: of the run.
        optimizer: its name.

    Raises:
        ConfigurationError: names the option or the callback.
    """
    if (key := accumulation(trainer)) is not None:
        raise ConfigurationError(f"{key}: must be 1 with {optimizer}, which calls the loss itself")
    for callback in trainer.callbacks:
        if isinstance(callback, WeightAveraging | StochasticWeightAveraging):
            raise ConfigurationError(
                f"{type(callback).__name__}: {optimizer} is at its best where it ends, and an average of its steps is "
                "not; leave it out, or train with first-order optimizers only"
            )
