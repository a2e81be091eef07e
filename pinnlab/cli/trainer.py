"""The command's trainer: Lightning's, and what `pinnlab` has beside it."""

from __future__ import annotations

from typing import Any

import lightning as L

from pinnlab.callbacks import DiagnosisWriter, SolutionWriter
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.trainer_parts import callbacks_of


class Trainer(L.Trainer):
    """Lightning's Trainer under the name that `pinnlab --help` shows, and what it cannot do by itself."""

    def diagnose(
        self, model: PINN, datamodule: CollocationDataModule, ckpt_path: str | None = None, folder: str | None = None
    ) -> None:
        """Shows what helps or hinders training, of a set-up or of a run: tables, a figure and JSON.

        Args:
            model: the module.
            datamodule: its points.
            ckpt_path: of a run; default: the set-up before the first step.
            folder: where the files go; default: the run's folder.
        """
        self.callbacks.append(DiagnosisWriter(folder))  # type: ignore[attr-defined]
        self.validate(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False)

    def predict(  # type: ignore[override]
        self,
        model: PINN,
        datamodule: CollocationDataModule,
        ckpt_path: str | None = None,
        grid: str | None = None,
        points: str | None = None,
        format: str | None = None,
        weights_only: bool | None = None,
        return_predictions: bool | None = None,
    ) -> Any:
        """Writes the solution of a run to a file, and draws it.

        Args:
            model: the module.
            datamodule: its points.
            ckpt_path: of a run.
            grid: how many values of each coordinate, as 200,100; default: the evaluation points.
            points: a CSV file of points to write it at, in place of a grid.
            format: npz (the default), netcdf, vtk or csv; pt2 or onnx for the function.
            weights_only: see Lightning's Trainer.
            return_predictions: see Lightning's Trainer.
        """
        for writer in callbacks_of(self, SolutionWriter):
            writer.ask(grid, points, format)
        return super().predict(
            model,
            datamodule=datamodule,
            ckpt_path=ckpt_path,
            weights_only=weights_only,
            return_predictions=return_predictions,
        )
