"""Numbers on their way to the loggers, and TensorBoard among those: a logger whose charts show powers of ten."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.reporting.dashboard import over_others, powers_of_ten


class LogScaleTensorBoardLogger(TensorBoardLogger):
    """A `TensorBoardLogger` that also writes the logarithms of losses, errors and eigenvalues, as `log10/<tag>`.

    TensorBoard draws every chart on a linear axis until one clicks it away, chart by chart and page by page. What falls
    by ten powers of ten is a corner there. Options are those of Lightning's logger.

    A disk that is full or read-only is a warning: what is logged waits for it, see `EventFile`.

    Logarithms of the total loss and of errors are written a second time over what else a run is measured in, see
    `axes`: as `log10/over/<axis>/<tag>`, with that number in place of the step. The number of an epoch means nothing
    here, and is left out.

    Attributes:
        axes: says where a run is on axes other than steps, by name: `evaluations` and `milliseconds`. `Dashboard` sets
            it while the run trains.
        is_open: whether numbers are written; not while the command looks at a run, whose curves are those of its
            training.
    """

    axes: Callable[[], Mapping[str, int]] | None = None
    is_open = True

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer for TensorBoard, made when it is first asked for."""
        if self._experiment is None and "://" not in self.log_dir and self._kwargs.get("purge_step") is None:
            from pinnlab.reporting.event_file import Board  # tensorboard is for runs that log

            self._experiment = Board(self.log_dir, **self._kwargs)
        return super().experiment

    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Keeps hyperparameters for `hparams.yaml`; TensorBoard gets them with results only, without `hp_metric`."""
        super().log_hyperparams(params, {} if metrics is None else metrics, step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes values and logarithms."""
        if not self.is_open:
            return
        wanted = {tag: value for tag, value in metrics.items() if tag != "epoch"}
        axes = self.axes() if self.axes is not None else {}
        if "milliseconds" in axes and "training/evaluations" in wanted:
            wanted["training/seconds"] = axes["milliseconds"] / 1000
        super().log_metrics({**wanted, **powers_of_ten(wanted)}, step)
        for values, place in over_others(wanted, axes):
            super().log_metrics(powers_of_ten(values), place)


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
