"""Intervals, axis-parallel boxes and their faces, in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pinnlab.domains import rules
from pinnlab.domains.base import (
    Region,
    checked_names,
    checked_vector,
    pick_part,
    shares_to_edges,
)
from pinnlab.domains.curves import Array
from pinnlab.domains.domain import Domain
from pinnlab.domains.moved import corners
from pinnlab.domains.outline import Outline
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError, check_real


class Box(Domain):
    """The axis-parallel box `low_k <= x_k <= high_k`.

    Args:
        coordinates: the names of the coordinates.
        low: lower corner; a single number holds for all coordinates.
        high: upper corner, likewise.

    Raises:
        ConfigurationError: a name is unusable, or a side is empty.

    >>> Box(["x", "y"], 0.0, [1.0, 2.0]).boundary().measure
    6.0
    """

    def __init__(self, coordinates: Sequence[str], low: float | Sequence[float], high: float | Sequence[float]) -> None:
        self.coordinates = checked_names(coordinates)
        self.low = checked_vector("low", low, self.dim)
        self.high = checked_vector("high", high, self.dim)
        for name, a, b in zip(self.coordinates, self.low, self.high, strict=True):
            if not a < b:
                raise ConfigurationError(f"low, high: {name} needs low < high, got {a:g} and {b:g}")
        self.unit_dim = self.dim
        self.measure = math.prod(self.sides)

    @staticmethod
    def cube(prefix: str, dim: int, low: float = 0.0, high: float = 1.0) -> Box:
        """The cube `[low, high]^dim` with coordinates `prefix1` to `prefix<dim>`."""
        if dim < 1:
            raise ConfigurationError(f"dim: a cube needs at least one dimension, got {dim}")
        return Box([f"{prefix}{k}" for k in range(1, dim + 1)], low, high)

    @property
    def sides(self) -> tuple[float, ...]:
        """The length of each side."""
        return tuple(b - a for a, b in zip(self.low, self.high, strict=True))

    @property
    def outline(self) -> Outline | None:
        """The four sides of a rectangle."""
        return Outline.rectangle(self.low, self.high) if self.dim == 2 else None

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        """A box, unless it is turned."""
        if np.count_nonzero(matrix - np.diag(np.diagonal(matrix))):
            return super()._moved(matrix, offset)
        low, high = corners(matrix, offset, self.low, self.high)
        return Box(self.coordinates, low, high)

    def _from_unit(self, unit: Tensor) -> Tensor:
        low = unit.new_tensor(self.low)
        return low + unit * unit.new_tensor(self.sides)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.linalg.vector_norm(overshoot(self, points), dim=1)

    def _quadrature(self, count: int) -> Rule:
        rule = rules.gauss(self.dim, count)
        return super()._quadrature(count) if rule is None else self._mapped(rule)

    def _boundary(self, names: frozenset[str]) -> Region:
        axes = [k for k, name in enumerate(self.coordinates) if name in names]
        return BoxFaces(self, [(k, upper) for k in axes for upper in (False, True)])

    def _face(self, name: str, value: float) -> Region:
        axis = self.coordinates.index(name)
        low, high, slack = self.low[axis], self.high[axis], 1e-9 * self.sides[axis]
        for upper, end in ((False, low), (True, high)):
            if abs(value - end) <= slack:
                return BoxFaces(self, [(axis, upper)])
        raise ConfigurationError(f"face: {name} = {value:g} is not an end of [{low:g}, {high:g}]")

    def __repr__(self) -> str:
        if self.dim == 1:
            return f"Interval({self.coordinates[0]!r}, {self.low[0]:g}, {self.high[0]:g})"
        if self.dim > 4:
            names = f"{self.coordinates[0]}..{self.coordinates[-1]}"
            return f"Box({names}, {min(self.low):g}, {max(self.high):g})"
        names, low, high = (
            "(" + ", ".join(parts) + ")"
            for parts in (
                map(repr, self.coordinates),
                [f"{a:g}" for a in self.low],
                [f"{b:g}" for b in self.high],
            )
        )
        return f"Box({names}, {low}, {high})"


class Interval(Box):
    """The interval `[low, high]` of one coordinate: a box of one dimension.

    Args:
        name: the name of the coordinate.
        low: its lower end.
        high: its upper end.

    >>> (Interval("x", -1, 1) * Interval("t", 0, 1)).face(t=0.0).measure
    2.0
    """

    def __init__(self, name: str, low: float, high: float) -> None:
        super().__init__((name,), low, high)

    def between(self, low: float, high: float) -> Interval:
        """One of the same kind between other ends."""
        return type(self)(self.coordinates[0], low, high)

    def _moved(self, matrix: Array, offset: Array) -> Interval:
        (low,), (high,) = corners(matrix, offset, self.low, self.high)
        return self.between(low, high)


class GradedInterval(Interval):
    """The interval with more points near its lower end: for times, where most happens early.

    The root of a place is uniform, the `power`-th one, as seen from the lower end. Integrals are those of the interval.

    Args:
        name: the name of the coordinate.
        low: its lower end.
        high: its upper end.
        power: 1 would be the plain interval; with 2, half of the points lie in the first quarter.

    Raises:
        ConfigurationError: as for a box, or the power is below 1.
    """

    def __init__(self, name: str, low: float, high: float, power: float = 2.0) -> None:
        super().__init__(name, low, high)
        check_real("", power=power)
        if not power >= 1:
            raise ConfigurationError(f"power: must be at least 1, got {power:g}")
        self.power = float(power)

    def _from_unit(self, unit: Tensor) -> Tensor:
        return super()._from_unit(unit**self.power)

    def between(self, low: float, high: float) -> GradedInterval:
        """One of the same power between other ends."""
        return GradedInterval(self.coordinates[0], low, high, self.power)

    def spread_evenly(self) -> Interval:
        """The plain interval."""
        return Interval(self.coordinates[0], self.low[0], self.high[0])

    def __repr__(self) -> str:
        return f"GradedInterval({self.coordinates[0]!r}, {self.low[0]:g}, {self.high[0]:g}, power={self.power:g})"


class Parameter(Interval):
    """A number that a problem is to be solved for all values of: a coordinate that is no place.

    The solution is then a function of it too: one network for a family of equations. Unless it is named, `boundary()`
    leaves it out, and so do the operators `u.laplacian()` and `divergence`, as they do with the time.

    Args:
        name: the name of the coordinate.
        low: its least value.
        high: its largest value.

    >>> (Interval("x", 0, 1) * Parameter("nu", 0.1, 0.5)).boundary().measure
    0.8
    """

    def __init__(self, name: str, low: float, high: float) -> None:
        super().__init__(name, low, high)
        self.parameters = self.coordinates

    def __repr__(self) -> str:
        return f"Parameter({self.coordinates[0]!r}, {self.low[0]:g}, {self.high[0]:g})"


class BoxFaces(Region):
    """Some faces of a box, each in proportion to its area. `Box.boundary` and `Box.face` build it.

    All faces are handled at once, so the 2d faces of a box in d = 100 dimensions cost no loop. The two
    ends of an interval are a finite region.

    Args:
        box: the box.
        faces: which ones, as `(axis, upper end?)`; at least one.
    """

    def __init__(self, box: Box, faces: Sequence[tuple[int, bool]]) -> None:
        self.box = box
        self.faces = tuple(faces)
        self.coordinates = box.coordinates
        self.unit_dim = box.dim - 1
        areas = [math.prod(box.sides[:k] + box.sides[k + 1 :]) for k, _ in self.faces]
        self.measure = math.fsum(areas)
        self.count = len(self.faces) if self.unit_dim == 0 else None
        # Reciprocal sides are in the proportion of the areas, and cannot overflow in many dimensions.
        self._edges = shares_to_edges([1.0 / box.sides[k] for k, _ in self.faces])
        self._axes = [k for k, _ in self.faces]
        self._signs = [1.0 if upper else -1.0 for _, upper in self.faces]
        self._ends = [box.high[k] if upper else box.low[k] for k, upper in self.faces]

    def _from_unit(self, unit: Tensor) -> Tensor:
        axes, ends = torch.tensor(self._axes, device=unit.device), unit.new_tensor(self._ends)
        if self.unit_dim == 0:
            return ends[:, None]
        face, first = pick_part(unit[:, 0], self._edges)
        free = torch.cat([first[:, None], unit[:, 1:]], dim=1)
        axis = axes[face][:, None]
        # The box's column k reads the k-th free column before the face's axis and the (k-1)-th after it.
        column = torch.arange(self.dim, device=unit.device).expand(len(unit), -1)
        column = (column - (column > axis).long()).clamp(max=self.unit_dim - 1)
        points = self.box.from_unit(free.gather(1, column))
        return points.scatter(1, axis, ends[face][:, None])

    def pieces(self) -> Sequence[BoxFaces]:
        """Each face by itself."""
        return [BoxFaces(self.box, [face]) for face in self.faces]

    def _quadrature(self, count: int) -> Rule:
        if len(self.faces) > 1 and rules.pays(self.unit_dim, count // len(self.faces)):
            shares = [(face, face.measure / self.measure) for face in self.pieces()]
            return rules.joined([face.quadrature(max(round(share * count), 1)) for face, share in shares])
        rule = rules.gauss(self.unit_dim, count) if len(self.faces) == 1 else None
        return super()._quadrature(count) if rule is None else self._mapped(rule)

    def _distance(self, points: Tensor) -> Tensor:
        return self._squared_distances(points).amin(dim=1).sqrt()

    def _normals(self, points: Tensor) -> Tensor:
        face = self._squared_distances(points).argmin(dim=1)
        axis = torch.tensor(self._axes, device=points.device)[face][:, None]
        return torch.zeros_like(points).scatter(1, axis, points.new_tensor(self._signs)[face][:, None])

    def _squared_distances(self, points: Tensor) -> Tensor:
        """`(n, faces)`: to each face, the distance along its axis and the overshoot along the others."""
        squares = overshoot(self.box, points).square()
        along = (points[:, self._axes] - points.new_tensor(self._ends)).square()
        return along + (squares.sum(dim=1, keepdim=True) - squares[:, self._axes]).clamp_min(0.0)

    def __repr__(self) -> str:
        shown = [f"{self.coordinates[k]}={end:g}" for k, end in zip(self._axes, self._ends, strict=True)]
        if len(shown) > 8:
            shown = [*shown[:2], "...", shown[-1]]
        return f"BoxFaces({self.box!r}, {', '.join(shown)})"


def overshoot(box: Box, points: Tensor) -> Tensor:
    """How far each coordinate lies outside its side of the box, `(n, dim)`; 0 inside."""
    low, high = points.new_tensor(box.low), points.new_tensor(box.high)
    return torch.maximum(low - points, points - high).clamp_min(0.0)
