"""Puts the optimizer of a phase in place in mid-run."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.fabric.utilities.optimizer import _optimizers_to_device
from lightning.pytorch.core.optimizer import _init_optimizers_and_lr_schedulers
from lightning.pytorch.strategies import DDPStrategy

from pinnlab.optimizers import is_multi_eval, wants_overlap
from pinnlab.training.phases import draw_points, enter
from pinnlab.training.prolonged import prolong
from pinnlab.training.trainer_parts import point_store


def install(trainer: L.Trainer, module: Any, phase: int) -> None:
    """Enters a phase and builds its optimizer in place of the present one; draws its points if it is another phase.

    Lightning has no public way to do this in mid-run; its own functions keep wrappers, schedulers and checkpoints
    consistent. `tests/training/test_module.py` says so when a new Lightning moves it.

    Args:
        trainer: of the run.
        module: the `PINN`.
        phase: the number of the phase, from 0.
    """
    begins, dtype, strategy = phase != module.phase, module.dtype, trainer.strategy
    goes_on = phase == module.phase + 1 and module.phases[phase].prolong
    before = strategy.optimizers[0] if goes_on else None
    enter(module, phase)
    if begins:
        draw_points(module)
    module.zero_grad(set_to_none=True)
    if module.dtype != dtype and isinstance(strategy, DDPStrategy):
        strategy.model = module  # the wrapper's buckets of gradients have the old dtype: it is made anew
        strategy.configure_ddp()
    strategy.optimizers, strategy.lr_scheduler_configs = _init_optimizers_and_lr_schedulers(module)
    if before is not None:
        prolong(before, strategy.optimizers[0])
    _optimizers_to_device(strategy.optimizers, strategy.root_device)
    fit_points(trainer, module)


def fit_points(trainer: L.Trainer, module: Any) -> None:
    """An optimizer that evaluates several times per step gets all points, or mini-batches that share some."""
    store = point_store(module)
    if store is not None:
        store.batches.overlapping = wants_overlap(trainer.optimizers[0])
        store.batches.full = is_multi_eval(trainer.optimizers[0]) and not store.batches.overlapping
