"""What Lightning's closure does, for those who evaluate the loss beside Lightning's loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """The gradients that are left for an optimizer's parameters."""
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


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
