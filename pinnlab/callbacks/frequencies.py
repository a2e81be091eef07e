"""The error by frequency over the course of training, as a heat map in TensorBoard."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from pinnlab.errors import check_whole
from pinnlab.reporting.loggers import board_of
from pinnlab.training.history import BEGINNINGS
from pinnlab.training.marching import draws_window
from pinnlab.training.switching import phases_of

MOST = 400
"""Measurements that are kept; of more, every second one is dropped: a heat map is no finer than that."""


class FrequencyHistory(L.Callback):
    """Keeps the error by wave number whenever it is measured, and draws it for TensorBoard.

    The module measures it, see `pinnlab.analysis.frequencies`; without a reference on a regular grid there is nothing
    to keep. The figure shows spectral bias: which frequencies are learned when.

    Args:
        every: validations between two drawings; the end of the run is always drawn. A drawing takes about 0.3 s. In
            windows of time each keeps its own, and those are drawn of which `SolutionFigures` shows the solution.

    Attributes:
        steps: at which the error was measured.
        errors: for each unknown and step the mean squares `(m,)` of the error, `ErrorByFrequency.error`.

    Raises:
        ConfigurationError: `every` is below 1.
    """

    def __init__(self, every: int = 10) -> None:
        check_whole("FrequencyHistory", least=1, every=every)
        self.every = every
        self._start_over()

    def _start_over(self) -> None:
        self.steps: list[int] = []
        self.errors: dict[str, list[Tensor]] = {}
        self._count, self._drawn = 0, -1

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing kept."""
        if stage == "fit":
            self._start_over()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Keeps what was measured; draws at every so many validations."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not pl_module.errors.spectra:
            return
        self._keep(trainer, pl_module)
        if self._count % self.every == 0:
            self._draw(trainer, pl_module)
        self._count += 1

    def after_measurement(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Keeps what `ErrorMeasurement` has measured between validations."""
        if pl_module.errors.spectra:
            self._keep(trainer, pl_module)

    def _keep(self, trainer: L.Trainer, pl_module: Any) -> None:
        found = {name: spectrum.error.cpu() for name, spectrum in pl_module.errors.spectra.items()}
        if any(name in self.errors and self.errors[name][0].shape != row.shape for name, row in found.items()):
            self._start_over()  # the run goes on with another grid of evaluation points
        if self.steps[-1:] == [trainer.global_step]:  # by a validation and by `ErrorMeasurement`: the later one counts
            del self.steps[-1]
            for rows in self.errors.values():
                del rows[-1]
        self.steps.append(trainer.global_step)
        for name, row in found.items():
            self.errors.setdefault(name, []).append(row)
        if len(self.steps) > MOST:
            self.steps = self.steps[::2]
            self.errors = {name: rows[::2] for name, rows in self.errors.items()}

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws the end of the run."""
        if self.steps:
            self._draw(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """What was kept."""
        errors = {name: torch.stack(rows) for name, rows in self.errors.items()}
        return {"steps": list(self.steps), "errors": errors, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with what was kept."""
        self.steps, self._count = list(state_dict["steps"]), state_dict["count"]
        self.errors = {name: list(rows) for name, rows in state_dict["errors"].items()}

    @rank_zero_only
    def _draw(self, trainer: L.Trainer, pl_module: Any) -> None:
        board = board_of(trainer)
        if board is None or self._drawn == trainer.global_step or not draws_window(trainer):
            return
        from pinnlab.reporting.figures.frequencies import frequency_figure
        from pinnlab.reporting.figures.style import enlarge

        self._drawn = trainer.global_step
        switches = [d.step for d in phases_of(trainer).decisions if d.event in BEGINNINGS]
        for name, spectrum in pl_module.errors.spectra.items():
            figure = frequency_figure(self.steps, torch.stack(self.errors[name]), spectrum, name, switches)
            enlarge(figure, 14, 11)
            board.experiment.add_figure(f"solution/{name}/frequencies", figure, global_step=trainer.global_step)
