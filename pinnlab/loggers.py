"""TensorBoard: where it is among a trainer's loggers, and a logger whose charts show powers of ten."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from pinnlab.dashboard import powers_of_ten


class LogScaleTensorBoardLogger(TensorBoardLogger):
    """A `TensorBoardLogger` that also writes the logarithms of losses, errors and eigenvalues, as `log10/<tag>`.

    TensorBoard draws every chart on a linear axis until one clicks it away, chart by chart and page by page. What falls
    by ten powers of ten is a corner there. Options are those of Lightning's logger.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes values and logarithms."""
        super().log_metrics({**metrics, **powers_of_ten(metrics)}, step)


def board_of(trainer: L.Trainer) -> TensorBoardLogger | None:
    """The first TensorBoard logger of a trainer; None without one. Only rank zero may write to it."""
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
