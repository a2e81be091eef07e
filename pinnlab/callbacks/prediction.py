"""`predict` writes the solution to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.reporting.paths import free_path


class SolutionWriter(L.Callback):
    """Writes predictions as `solution.npz` and one figure per unknown.

    The file holds one `(n,)` array per coordinate and per unknown, and `reference_<unknown>` where a reference is
    known. Existing files are never overwritten: a number is added to the name.

    Args:
        folder: where; default: the run's folder.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder

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
        folder = self.folder or trainer.log_dir or trainer.default_root_dir  # log_dir is a collective: all ranks
        self._write(Path(folder), pl_module.problem, outputs, trainer)

    @rank_zero_only
    def _write(self, folder: Path, problem: Any, outputs: dict[str, torch.Tensor], trainer: L.Trainer) -> None:
        # Imported where it is drawn, as in all callbacks: matplotlib is for runs that draw.

        from pinnlab.reporting.figures.solution import save, solution_figure

        folder.mkdir(parents=True, exist_ok=True)
        points = outputs["points"].cpu().to(torch.float64)
        prediction = outputs["prediction"].cpu().to(torch.float64)
        reference = problem.reference_values(points)
        arrays = {name: points[:, i].numpy() for i, name in enumerate(problem.coordinates)}
        path = free_path(folder / "solution.npz")
        for column, name in enumerate(problem.unknowns):
            exact = None if reference is None else reference[:, column]
            arrays[name] = prediction[:, column].numpy()
            if exact is not None:
                arrays[f"reference_{name}"] = exact.numpy()
            shown = slice(None) if exact is None else problem.reference_known(points)
            figure = solution_figure(
                points[shown],
                prediction[shown, column],
                None if exact is None else exact[shown],
                problem.coordinates,
                name,
            )
            save(figure, path.with_name(f"{path.stem}_{name}.png"))
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
        trainer.print(f"wrote {path}")
