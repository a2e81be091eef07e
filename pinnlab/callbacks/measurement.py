"""The error of a run where it changes fast: at its first steps, and at those of each phase."""

from __future__ import annotations

from typing import Any

import lightning as L

from pinnlab.reporting.log_steps import measures_error
from pinnlab.reporting.loggers import log_scalars
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import data_of, tell


class ErrorMeasurement(L.Callback):
    """Measures what a validation measures, at more steps: error, error by frequency, held-out residual.

    A validation every hundred steps leaves one point of a short run, and of a quasi-Newton phase that takes the error
    down by five powers of ten in fifty steps. This measures after each of the first 32 steps, then at four for each
    doubling of the run's steps and of its phase's (8, 10, 12, 14, 16, 20, 24, ...), so that a run of more than 30 steps
    has at least 30 points. The loggers get the tags of the validation.

    It is no validation: what counts those, such as `EarlyStopping`, sees nothing of it. Training does not notice:
    no parameter, point, random number or count of evaluations is touched. A callback with a method
    `after_measurement(trainer, pl_module)` is told.

    A measurement costs as much as a validation, 12 ms on 20,000 points. Between two doublings there are at most
    eight: what they cost grows with the logarithm of the steps. Without loggers, without validation
    (`limit_val_batches: 0`) and without logs (`log_every_n_steps: 0`) nothing is measured.
    """

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measures at the steps of `measures_error`; a collective."""
        step = trainer.global_step
        spaced = measures_error(step, phases_of(trainer).history.phase_step(step))
        if not spaced or _validates_now(trainer) or not _wanted(trainer, pl_module):
            return
        for rows in trainer.val_dataloaders:  # type: ignore[union-attr]
            log_scalars(trainer, pl_module.measured(rows))
        tell("after_measurement", trainer, pl_module)


def _wanted(trainer: Any, module: Any) -> bool:
    """Whether somebody reads it, and the evaluation set is ours: one batch."""
    logs = trainer.loggers and trainer.log_every_n_steps > 0 and trainer.val_dataloaders is not None
    return bool(logs) and isinstance(data_of(module), CollocationDataModule)


def _validates_now(trainer: Any) -> bool:
    """Whether Lightning validates after this step anyway: its interval is over, or the run is."""
    every = trainer.val_check_batch
    by_steps = trainer.check_val_every_n_epoch is None and isinstance(every, int)
    return trainer.should_stop or (by_steps and trainer.global_step % every == 0)
