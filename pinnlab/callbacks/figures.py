"""Figures in TensorBoard: the solution, its error, and where the points are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.errors import check_list, check_whole
from pinnlab.problems.unknowns import Shown, shown
from pinnlab.reporting.log_steps import draws
from pinnlab.reporting.loggers import board_of, run_folder
from pinnlab.training.marching import all_windows, draws_window, windows_left
from pinnlab.training.trainer_parts import evaluation_data, needed_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SolutionFigures(L.Callback):
    """Draws solution, error and collocation points for TensorBoard; does nothing with other loggers or data.

    Solution and error are drawn at steps that double (1, 2, 4, 8, 12, 16, 24, 32, 64, 128, ...), at every switch of the
    optimizer, at every so many validations and at the end: the slider above the image is a movie of the error.
    They are two panels with large type, which takes 0.1 to 0.2 s. At the end they are drawn in full, too, with the
    reference and profiles at some times.

    The points are drawn where they have changed since they were last drawn, and at the end. Those of each differential
    equation are drawn once more by themselves, with their density and residual: what the callbacks that change points
    have made of them. Of a run in windows of time solution and error are drawn in windows whose numbers double as steps
    do, and in the last one; the points and the full drawing are those of the last window: they would take longer than
    training the others. At its end all windows are drawn as one, with the error over all times:
    as `solution/<unknown>/all_windows`, and as `solution_<unknown>.png` in the folder of the run.

    Args:
        every: validations between two drawings, beside those at doubled steps.
        times: at which profiles are drawn, of problems in one coordinate of space and time. Default: four, see
            `solution_figure`.

    Raises:
        ConfigurationError: `every` is below 1, or `times` are no numbers.
    """

    def __init__(self, every: int = 10, times: Sequence[float] | None = None) -> None:
        check_whole("SolutionFigures", least=1, every=every)
        if times is not None:
            check_list("SolutionFigures", times=times)
        self.every, self.times = every, times
        self._start_over()

    def _start_over(self) -> None:
        self._count, self._drawn, self._points = 0, -1, -1

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts counting."""
        if stage == "fit":
            self._start_over()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Draws at doubled steps."""
        if draws(trainer.global_step):
            self._draw(trainer, pl_module)

    def after_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws where a phase begins: what the one before has come to."""
        self._draw(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws at every so many validations during training."""
        if trainer.sanity_checking or (not trainer.training and trainer.state.fn != "fit"):
            return
        self._count += 1
        if self._count % self.every == 0:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws the end of the run, the solution in full, too."""
        self._draw(trainer, pl_module)
        if not windows_left(trainer):
            self._draw_end(trainer, pl_module)
            self._draw_windows(trainer, pl_module, run_folder(trainer))

    def state_dict(self) -> dict[str, Any]:
        """How many validations there were, and the edition of the points that were drawn."""
        return {"count": self._count, "points": self._points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting."""
        self._count, self._points = state_dict["count"], state_dict.get("points", -1)

    @rank_zero_only
    def _draw(self, trainer: L.Trainer, pl_module: Any) -> None:
        step = trainer.global_step
        if self._drawn == step or not _is_wanted(trainer, pl_module) or not draws_window(trainer):
            return
        from pinnlab.reporting.figures.thumbnail import thumbnail

        self._drawn = step
        for name, own in _solutions(evaluation_data(pl_module), pl_module):
            values = own.points, own.values, own.reference
            _add(trainer, f"solution/{name}", thumbnail(*values, own.coordinates, name, f"step {step:,}", own.function))
        store = needed_store(pl_module, type(self).__name__)
        if self._points != int(store.version) and not windows_left(trainer):
            self._points = int(store.version)
            self._draw_points(trainer, pl_module)

    def _draw_points(self, trainer: L.Trainer, pl_module: Any) -> None:
        from pinnlab.reporting.figures.points import points_figure
        from pinnlab.reporting.figures.style import enlarge

        problem, store = pl_module.problem, needed_store(pl_module, type(self).__name__)
        points = {name: store.points(name).cpu() for name in store.rows}
        _add(trainer, "training/points", enlarge(points_figure(points, problem.coordinates)))
        for name in problem.differential_equations():
            _add(trainer, f"training/points/{name}", enlarge(_residual_cloud(pl_module.system, store, name)))

    @rank_zero_only
    def _draw_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not _is_wanted(trainer, pl_module):
            return
        for name, own in _solutions(evaluation_data(pl_module), pl_module):
            _add(trainer, f"solution/{name}/in_full", self._in_full(name, own, pl_module))
        self._draw_points(trainer, pl_module)

    @rank_zero_only
    def _draw_windows(self, trainer: L.Trainer, pl_module: Any, folder: str | None) -> None:
        from pinnlab.reporting.figures.style import save

        found = all_windows(trainer, pl_module)
        if found is None or not _is_wanted(trainer, pl_module):
            return
        whole, data = found
        for name, own in _solutions(data, whole):
            figure = self._in_full(name, own, whole)
            _add(trainer, f"solution/{name}/all_windows", figure)
            if folder is not None:
                save(figure, Path(folder) / f"solution_{name}.png")

    def _in_full(self, name: str, own: Shown, module: Any) -> Figure:
        from pinnlab.reporting.figures.solution import solution_figure

        times = self.times if own.coordinates == tuple(module.problem.coordinates) else None
        values = own.points, own.values, own.reference
        return solution_figure(*values, own.coordinates, name, times, function=own.function)


def _is_wanted(trainer: L.Trainer, module: Any) -> bool:
    """Whether there is somewhere to draw, and points to draw at."""
    return board_of(trainer) is not None and evaluation_data(module) is not None


def _add(trainer: Any, tag: str, figure: Figure) -> None:
    board_of(trainer).experiment.add_figure(tag, figure, global_step=trainer.global_step, close=False)  # type: ignore[union-attr]


def _solutions(data: Any, module: Any) -> Iterator[tuple[str, Shown]]:
    """For each unknown those evaluation points at which it lives, its values and its reference there."""
    points, reference = data.evaluation_set()
    with torch.no_grad():
        values = module(points.to(module.device, module.dtype)).cpu().to(torch.float64)
    for name in module.problem.unknowns:
        yield name, shown(module.problem, name, points, values, reference)


def _residual_cloud(system: Any, store: Any, name: str) -> Figure:
    """One condition's points and the residual there; computed by this rank alone, for nobody else draws."""
    from pinnlab.reporting.figures.points import residual_figure

    points = store.points(name)
    with torch.no_grad():
        residual = system.score(name, store.as_rows(name, points), compiled=False)
    return residual_figure(points.cpu(), residual.cpu(), system.problem.coordinates, name)
