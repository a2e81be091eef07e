"""What a region is: a map from the unit cube that carries the uniform measure to the uniform measure.

So any design on the cube (Sobol', grid, Latin hypercube, random) becomes points on the region, and a
boundary is a region like any other. Regions are immutable; they hold Python floats only, and points take
their dtype and device from the unit points.
"""

from __future__ import annotations

import copy
import keyword
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import rules
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError, check_names, in_short

RESERVED_NAMES = frozenset({"points", "normal"})


NO_PRODUCT = "boundary: has no products; name its coordinates, as in (x * t).boundary('x')"


class Region(ABC):
    """A set of points with named coordinates and a uniform measure.

    A subclass sets the attributes and supplies `_from_unit`, `_distance` and `_normals`, which receive
    tensors whose number of columns has been checked. One that has no such map, as a ball without another ball, supplies
    `_candidates` and `envelope` instead: a map onto something larger, and which of the points are in the region.

    Attributes:
        coordinates: the names, one per column of the points.
        unit_dim: how many columns `from_unit` needs; 0 for a finite set of points.
        measure: length, area or volume; the number of points of a finite set.
        count: the number of points of a finite set, else None.
    """

    coordinates: tuple[str, ...]
    unit_dim: int
    measure: float
    count: int | None = None
    _envelope: float | None = None

    @property
    def dim(self) -> int:
        """The number of coordinates."""
        return len(self.coordinates)

    @property
    def dimension(self) -> int:
        """The region's own dimension: `dim` in a domain, one less on its boundary (0 for a finite set of points)."""
        return self.dim - 1

    @property
    def is_full_dimensional(self) -> bool:
        """Whether the region has an interior, so that something that holds in it holds all around a point."""
        return self.dimension == self.dim

    @property
    def envelope(self) -> float:
        """The measure of what the unit cube is mapped onto: that of the region, unless some candidates are rejected."""
        return self.measure if self._envelope is None else self._envelope

    def from_unit(self, unit: Tensor) -> Tensor:
        """Maps points of the unit cube onto the region, the uniform measure to the uniform measure.

        Args:
            unit: `(n, unit_dim)` in [0, 1). For a finite region `(n, 0)`, and `n` is ignored.

        Returns:
            `(n, dim)` points with the dtype and device of `unit`; `(count, dim)` for a finite region; those of the
            candidates that are in the region, in their order, where some are rejected.

        Raises:
            ConfigurationError: `unit` has another number of columns.
        """
        points, kept = self.candidates(unit)
        return points if kept is None else points[kept]

    def candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        """The image of points of the unit cube, and which of it is in the region.

        Args:
            unit: `(n, unit_dim)` in [0, 1).

        Returns:
            `(n, dim)` points, and `(n,)` booleans; None in their place where the map is onto the region itself.

        Raises:
            ConfigurationError: `unit` has another number of columns.
        """
        self._check_columns("unit", unit, self.unit_dim)
        return self._candidates(unit)

    def pieces(self) -> Sequence[Region]:
        """The parts of which the region is made, as the sides of a box; by default the region itself."""
        return (self,)

    def distance(self, points: Tensor) -> Tensor:
        """The Euclidean distance of `(n, dim)` points to the region, `(n,)`; 0 on it."""
        self._check_columns("points", points, self.dim)
        return self._distance(points)

    def normals(self, points: Tensor) -> Tensor:
        """Outward unit normals `(n, dim)` of the face that is nearest to each of the `(n, dim)` points.

        On an edge between faces the first face counts.

        Raises:
            ConfigurationError: the region is a domain, whose interior has no normal.
        """
        self._check_columns("points", points, self.dim)
        return self._normals(points)

    def contains(self, points: Tensor, tolerance: float = 1e-9) -> Tensor:
        """Tells for each of the `(n, dim)` points whether it lies in the region, `(n,)` bool.

        Args:
            points: the points.
            tolerance: largest distance that counts as inside, on top of a few rounding errors of the
                points themselves. The default is far below any useful distance between points.
        """
        distance = self.distance(points)
        rounding = 8 * torch.finfo(points.dtype).eps * points.abs().amax(dim=1)
        return distance <= tolerance + rounding

    def quadrature(self, count: int) -> Rule:
        """A rule for integrals over the region: about `count` nodes `(q, dim)`, and their weights `(q,)`, in float64.

        The weights add up to the measure. Nodes are Gauss-Legendre points along the sides of boxes, the pieces of a
        line, the radius of disks, both directions of other domains in the plane and the factors of products, equally
        spaced along circles, and Sobol' points elsewhere and in more than a few dimensions. Lines of a boundary in the
        plane have two nodes at least, arcs 16 a turn. A finite region is summed up.

        Raises:
            ConfigurationError: `count` is below 1.
        """
        if count < 1:
            raise ConfigurationError(f"points: a quadrature needs at least one, got {count}")
        if self.count is not None:
            points = self.from_unit(torch.empty(1, 0, dtype=torch.float64))
            return points, torch.ones(len(points), dtype=torch.float64)
        return self.spread_evenly()._quadrature(count)

    def spread_evenly(self) -> Region:
        """The same region with points that are uniform in it; itself, unless it or a part of it gathers its points."""
        even = {name: made for name, value in vars(self).items() if (made := evenly(value)) is not value}
        if not even:
            return self
        region = copy.copy(self)
        vars(region).update(even)
        return region

    def __mul__(self, other: Region) -> Region:
        """Only domains have products; a boundary times time is a part of the boundary of the product."""
        raise ConfigurationError(NO_PRODUCT)

    def _quadrature(self, count: int) -> Rule:
        """`quadrature` of an infinite region; by default quasi-random points, mapped from the cube."""
        tried = math.ceil(count * self.envelope / self.measure)
        while True:
            rule = self._mapped(rules.sobol(self.unit_dim, tried))
            if len(rule[1]):
                return rule
            tried *= 2

    def _mapped(self, rule: Rule) -> Rule:
        """A rule on the unit cube carried over to the region, as any function's mean is."""
        unit, weights = rule
        points, kept = self.candidates(unit)
        if kept is None:
            return points, self.measure * weights
        return points[kept], self.measure / weights[kept].sum() * weights[kept]

    def _check_columns(self, key: str, rows: Tensor, columns: int) -> None:
        if rows.ndim != 2 or rows.shape[1] != columns:
            raise ConfigurationError(f"{key}: {self!r} needs shape (n, {columns}), got {tuple(rows.shape)}")

    def _from_unit(self, unit: Tensor) -> Tensor:
        """`from_unit` after the check, of a region that rejects nothing."""
        raise NotImplementedError(f"{type(self).__name__} has neither _from_unit nor _candidates")

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        """`candidates` after the check."""
        return self._from_unit(unit), None

    @abstractmethod
    def _distance(self, points: Tensor) -> Tensor:
        """`distance` after the check."""

    @abstractmethod
    def _normals(self, points: Tensor) -> Tensor:
        """`normals` after the check."""


