"""What Lightning does of a step, for those who evaluate the loss beside its loop; and a step that is cut off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.optimizers import is_multi_eval
from pinnlab.optimizers.flat import FlatObjective


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """What an optimizer moves."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """The gradients that are left for an optimizer's parameters."""
    return [p.grad for p in parameters_of(optimizer) if p.grad is not None]


@torch.enable_grad()
def evaluate(trainer: Any, module: Any, batch: dict[str, Tensor]) -> Tensor:
    """The loss, whose gradient is left in `.grad`: through the strategy, which averages gradients over ranks.

    Args:
        trainer: of the run.
        module: the `PINN`.
        batch: this rank's rows of each condition.
    """
    optimizer = module.optimizers()
    loss: Tensor = trainer.strategy.training_step(batch, 0)
    module.optimizer_zero_grad(trainer.current_epoch, 0, optimizer)
    trainer.strategy.backward(loss, optimizer)
    return loss.detach()


def unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer in Lightning's wrapper of one, or itself."""
    return getattr(optimizer, "_optimizer", optimizer)


def step_whole(wrapped: Any, closure: Any, **given: Any) -> None:
    """Makes a step, or none: cut off by Ctrl-C, in a notebook say, the parameters go back to where it began.

    They would stay at a trial of the line search, which is no solution that anyone accepted.

    Args:
        wrapped: an optimizer, or Lightning's wrapper of one.
        closure: computes the loss and its gradient.
        **given: further arguments of its `step`.
    """
    optimizer = unwrapped(wrapped)
    if not is_multi_eval(optimizer):
        wrapped.step(closure=closure, **given)
        return
    there = FlatObjective(parameters_of(optimizer), closure)
    before = there.point()
    try:
        wrapped.step(closure=closure, **given)
    except (KeyboardInterrupt, SystemExit):
        there.move(before)
        raise
