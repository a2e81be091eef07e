"""Numbers on their way to the loggers, and TensorBoard among those: a logger whose charts show powers of ten."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment

from pinnlab.reporting.dashboard import powers_of_ten


class LogScaleTensorBoardLogger(TensorBoardLogger):
    """A `TensorBoardLogger` that also writes the logarithms of losses, errors and eigenvalues, as `log10/<tag>`.

    TensorBoard draws every chart on a linear axis until one clicks it away, chart by chart and page by page. What falls
    by ten powers of ten is a corner there. Options are those of Lightning's logger.

    A disk that is full or read-only is a warning: what is logged waits for it, see `EventFile`.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer for TensorBoard, made when it is first asked for."""
        if self._experiment is None and "://" not in self.log_dir and self._kwargs.get("purge_step") is None:
            from pinnlab.reporting.event_file import Board  # tensorboard is for runs that log

            self._experiment = Board(self.log_dir, **self._kwargs)
        return super().experiment

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes values and logarithms."""
        super().log_metrics({**metrics, **powers_of_ten(metrics)}, step)


def board_of(trainer: L.Trainer) -> TensorBoardLogger | None:
    """The first TensorBoard logger of a trainer; None without one. Only rank zero may write to it."""
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def run_folder(trainer: L.Trainer) -> str | None:
    """The folder of a run's files; None without a logger. A collective: all ranks call it.

    `Trainer.log_dir` is the folder of all runs where the logger is one of another service, such as W&B.
    """
    if not trainer.loggers:
        return None
    logger, folder = trainer.loggers[0], trainer.log_dir
    if folder is None or logger.log_dir is not None:
        return folder
    return os.path.join(folder, str(logger.name), str(logger.version))


def log_scalars(trainer: Any, values: Mapping[str, float]) -> None:
    """Hands numbers to all loggers, and to callbacks that monitor them, under the step that was made last.

    `LightningModule.log` is for values of every step, which it averages. It takes 0.4 ms for each, and looks at all
    that were ever logged again at every later step: a fifth of what Lightning adds to a step, for nothing.

    Args:
        trainer: of the run.
        values: by name, the same on all ranks.
    """
    seen = {name: torch.tensor(value) for name, value in values.items()}
    trainer.callback_metrics.update(seen)
    trainer.logged_metrics.update(seen)
    for logger in trainer.loggers:
        # Counted from 0, as Lightning does; what is measured before the first step goes with it.
        logger.log_metrics(dict(values), step=max(trainer.global_step - 1, 0))
        logger.save()