def evenly(value: Any) -> Any:
    """A region, or several, see `Region.spread_evenly`, and anything else as it is."""
    if isinstance(value, tuple | list):
        even = [evenly(part) for part in value]
        return value if all(a is b for a, b in zip(even, value, strict=True)) else type(value)(even)
    return value.spread_evenly() if hasattr(value, "spread_evenly") else value


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns coordinate names as a tuple, or raises ConfigurationError for the first unusable one."""
    check_names("coordinates", names, "x")
    if not names:
        raise ConfigurationError("coordinates: a region needs at least one")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(
                f"coordinates: a name must be text such as 'x', got {in_short(name)}; they come first: "
                "Interval('x', 0, 1), Box(['x', 'y'], 0, 1), Disk(center=(0, 0))"
            )
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigurationError(f"coordinates: {name!r} is not a valid Python identifier")
        if name in RESERVED_NAMES:
            raise ConfigurationError(f"coordinates: {name!r} is reserved; choose another name")
        if name in seen:
            raise ConfigurationError(f"coordinates: {name!r} appears twice")
        seen.add(name)
    return tuple(names)


def place_in_words(names: Iterable[str], point: Iterable[Any]) -> str:
    """A point for a message, as `x = 0.5, t = 1`."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip(names, point, strict=True))


def checked_vector(key: str, value: float | Sequence[float], dim: int) -> tuple[float, ...]:
    """Broadcasts a number to `dim` finite floats, or raises ConfigurationError that names the key."""
    try:
        numbers = tuple(float(v) for v in value) if isinstance(value, Sequence) else (float(value),) * dim
    except (TypeError, ValueError):
        raise ConfigurationError(f"{key}: expected a number or a list of numbers, got {in_short(value)}") from None
    if len(numbers) != dim:
        raise ConfigurationError(f"{key}: expected {dim} numbers, one per coordinate, got {len(numbers)}")
    if not all(map(math.isfinite, numbers)):
        raise ConfigurationError(f"{key}: expected finite numbers, got {in_short(value)}")
    return numbers


def shares_to_edges(weights: Sequence[float]) -> tuple[float, ...]:
    """Cuts [0, 1] in proportion to positive weights: the `len(weights) + 1` edges, from 0 to 1."""
    total = math.fsum(weights)
    return (0.0, *(math.fsum(weights[:k]) / total for k in range(1, len(weights))), 1.0)


def pick_part(column: Tensor, edges: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Chooses a part of [0, 1) by a uniform number and makes what is left of it uniform again.

    Re-using the number keeps a stratified design stratified: every part gets its share of the points,
    and they are spread evenly over it.

    Args:
        column: `(n,)` numbers in [0, 1).
        edges: the edges of the parts, from `shares_to_edges`.

    Returns:
        `(n,)` index of the part, and `(n,)` position in it, in [0, 1).
    """
    cuts = column.new_tensor(edges)
    part = torch.searchsorted(cuts[1:-1], column.contiguous(), right=True)
    position = (column - cuts[part]) / (cuts[part + 1] - cuts[part])
    below_one = 1.0 - torch.finfo(column.dtype).eps / 2
    return part, position.clamp(0.0, below_one)
