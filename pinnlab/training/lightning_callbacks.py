"""Callbacks of Lightning that change gradients or weights behind an optimizer's back."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging, WeightAveraging

from pinnlab.errors import ConfigurationError


def accumulation(trainer: Any) -> str | None:
    """What has Lightning add up the gradients of several batches, now or in a later epoch; None if nothing does."""
    if trainer.accumulate_grad_batches != 1:
        return "trainer.accumulate_grad_batches"
    for callback in trainer.callbacks:
        if isinstance(callback, GradientAccumulationScheduler) and callback.going_to_accumulate_grad_batches():
            return "GradientAccumulationScheduler.scheduling"
    return None


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
