"""Data of a problem: a coefficient, a source or a start that is known as numbers at places, or as a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinnlab.domains import Domain
from pinnlab.domains.functions import Field
from pinnlab.errors import ConfigurationError, in_short
from pinnlab.numerics.tables import read_arrays, read_table
from pinnlab.problems.checks import own_array
from pinnlab.problems.evaluation import call_by_name
from pinnlab.problems.scattered import RadialInterpolant
from pinnlab.problems.splines import Spline

MOST_SCATTERED = 4000
"""Places: a dense system of so many equations is solved in seconds."""

Function = Callable[[Any], Any]
"""Given data as a function of points `(n, d)`, a tensor or a jet: `(n,)`."""


class Given:
    """Data that the functions of a problem get by name: `Given("a", "a.npz")` is their argument `a`.

    There it is as an unknown is: a value in arithmetic, with derivatives `a.x`, `a.gradient()`, and in expressions such
    as `(a * u.x).d("x")`. Numbers on a grid become a spline through them, at scattered places a sum of powers of the
    distances to them.

    Args:
        name: of the argument.
        source: a function of coordinates (or `points`) by name, in torch operations; or arrays by name: one increasing
            axis `(n_i,)` for each coordinate that the data depend on, up to three, and under `name` the values
            `(n_1, ..., n_k)` in the order of the problem's coordinates, or with axes of these names, as those of an
            `xarray.Dataset` are. In place of the grid it may be a table, each array `(n,)`: all places of a grid in any
            order, or up to 4,000 scattered ones. Or the path of such a file: `.npz`, or `.csv` with a header. Or a
            trained solution of one unknown, or an unknown of one, `solution.u`: it is computed by its network, which is
            not trained any further.
        degree: of the spline, or the power of distances: 3 has two continuous derivatives, which fluxes need; 1 is
            linear interpolation on a grid.

    Raises:
        ConfigurationError: the file or an array is not what it must be; in a problem, when the data do not depend on
            its coordinates or do not cover its domain.
    """

    def __init__(self, name: str, source: Any, degree: int = 3) -> None:
        self.name, self.degree = name, degree
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigurationError(f"Given: name must be a name such as 'a', got {in_short(name)}")
        if not isinstance(degree, int) or degree not in (1, 3, 5):
            raise ConfigurationError(f"Given {name!r}: degree must be 1, 3 or 5, got {in_short(degree)}")
        self.source = _read(name, Path(source)) if isinstance(source, (str, Path)) else source
        if not callable(self.source) and not isinstance(self.source, Mapping):
            raise ConfigurationError(
                f"Given {name!r}: source must be a function, arrays by name such as {{'x': x, {name!r}: values}}, "
                f"the path of a file, or a trained solution, got {type(source).__name__}"
            )

    def __repr__(self) -> str:
        if callable(self.source):
            what = "a trained solution" if hasattr(self.source, "as_given") else "a function"
        else:
            what = f"arrays {', '.join(map(str, self.source))}"
        return f"Given({self.name!r}, {what})"

    def on(self, domain: Domain) -> Function:
        """The data as a function of points in a domain."""
        if hasattr(self.source, "as_given"):  # a solution, which this room does not know
            return self.source.as_given(self.name, domain)
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
        values: Any = self.source[self.name]
        if set(getattr(values, "dims", ())) == {domain.coordinates[i] for i in columns}:  # of xarray, in any order
            values = values.transpose(*(domain.coordinates[i] for i in columns))
        values = _array(self.name, self.name, values)
        if any(axis.ndim != 1 for axis in axes):
            raise ConfigurationError(f"Given {self.name!r}: coordinates must be arrays of one dimension")
        if values.ndim == 1 and {len(axis) for axis in axes} == {len(values)}:
            grid = _grid_of_table(axes, values)
            if grid is None:
                scattered = self._scattered(np.stack(axes, -1), values, domain, columns)
                return _OfColumns(scattered, columns, _fingerprint(axes, values, self.degree))
            axes, values = grid
        if values.shape != tuple(map(len, axes)):
            sizes = tuple(map(len, axes))
            raise ConfigurationError(
                f"Given {self.name!r}: its values must be {sizes} as the axes say, got {values.shape}"
            )
        for i, axis in zip(columns, axes, strict=True):
            if len(axis) <= self.degree or bool((np.diff(axis) <= 0).any()):
                raise ConfigurationError(
                    f"Given {self.name!r}: {domain.coordinates[i]} must be increasing, with more than {self.degree} "
                    f"numbers for degree {self.degree}, got {len(axis)}"
                )
            check_cover(self.name, axis, domain, i, margin=1e-6)
        return _OfColumns(Spline(axes, values, self.degree), columns, _fingerprint(axes, values, self.degree))

    def _scattered(
        self, places: np.ndarray, values: np.ndarray, domain: Domain, columns: Sequence[int]
    ) -> RadialInterpolant:
        if len(places) > MOST_SCATTERED:
            raise ConfigurationError(
                f"Given {self.name!r}: {len(places):,} rows are no grid, and more than {MOST_SCATTERED:,} scattered "
                "places; take fewer of them, or bring them onto a grid, for example with scipy.interpolate.griddata"
            )
        if len(np.unique(places, axis=0)) < len(places):
            raise ConfigurationError(f"Given {self.name!r}: a place is twice among its {len(places)} rows; leave one")
        for i, axis in zip(columns, places.T, strict=True):
            check_cover(self.name, axis, domain, i, margin=0.1)
        try:
            return RadialInterpolant(places, values, self.degree)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise ConfigurationError(f"Given {self.name!r}: no function through its places: {error}") from error


class _OfPoints:
    """Data of another problem as a source: a function that asks for `points`."""

    def __init__(self, data: Function) -> None:
        self._data = data
        self._fingerprint: list[float] | None = getattr(data, "_fingerprint", None)

    def __call__(self, points: Any) -> Any:
        return self._data(points)


class _OfCoordinates:
    """A function of coordinates by name as one of points."""

    def __init__(self, name: str, function: Callable[..., Any], coordinates: tuple[str, ...]) -> None:
        self._name, self._function, self._coordinates = name, function, coordinates
        self._fingerprint: list[float] | None = getattr(function, "_fingerprint", None)

    def __call__(self, points: Any) -> Any:
        columns = {name: points[:, i] for i, name in enumerate(self._coordinates)}
        result = call_by_name(self._function, {**columns, "points": points}, f"given {self._name!r}")
        if not hasattr(result, "shape") or isinstance(result, np.ndarray) or result.shape != points.shape[:1]:
            raise ConfigurationError(f"Given {self._name!r}: its function must return a tensor (n,), by torch")
        return result


class _OfColumns:
    """A function through numbers, of some of the coordinates, as a function of points."""

    def __init__(
        self, interpolant: Spline | RadialInterpolant, columns: Sequence[int], fingerprint: list[float]
    ) -> None:
        self._interpolant, self._columns, self._fingerprint = interpolant, columns, fingerprint

    def __call__(self, points: Any) -> Any:
        return self._interpolant([points[:, i] for i in self._columns])


def check_cover(name: str, axis: np.ndarray, domain: Domain, column: int, margin: float) -> None:
    """Whether data reach from end to end of a domain, but for a share of it.

    Args:
        name: of the data.
        axis: the values of a coordinate at which they are known.
        domain: where they are needed.
        column: the coordinate's.
        margin: the share that may be missing at an end.

    Raises:
        ConfigurationError: they leave out more.
    """
    coordinate, low, high = domain.coordinates[column], domain.low[column], domain.high[column]
    margin *= high - low
    least, most = axis.min(), axis.max()
    if least > low + margin or most < high - margin:
        raise ConfigurationError(
            f"Given {name!r}: its {coordinate} goes from {least:g} to {most:g}, which leaves out a part of "
            f"the domain, from {low:g} to {high:g}"
        )


def _fingerprint(axes: Sequence[np.ndarray], values: np.ndarray, degree: int) -> list[float]:
    """What tells numbers from others but for roundings, which another machine may have: sizes, and random products."""
    found, random = [float(degree)], np.random.default_rng(0)
    for numbers in (array.ravel().astype(np.float64) for array in (*axes, values)):
        size = float(np.linalg.norm(numbers))
        product = float(random.standard_normal(len(numbers)) @ numbers) / size if size else 0.0
        found += [float(len(numbers)), math.log(size) if size else 0.0, product]
    return found


def fingerprints(given: Mapping[str, Function]) -> dict[str, list[float]]:
    """What tells the numbers of a problem's data from others, by name; a function of one's own has none."""
    found = {name: getattr(data, "_fingerprint", None) for name, data in given.items()}
    return {name: fingerprint for name, fingerprint in found.items() if fingerprint is not None}


def are_same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two fingerprints are of the same numbers, to some nine digits."""
    return len(one) == len(other) and all(abs(a - b) <= 1e-9 for a, b in zip(one, other, strict=True))


