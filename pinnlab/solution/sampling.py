"""A solution beside its reference at many places: on a grid, or at single points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem
from pinnlab.problems.unknowns import with_reference
from pinnlab.solution.functions import with_functions, within_whatever_function

Array = NDArray[np.floating]

POINTS = 40_000
"""Of a grid whose sides nobody names: 201 each way in two dimensions, which figures and files take easily."""

MOST_POINTS = 50_000_000
"""Of a grid: 400 MB for each unknown in float64."""


class AnySolution(Protocol):
    """A solution as far as files and figures need it: its problem, and the unknowns `(n, m)` at points `(n, d)`."""

    problem: Problem

    def __call__(self, points: Any, /) -> Any:
        """The unknowns, in the kind of the points."""


@dataclass(frozen=True)
class Samples:
    """Unknowns, and `reference_<unknown>` where a reference is known, on a grid or at points.

    Attributes:
        axes: for each coordinate, in the problem's order, its values: of a grid `(k,)`, of points `(n,)`.
        values: for each name an array `(k1, ..., kd)`, of points `(n,)`. NaN outside of the domain (grids), where an
            unknown does not live, and where a reference is not known.
        is_grid: whether every value of a coordinate meets every value of the others.
    """

    axes: dict[str, Array]
    values: dict[str, Array]
    is_grid: bool

    def columns(self) -> dict[str, Array]:
        """Coordinates and values point by point, `(n,)` each; of a grid the last coordinate runs fastest."""
        if not self.is_grid:
            return {**self.axes, **self.values}
        places = np.meshgrid(*self.axes.values(), indexing="ij")
        flat = {name: place.reshape(-1) for name, place in zip(self.axes, places, strict=True)}
        return {**flat, **{name: value.reshape(-1) for name, value in self.values.items()}}


def at_points(solution: AnySolution, points: Tensor) -> Samples:
    """The solution at `(n, d)` points, also those outside of the domain; the reference inside only."""
    axes = {name: points[:, i].numpy() for i, name in enumerate(solution.problem.coordinates)}
    return Samples(axes, _values(solution, points, inside=solution.problem.domain.contains(points)), is_grid=False)


def on_grid(solution: AnySolution, sides: Mapping[str, Any]) -> Samples:
    """The solution on a regular grid.

    Args:
        solution: what to evaluate.
        sides: for each coordinate how many values, from end to end of the domain's bounding box, or the values
            themselves; for coordinates that are not named as many as make about `POINTS` points.

    Raises:
        ConfigurationError: a coordinate is unknown, a number below 2, or the grid too large.
    """
    axes = axes_of(solution.problem, sides)
    shape = tuple(len(axis) for axis in axes.values())
    if math.prod(shape) > MOST_POINTS:
        sizes = " x ".join(map(str, shape[:6])) + (" x ..." if len(shape) > 6 else "")
        raise ConfigurationError(f"grid: {sizes} are more than {MOST_POINTS:,} points; name fewer for each coordinate")
    places = torch.meshgrid(*(torch.from_numpy(axis) for axis in axes.values()), indexing="ij")
    points = torch.stack([place.reshape(-1) for place in places], -1)
    domain = solution.problem.domain
    inside = within_whatever_function(domain, points)
    values = _values(solution, points[inside], domain.contains(points[inside]))
    for name, value in values.items():
        whole = np.full(len(points), np.nan, dtype=value.dtype)
        whole[inside.numpy()] = value
        values[name] = whole.reshape(shape)
    return Samples(axes, values, is_grid=True)


def _values(solution: AnySolution, points: Tensor, inside: Tensor) -> dict[str, Array]:
    """Unknowns at all points, NaN where one does not live; references at those inside."""
    problem = solution.problem
    found = solution(points)
    values = {name: found[:, i].numpy() for i, name in enumerate(problem.unknowns)}
    for name, own in problem.living.items():
        if own.on is not None:
            values[name] = np.where(own.lives_at(points).numpy(), values[name], np.nan)
    if problem.reference() is None or not bool(inside.any()):
        return values
    reference = torch.full((len(points), len(problem.unknowns)), torch.nan, dtype=points.dtype)
    known = problem.reference_values(points[inside])
    assert known is not None  # there is a reference
    reference[inside] = known
    given = with_reference(problem.unknowns, known)
    return values | {f"reference_{name}": reference[:, i].numpy() for name, i in given}


def axes_of(problem: Problem, sides: Mapping[str, Any]) -> dict[str, Array]:
    """The values of each coordinate of a grid, see `on_grid`."""
    sides = with_functions(problem.domain, sides, needed=False)
    for name in sides:
        if name not in problem.coordinates:
            raise unknown("coordinate of the grid", name, problem.coordinates)
    ends = dict(zip(problem.coordinates, zip(problem.domain.low, problem.domain.high, strict=True), strict=True))
    given = {name: _axis(name, side, *ends[name]) for name, side in sides.items()}
    wide = len(ends) - sum(len(axis) == 1 for axis in given.values())  # one value, as of a function, takes no points
    default = max(round(POINTS ** (1 / max(wide, 1))), 2) | 1
    return {name: given[name] if name in given else _axis(name, default, *own) for name, own in ends.items()}


def _axis(name: str, side: Any, low: float, high: float) -> Array:
    """The values of one coordinate."""
    if isinstance(side, Integral) and not isinstance(side, bool):
        if side < 2:
            raise ConfigurationError(f"grid.{name}: must be at least 2, got {side}; for one value give a list, [{low}]")
        return np.linspace(low, high, int(side))
    try:
        given = side.detach().cpu() if isinstance(side, Tensor) else side
        axis = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"grid.{name}: must be a number of values or the values, got {side!r}") from error
    if isinstance(side, bool) or axis.ndim != 1 or not len(axis):
        raise ConfigurationError(f"grid.{name}: must be a number of values or the values, got {side!r}")
    return axis
