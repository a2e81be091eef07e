"""What a module in phases changes of a plain `Trainer`: defaults that would harm the run, and callbacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichModelSummary, RichProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from pinnlab.errors import ConfigurationError
from pinnlab.training.progress import PhaseProgressBar
from pinnlab.training.run_summary import RunSummary
from pinnlab.training.switching import OptimizerPhases

VALIDATE_EVERY = 100
"""Steps between two looks at errors and held-out residuals, in a trainer that was told nothing else."""


def use_defaults(trainer: Any) -> None:
    """Sets what a trainer's user has left as it was; called as soon as module and trainer know each other.

    - `max_epochs`: none, instead of 1000. The phases end the run.
    - `val_check_interval`: `VALIDATE_EVERY` steps, instead of the end of an epoch. An epoch means nothing here, and
      many runs are shorter than one.
    - `num_sanity_val_steps`: none, instead of 2. A validation is one batch, and the first one comes soon.

    Lightning keeps no record of who set the last two: an explicit 1.0 or 2 counts as left alone.

    Args:
        trainer: about to fit; another one is left alone.
    """
    if trainer.state.fn != TrainerFn.FITTING or trainer.fast_dev_run:
        return
    if trainer.fit_loop.max_epochs is None:
        trainer.fit_loop.max_epochs = -1
    if not hasattr(trainer, "val_check_interval"):  # given in seconds; callbacks of Lightning look for it all the same
        trainer.val_check_interval = None
    interval = trainer.val_check_interval
    by_epoch = isinstance(interval, float) and interval == 1.0 and trainer.check_val_every_n_epoch == 1
    if by_epoch and trainer.overfit_batches == 0:
        trainer.val_check_interval, trainer.check_val_every_n_epoch = VALIDATE_EVERY, None
    if trainer.num_sanity_val_steps == 2:
        trainer.num_sanity_val_steps = 0


def check_device(trainer: Any, dtypes: Iterable[torch.dtype]) -> None:
    """Refuses a device that lacks a precision: what an Apple machine takes by default has no float64.

    Args:
        trainer: of the run.
        dtypes: of the module and its phases.

    Raises:
        ConfigurationError: it does.
    """
    if trainer.strategy.root_device.type == "mps" and torch.float64 in dtypes:
        raise ConfigurationError("trainer.accelerator: an Apple GPU (mps) has no float64; use accelerator='cpu'")


def standard_callbacks(trainer: Any) -> list[L.Callback]:
    """The callbacks that a module brings along, in place of those that Lightning adds by itself.

    - `OptimizerPhases`, always: a new one for every run.
    - `PhaseProgressBar` for Lightning's bar, unless there is none (`enable_progress_bar=False`) or the user has brought
      one.
    - `RunSummary` for Lightning's table of layers, unless there is none (`enable_model_summary=False`).
    - A `ModelCheckpoint` that saves once in an epoch, and the end of the run as `last.ckpt`, for Lightning's, which
      would save at every validation. One that the user has brought stays.

    What Lightning has added by itself is known by its class and its settings: all of them are the defaults.

    Args:
        trainer: of the run; its list of callbacks loses those that are replaced.
    """
    brought: list[L.Callback] = [OptimizerPhases()]
    kept = [callback for callback in trainer.callbacks if not isinstance(callback, OptimizerPhases)]
    for default, replacement in (
        (RichProgressBar, PhaseProgressBar()),
        (RichModelSummary, RunSummary()),
        (ModelCheckpoint, ModelCheckpoint(save_last="link", save_on_train_epoch_end=True)),
    ):
        others = [callback for callback in kept if not _is_untouched(callback, default)]
        if len(others) < len(kept) and not any(type(callback) is type(replacement) for callback in others):
            brought.append(replacement)
        kept = others
    trainer.callbacks = kept
    return brought


def _is_untouched(callback: L.Callback, kind: type) -> bool:
    """Whether a callback is what a class makes without arguments."""
    return type(callback) is kind and vars(callback) == vars(kind())