def once_more(given: Mapping[str, Function]) -> list[Given]:
    """The data of a problem, functions of points by name, for another one with the same coordinates.

    The functions of its spaces are left out: they come with the domain.
    """
    return [Given(name, _OfPoints(data)) for name, data in given.items() if not isinstance(data, Field)]


def _read(name: str, path: Path) -> Mapping[str, np.ndarray]:
    if path.suffix.lower() not in (".npz", ".csv"):
        raise ConfigurationError(f"Given {name!r}: {path} must be a file .npz, or .csv with a header")
    if path.suffix.lower() == ".csv":
        table = read_table(path.absolute(), f"Given {name!r}")
        return {column.replace(" ", "_"): values for column, values in table.items()}  # names have no blanks
    return read_arrays(path, f"Given {name!r}")


def _array(name: str, key: str, values: Any) -> np.ndarray:
    found = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else own_array(values)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ConfigurationError(f"Given {name!r}: {key} must be finite real numbers")
    return found.astype(np.float64)


def _grid_of_table(axes: list[np.ndarray], values: np.ndarray) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Axes and values of the grid whose places a table has, each once; None where it has others."""
    lines, places = zip(*(np.unique(axis, return_inverse=True) for axis in axes), strict=True)
    shape = tuple(map(len, lines))
    if len(values) != np.prod(shape, dtype=float):
        return None
    filled = np.full(shape, np.nan)
    filled[places] = values
    return None if np.isnan(filled).any() else (list(lines), filled)
