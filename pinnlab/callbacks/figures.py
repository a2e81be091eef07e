"""Figures in TensorBoard: the solution, its error, and where the points are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.errors import ConfigurationError, check_list, check_whole
from pinnlab.reporting.loggers import board_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SolutionFigures(L.Callback):
    """Draws solution, error and collocation points for TensorBoard; does nothing with other loggers.

    The points of each differential equation are drawn once more by themselves, with their density and residual: what
    the callbacks that change points have made of them.

    Args:
        every: validations between two drawings; the end of the run is always drawn. A drawing takes about half
            a second, so 10 keeps it below a few percent of a run.
        times: at which profiles are drawn, of problems in one coordinate of space and time. Default: four, see
            `solution_figure`.

    Raises:
        ConfigurationError: `every` is below 1, or `times` are no numbers.
    """

    def __init__(self, every: int = 10, times: Sequence[float] | None = None) -> None:
        check_whole("SolutionFigures", every=every)
        if every < 1:
            raise ConfigurationError(f"SolutionFigures.every: must be at least 1, got {every}")
        if times is not None:
            check_list("SolutionFigures", times=times)
        self.every, self.times = every, times
        self._count, self._drawn = 0, -1

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts counting."""
        if stage == "fit":
            self._count, self._drawn = 0, -1

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws at every so many validations during training."""
        if trainer.sanity_checking or (not trainer.training and trainer.state.fn != "fit"):
            return
        if self._count % self.every == 0:
            self._draw(trainer, pl_module)
        self._count += 1

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws the end of the run."""
        self._draw(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """How many validations there were."""
        return {"count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting."""
        self._count = state_dict["count"]

    @rank_zero_only
    def _draw(self, trainer: L.Trainer, pl_module: Any) -> None:
        board, data = board_of(trainer), getattr(trainer, "datamodule", None)
        if board is None or data is None or self._drawn == trainer.global_step:
            return
        from pinnlab.reporting.figures.solution import points_figure, solution_figure

        self._drawn = trainer.global_step
        problem, (points, reference) = pl_module.problem, data.evaluation_set()
        with torch.no_grad():
            prediction = pl_module(points.to(pl_module.device, pl_module.dtype)).cpu().to(torch.float64)
        figures = {"points": points_figure(_point_cloud(data.store), problem.coordinates)}
        for name in problem.differential_equations():
            figures[f"points/{name}"] = _residual_cloud(pl_module.system, data.store, name)
        for column, name in enumerate(problem.unknowns):
            exact = None if reference is None else reference[:, column]
            figures[f"solution/{name}"] = solution_figure(
                points, prediction[:, column], exact, problem.coordinates, name, self.times
            )
        for tag, figure in figures.items():
            board.experiment.add_figure(tag, figure, global_step=trainer.global_step, close=False)


def _point_cloud(store: Any) -> dict[str, Any]:
    return {name: store.points(name).cpu() for name in store.rows}


def _residual_cloud(system: Any, store: Any, name: str) -> Figure:
    """One condition's points and the residual there; computed by this rank alone, for nobody else draws."""
    from pinnlab.reporting.figures.points import residual_figure

    points = store.points(name)
    with torch.no_grad():
        residual = system.score(name, store.as_rows(name, points))
    return residual_figure(points.cpu(), residual.cpu(), system.problem.coordinates, name)
