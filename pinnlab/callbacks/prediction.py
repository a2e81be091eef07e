"""`predict` writes the solution to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.problems.unknowns import shown
from pinnlab.reporting.loggers import run_folder
from pinnlab.solution import Solution
from pinnlab.solution.prediction import Prediction


class SolutionWriter(L.Callback):
    """Writes predictions as one file, and a figure for each unknown at the evaluation points.

    The file holds coordinates, unknowns, and `reference_<unknown>` where a reference is known. Existing files are never
    overwritten: a number is added to the name.

    Args:
        folder: where; default: the run's folder.
        grid: how many values of each coordinate, as `200,100`. Default: the evaluation points; a grid of about 40,000
            points in the formats that are made for grids, `netcdf` and `vtk`.
        points: a CSV file of points, in place of a grid.
        format: `npz`, `netcdf`, `vtk` or `csv`; `pt2` or `onnx` for the solution as a function.
    """

    def __init__(
        self, folder: str | None = None, grid: str | None = None, points: str | None = None, format: str = "npz"
    ) -> None:
        self.folder = folder
        self.grid, self.points, self.format = grid, points, format
        self._asked: Prediction | None = None

    def ask(self, grid: str | None, points: str | None, format: str | None) -> None:
        """Takes what a command asks for, where it does, in place of what the constructor was given."""
        if grid is not None or points is not None:
            self.grid, self.points = grid, points
        self.format = format or self.format

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Looks at what is asked for, before anything is computed."""
        if stage == "predict":
            self._asked = Prediction.asked(pl_module.problem, self.grid, self.points, self.format)

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Writes what was predicted."""
        folder = self.folder or run_folder(trainer) or trainer.default_root_dir
        self._write(Path(folder), pl_module, outputs, trainer)

    @rank_zero_only
    def _write(self, folder: Path, pl_module: Any, outputs: dict[str, torch.Tensor], trainer: L.Trainer) -> None:
        # Imported where it is drawn, as in all callbacks: matplotlib is for runs that draw.
        from pinnlab.reporting.figures.solution import solution_figure
        from pinnlab.reporting.figures.style import save

        assert self._asked is not None  # `setup` came before
        problem = pl_module.problem
        points = outputs["points"].cpu().to(torch.float64)
        prediction = outputs["prediction"].cpu().to(torch.float64)
        with torch.inference_mode(False):
            path = self._asked.write(Solution(pl_module), folder, points.clone())
        reference = problem.reference_values(points)
        known = slice(None) if reference is None else problem.reference_known(points)
        exact = None if reference is None else reference[known]
        for name in problem.unknowns:
            own = shown(problem, name, points[known], prediction[known], exact)
            function = own.function if self._asked.points is None else None  # of evaluation points, as everywhere
            figure = solution_figure(own.points, own.values, own.reference, own.coordinates, name, function=function)
            save(figure, path.with_name(f"{path.stem}_{name}.png"))
        trainer.print(f"wrote {path}")
