"""Given points as a region: those of a file, of a scan, of a mesh's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pinnlab.domains.base import Region, checked_names
from pinnlab.domains.composite import ProductFace
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.tables import read_columns


class Cloud(Region):
    """Given points, each of which is used once; with normals they are points of a boundary.

    Conditions take it in place of a domain or a boundary: an equation at points of one's own, a Neumann condition at
    scanned points with their normals. Times a domain it is a region, too: `Cloud(...) * Interval("t", 0, 1)` has points
    at all times.

    Args:
        coordinates: the names of the columns.
        points: `(n, d)`, one or more.
        normals: `(n, d)` outward normals, of any length but 0.

    Raises:
        ConfigurationError: a name is unusable, or shapes or numbers are not as above.

    >>> Cloud(["x", "y"], [[0.0, 1.0], [2.0, 3.0]]).count
    2
    """

    def __init__(self, coordinates: Sequence[str], points: Any, normals: Any = None) -> None:
        self.coordinates = checked_names(coordinates)
        self._points = self._checked("points", points)
        self._normal_rows = None if normals is None else self._checked("normals", normals)
        if self._normal_rows is not None:
            lengths = np.linalg.norm(self._normal_rows, axis=1, keepdims=True)
            if len(lengths) != len(self._points) or not (lengths > 0).all():
                raise ConfigurationError("normals: need one for each point, none of length 0")
            self._normal_rows = self._normal_rows / lengths
        self.unit_dim = 0
        self.count = len(self._points)
        self.measure = float(self.count)
        self._tree = cKDTree(self._points)

    @staticmethod
    def read(path: str | Path, coordinates: Sequence[str], normals: Sequence[str] | None = None) -> Cloud:
        """The points of a CSV file whose first line names its columns.

        Args:
            path: the file.
            coordinates: the columns to read; they name the coordinates.
            normals: the columns of the normals.

        Raises:
            ConfigurationError: there is no such file or column, or a field is not a number.
        """
        rows = read_columns(path, [*coordinates, *(normals or ())])
        d = len(coordinates)
        return Cloud(coordinates, rows[:, :d], None if normals is None else rows[:, d:])

    @property
    def dimension(self) -> int:
        """That of a boundary with normals, that of a domain without."""
        return self.dim if self._normal_rows is None else self.dim - 1

    def __mul__(self, other: Region) -> ProductFace:
        """Each of the points with all of a domain, as with all times."""
        if not isinstance(other, Region):
            return NotImplemented
        return ProductFace((self, other), 0, self)

    def at_ends(self, coordinate: str, low: float, high: float) -> Cloud | None:
        """The same points, those below `low` or above `high` moved there; None where some lie between."""
        points, axis = self._points.copy(), self.coordinates.index(coordinate)
        points[:, axis] = points[:, axis].clip(low, high)
        if not ((points[:, axis] == low) | (points[:, axis] == high)).all():
            return None
        return Cloud(self.coordinates, points, self._normal_rows)

    def _from_unit(self, unit: Tensor) -> Tensor:
        return torch.from_numpy(self._points).to(unit)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.from_numpy(self._tree.query(points.detach().double().cpu().numpy())[0]).to(points)

    def _normals(self, points: Tensor) -> Tensor:
        if self._normal_rows is None:
            raise ConfigurationError(f"normals: {self!r} has none; give it normals=...")
        nearest = self._tree.query(points.detach().double().cpu().numpy())[1]
        return torch.from_numpy(self._normal_rows[nearest]).to(points)

    def _checked(self, key: str, rows: Any) -> Any:
        try:
            numbers = np.asarray(rows).astype(np.float64)
        except (TypeError, ValueError):
            raise ConfigurationError(f"{key}: expected (n, {self.dim}) numbers, got {type(rows).__name__}") from None
        if numbers.ndim != 2 or numbers.shape[1] != self.dim or not len(numbers):
            raise ConfigurationError(f"{key}: expected shape (n, {self.dim}) with n > 0, got {numbers.shape}")
        if not np.isfinite(numbers).all():
            raise ConfigurationError(f"{key}: must be finite numbers")
        return numbers

    def __repr__(self) -> str:
        shown = "(" + ", ".join(f"{x:.6g}" for x in self._points.mean(0)) + ")"
        return f"Cloud({', '.join(self.coordinates)}; {self.count} points around {shown})"
