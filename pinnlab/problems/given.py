"""Data of a problem: a coefficient, a source or a start that is known as numbers on a grid, or as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinnlab.domains import Domain
from pinnlab.errors import ConfigurationError
from pinnlab.problems.evaluation import call_by_name
from pinnlab.problems.splines import Spline

Function = Callable[[Any], Any]
"""Given data as a function of points `(n, d)`, a tensor or a jet: `(n,)`."""


class Given:
    """Data that the functions of a problem get by name: `Given("a", "a.npz")` is their argument `a`.

    There it is as an unknown is: a value in arithmetic, with derivatives `a.x`, `a.gradient()`, and in expressions such
    as `(a * u.x).d("x")`. Numbers on a grid become a spline through them.

    Args:
        name: of the argument.
        source: a function of coordinates (or `points`) by name, in torch operations; or arrays by name: one increasing
            axis `(n_i,)` for each coordinate that the data depend on, up to three, and under `name` the values
            `(n_1, ..., n_k)` in the order of the problem's coordinates. In place of the grid it may be a table of all
            its places in any order, each array `(n,)`. Or the path of such a file: `.npz`, or `.csv` with a header.
        degree: of the spline: 3 has two continuous derivatives, which fluxes need; 1 is linear interpolation.

    Raises:
        ConfigurationError: the file or an array is not what it must be; in a problem, when the data do not depend on
            its coordinates or do not cover its domain.
    """

    def __init__(self, name: str, source: Any, degree: int = 3) -> None:
        self.name, self.degree = name, degree
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigurationError(f"Given: name must be a name such as 'a', got {name!r}")
        if degree not in (1, 3, 5):
            raise ConfigurationError(f"Given {name!r}: degree must be 1, 3 or 5, got {degree!r}")
        self.source = _read(name, Path(source)) if isinstance(source, (str, Path)) else source
        if not callable(self.source) and not isinstance(self.source, Mapping):
            raise ConfigurationError(
                f"Given {name!r}: source must be a function, a mapping of arrays, or the path of a file, got "
                f"{type(source).__name__}"
            )

    def __repr__(self) -> str:
        what = "a function" if callable(self.source) else f"arrays {', '.join(map(str, self.source))}"
        return f"Given({self.name!r}, {what})"

    def on(self, domain: Domain) -> Function:
        """The data as a function of points in a domain."""
        if callable(self.source):
            return _OfCoordinates(self.name, self.source, domain.coordinates)
        columns = [i for i, name in enumerate(domain.coordinates) if name in self.source]
        if not 1 <= len(columns) <= 3:
            raise ConfigurationError(
                f"Given {self.name!r}: its arrays must have one to three of the coordinates "
                f"{', '.join(domain.coordinates)}, not {', '.join(map(str, self.source))}"
            )
        if self.name not in self.source:
            raise ConfigurationError(
                f"Given {self.name!r}: its arrays have no {self.name}, but {', '.join(map(str, self.source))}"
            )
        axes = [_array(self.name, domain.coordinates[i], self.source[domain.coordinates[i]]) for i in columns]
        axes, values = _grid(self.name, axes, _array(self.name, self.name, self.source[self.name]))
        for i, axis in zip(columns, axes, strict=True):
            self._check_axis(domain.coordinates[i], axis, domain.low[i], domain.high[i])
        return _OfGrid(Spline(axes, values, self.degree), columns)

    def _check_axis(self, name: str, axis: np.ndarray, low: float, high: float) -> None:
        if len(axis) <= self.degree or bool((np.diff(axis) <= 0).any()):
            raise ConfigurationError(
                f"Given {self.name!r}: {name} must be increasing, with more than {self.degree} numbers for degree "
                f"{self.degree}, got {len(axis)}"
            )
        margin = 1e-6 * (high - low)
        if axis[0] > low + margin or axis[-1] < high - margin:
            raise ConfigurationError(
                f"Given {self.name!r}: its {name} goes from {axis[0]:g} to {axis[-1]:g}, which leaves out a part of "
                f"the domain, from {low:g} to {high:g}"
            )


class _OfCoordinates:
    """A function of coordinates by name as one of points."""

    def __init__(self, name: str, function: Callable[..., Any], coordinates: tuple[str, ...]) -> None:
        self._name, self._function, self._coordinates = name, function, coordinates

    def __call__(self, points: Any) -> Any:
        columns = {name: points[:, i] for i, name in enumerate(self._coordinates)}
        result = call_by_name(self._function, {**columns, "points": points}, f"given {self._name!r}")
        if not hasattr(result, "shape") or isinstance(result, np.ndarray) or result.shape != points.shape[:1]:
            raise ConfigurationError(f"Given {self._name!r}: its function must return a tensor (n,), by torch")
        return result


class _OfGrid:
    """A spline in some of the coordinates as a function of points."""

    def __init__(self, spline: Spline, columns: Sequence[int]) -> None:
        self._spline, self._columns = spline, columns

    def __call__(self, points: Any) -> Any:
        return self._spline([points[:, i] for i in self._columns])


def _read(name: str, path: Path) -> Mapping[str, np.ndarray]:
    if path.suffix not in (".npz", ".csv"):
        raise ConfigurationError(f"Given {name!r}: {path} must be a file .npz, or .csv with a header")
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                return dict(file)
        table = np.genfromtxt(path, delimiter=",", names=True, deletechars="", autostrip=True)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Given {name!r}: {path} cannot be read: {' '.join(str(error).split())}") from error
    return {column: table[column] for column in table.dtype.names or ()}


def _array(name: str, key: str, values: Any) -> np.ndarray:
    found = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ConfigurationError(f"Given {name!r}: {key} must be finite real numbers")
    return found.astype(np.float64)


def _grid(name: str, axes: list[np.ndarray], values: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Axes and values of a grid, which may be given as a table of its places."""
    if any(axis.ndim != 1 for axis in axes):
        raise ConfigurationError(f"Given {name!r}: coordinates must be arrays of one dimension")
    sizes = tuple(map(len, axes))
    is_table = values.ndim == 1 and set(sizes) == {len(values)}
    if not is_table and values.shape != sizes:
        raise ConfigurationError(f"Given {name!r}: its values must be {sizes} as the axes say, got {values.shape}")
    if not is_table:
        return axes, values
    lines, places = zip(*(np.unique(axis, return_inverse=True) for axis in axes), strict=True)
    shape = tuple(map(len, lines))
    filled = np.full(shape, np.nan)
    filled[places] = values
    if len(values) != filled.size or np.isnan(filled).any():
        raise ConfigurationError(
            f"Given {name!r}: {len(values)} rows are no grid of {' x '.join(map(str, shape))} places; bring scattered "
            "data onto a grid first, for example with scipy.interpolate.griddata"
        )
    return list(lines), filled
