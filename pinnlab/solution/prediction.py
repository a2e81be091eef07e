"""What `pinnlab predict` is asked for: where the solution is written, and in which format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pinnlab.derivatives.fields import TIME
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem
from pinnlab.reporting.files import free_path
from pinnlab.solution import exporting, vtk
from pinnlab.solution.files import FORMATS, read_points, write_csv, write_netcdf, write_npz
from pinnlab.solution.sampling import at_points, on_grid
from pinnlab.solution.solution import Solution

OF_GRIDS = ("netcdf", "vtk")
"""Formats that hold a grid when nobody names points; the others then hold the evaluation points."""

FUNCTIONS = {ending.removeprefix("."): ending for ending in exporting.FORMATS}
"""Formats that hold the solution as a function, with the endings of their files."""


@dataclass(frozen=True)
class Prediction:
    """A file to be written.

    Attributes:
        sides: values of each coordinate of a grid; None for points.
        points: `(n, d)`; None for a grid, or for those that are given later.
        format: one of `FORMATS`, or of `FUNCTIONS`, which hold neither.
    """

    sides: dict[str, int] | None
    points: Tensor | None
    format: str

    @classmethod
    def asked(cls, problem: Problem, grid: str | None, points: str | None, format: str) -> Prediction:
        """Reads the options of the command.

        Args:
            problem: gives the coordinates.
            grid: how many values of each coordinate, as `200,100`.
            points: a CSV file, see `files.read_points`.
            format: `npz`, `netcdf`, `vtk`, `csv`, `pt2` or `onnx`.

        Raises:
            ConfigurationError: one of them does not fit, or both grid and points are given.
        """
        if format not in {**FORMATS, **FUNCTIONS}:
            raise unknown("format", format, {**FORMATS, **FUNCTIONS})
        for key, value in (("grid", grid), ("points", points)):
            if format in FUNCTIONS and value is not None:
                raise ConfigurationError(f"{key}: {format} holds the solution as a function; leave out --{key}")
        if grid is not None and points is not None:
            raise ConfigurationError("points: there is a grid already; give one of --grid and --points")
        if points is not None:
            return cls(None, torch.from_numpy(read_points(Path(points), problem.coordinates)), format)
        if grid is None:
            return cls({} if format in OF_GRIDS else None, None, format)
        counts = [part.strip() for part in str(grid).strip("[] ").split(",")]
        if len(counts) != len(problem.coordinates) or not all(count.isdigit() and int(count) > 1 for count in counts):
            names = ", ".join(problem.coordinates)
            raise ConfigurationError(f"grid: must be a number (at least 2) for each of {names}, as 200,100; got {grid}")
        return cls(dict(zip(problem.coordinates, map(int, counts), strict=True)), None, format)

    def write(self, solution: Solution, folder: Path, otherwise: Tensor) -> Path:
        """Writes `solution.<ending>` into a folder, with a number behind its name where there is one already.

        Args:
            solution: what to write.
            folder: where.
            otherwise: `(n, d)` points when neither a grid nor points were asked for.

        Returns:
            The file, of a series the one to open.
        """
        if self.format in FUNCTIONS:
            return solution.export(free_path(folder / f"solution{FUNCTIONS[self.format]}"))
        is_series = self.format == "vtk" and self.sides is not None and TIME in solution.problem.coordinates
        path = free_path(folder / f"solution{'.pvd' if is_series else FORMATS[self.format]}")
        if self.format == "vtk" and self.sides is not None:
            return vtk.write_vtk(solution, path, sides=self.sides)
        points = otherwise if self.points is None else self.points
        samples = at_points(solution, points) if self.sides is None else on_grid(solution, self.sides)
        if self.format == "vtk":
            return vtk.write_points(samples, solution.problem.domain, path)
        if self.format == "netcdf":
            return write_netcdf(samples, solution.attributes(), path)
        return (write_csv if self.format == "csv" else write_npz)(samples, path)
