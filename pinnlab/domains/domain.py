"""Domains, their products (space times time), and what becomes of two: unions, intersections, differences."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains.base import NO_PRODUCT, Region, checked_names
from pinnlab.domains.composite import Columns, ProductFace, RegionUnion
from pinnlab.domains.curves import Array
from pinnlab.domains.moved import Image, Movable, MovedFace, Similarity, corners, mixes, stays
from pinnlab.domains.outline import Outline
from pinnlab.domains.overlap import Beside, bounds, on_line, overlap, parameters_of
from pinnlab.domains.plane_curves import numbers, sides
from pinnlab.domains.rules import Rule
from pinnlab.domains.selection import Selection, selected
from pinnlab.domains.trimmed import trimmed_side
from pinnlab.errors import ConfigurationError, check_real, unknown


class Domain(Region, Movable["Domain"]):
    """A full-dimensional region: what a differential equation holds on.

    Two domains with the same coordinates make others: `a - b`, `a | b`, `a & b`. In the plane the result is exact where
    both are bounded by lines, circles and ellipses (`Planar`), else points are rejected (`Combined`).

    Attributes:
        low, high: corners of the bounding box, one number per coordinate each.
        parameters: coordinates that are no places, see `Parameter`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    parameters: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """The number of coordinates: a domain has an interior."""
        return self.dim

    @property
    def outline(self) -> Outline | None:
        """The boundary as exact curves, of a domain in the plane that has such; else None."""
        return None

    def boundary(
        self, *coordinates: str, where: Callable[..., Any] | None = None, on: Region | Sequence[Region] | None = None
    ) -> Region:
        """The whole boundary, or a part of it, with the normals that lead out of this domain.

        Args:
            coordinates: only the faces whose normal lies in these coordinates; default: in all but parameters.
            where: only where this function is true; takes coordinates, `points` or `normal` by name, as
                `lambda x, y: y > 0.5`.
            on: only what lies on the boundary of this domain, such as a hole that was cut out; or of several.

        Raises:
            ConfigurationError: a coordinate is unknown or shares its faces (a disk's rim), or nothing is meant.
        """
        if not all(isinstance(name, str) for name in coordinates):
            raise ConfigurationError("boundary: coordinates are names; a function goes to where=, a domain to on=")
        self._check_known(coordinates)
        chosen = frozenset(coordinates or set(self.coordinates) - set(self.parameters) or self.coordinates)
        whole = self._boundary(chosen)
        if where is None and on is None:
            return whole
        if self.outline is not None and not coordinates:
            whole = sides(self.coordinates, self.outline, set(chosen))  # which can be cut exactly
        named: Any = on if on is None or isinstance(on, (list, tuple)) else [on]
        places = named and [region.boundary() if isinstance(region, Domain) else region for region in named]
        found = selected(whole, Selection(whole.coordinates, where, places))
        if found is None:
            raise ConfigurationError(f"boundary: where and on leave nothing of the boundary of {self!r}")
        return found

    def face(self, **fixed: float) -> Region:
        """The part of the boundary where one coordinate sits at an end of its interval: `face(t=0.0)`.

        Raises:
            ConfigurationError: not one coordinate is given, it is unknown or has no ends, or the value is no end.
        """
        if len(fixed) != 1:
            raise ConfigurationError(f"face: give exactly one coordinate, got {', '.join(fixed) or 'none'}")
        self._check_known(fixed)
        check_real("face", **fixed)
        return self._face(*next(iter(fixed.items())))

    def inside(self, points: Tensor) -> Tensor:
        """Which of the points `(n, d)` lie in the domain, `(n,)` booleans; on its boundary either may be said."""
        return self.distance(points) <= 0

    def signed_distance(self, points: Tensor) -> Tensor:
        """The distance of points `(n, d)` to the boundary, `(n,)`: negative inside, as far as `distance` is exact."""
        distance = self.distance(points)
        inside = distance <= 0
        return distance.masked_scatter(inside, -self.boundary(*self.coordinates).distance(points[inside]))

    def __mul__(self, other: Region) -> Product:
        if isinstance(other, Domain):
            return Product(self, other)
        if isinstance(other, Region):
            raise ConfigurationError(NO_PRODUCT)
        return NotImplemented

    def __sub__(self, other: Domain) -> Domain:
        return _combined("-", self, other)

    def __or__(self, other: Domain) -> Domain:
        return _combined("|", self, other)

    def __and__(self, other: Domain) -> Domain:
        return _combined("&", self, other)

    def _normals(self, points: Tensor) -> Tensor:
        raise ConfigurationError(f"normals: the interior of {self!r} has none; use its boundary() or face()")

    def _check_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.coordinates:
                raise unknown("coordinate", name, self.coordinates)

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        """The image under `x -> A x + b`."""
        outline, map = self.outline, Similarity(matrix, offset)
        moved = Planar(self.coordinates, outline.moved(matrix, offset)) if outline else Moved(self, map)
        moved.parameters = self.parameters
        return moved

    def _exactly(self, operation: str, one: Domain, other: Domain) -> Domain | None:
        """What two domains make, of which this is one, where its kind knows it; see `_combined`."""
        return None

    @abstractmethod
    def _boundary(self, names: frozenset[str]) -> Region:
        """`boundary` with all names known and at least one of them."""

    @abstractmethod
    def _face(self, name: str, value: float) -> Region:
        """`face` with a known name."""


class Product(Domain):
    """All pairs of points of domains with different coordinates: `Disk() * Interval("t", 0, 1)`.

    A product of products is flat: `factors` are never products themselves.

    Args:
        domains: the factors, in the order of their coordinates.

    Raises:
        ConfigurationError: there is no factor, or two factors share a coordinate.
    """

    def __init__(self, *domains: Domain) -> None:
        self.factors: tuple[Domain, ...] = tuple(
            f for d in domains for f in (d.factors if isinstance(d, Product) else (d,))
        )
        self.coordinates = checked_names([name for f in self.factors for name in f.coordinates])
        self.low = tuple(a for f in self.factors for a in f.low)
        self.high = tuple(b for f in self.factors for b in f.high)
        self.parameters = tuple(name for f in self.factors for name in f.parameters)
        self._points = Columns(self.factors)
        self.unit_dim = self._points.unit_dim
        self.measure = math.prod(f.measure for f in self.factors)
        self._envelope = math.prod(f.envelope for f in self.factors)

    @property
    def outline(self) -> Outline | None:
        """That of the rectangle that two intervals make."""
        fills = math.isclose(self.measure, math.prod(b - a for a, b in zip(self.low, self.high, strict=True)))
        return Outline.rectangle(self.low, self.high) if self.dim == 2 and fills else None

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._points.candidates(unit)

    def _distance(self, points: Tensor) -> Tensor:
        return self._points.distance(points)

    def inside(self, points: Tensor) -> Tensor:
        """Which points lie in all factors."""
        pairs = zip(self.factors, self._points.split(points), strict=True)
        return torch.stack([factor.inside(columns) for factor, columns in pairs]).all(0)

    def _quadrature(self, count: int) -> Rule:
        return self._points.quadrature(count) or super()._quadrature(count)

    def _boundary(self, names: frozenset[str]) -> Region:
        named = [(factor, [name for name in factor.coordinates if name in names]) for factor in self.factors]
        faces = [self._swap(factor, factor.boundary(*own)) for factor, own in named if own]
        return faces[0] if len(faces) == 1 else RegionUnion(faces)

    def _face(self, name: str, value: float) -> Region:
        factor = next(f for f in self.factors if name in f.coordinates)
        return self._swap(factor, factor.face(**{name: value}))

    def _swap(self, factor: Domain, face: Region) -> Region:
        return face if len(self.factors) == 1 else ProductFace(self.factors, self.factors.index(factor), face)

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        """Factor by factor, where none mixes its coordinates with those of another."""
        blocks = self._points.blocks()
        if not mixes(matrix, blocks):
            pairs = zip(self.factors, [(matrix[own, own], offset[own]) for own in blocks], strict=True)
            return Product(*(factor if stays(*map) else factor._moved(*map) for factor, map in pairs))
        return super()._moved(matrix, offset)

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors))


class Planar(Domain):
    """A domain in the plane that lines and arcs of circles and ellipses bound, exactly.

    Points are mapped from the unit square without rejection, see `pinnlab.domains.slabs`. `Box(...) - Disk(...)` and
    the like are such domains, and `Polygon`, `Triangle`, `Ellipse`.

    Args:
        coordinates: the names of the two coordinates.
        outline: the boundary.
    """

    unit_dim = 2

    def __init__(self, coordinates: Sequence[str], outline: Outline) -> None:
        self.coordinates = checked_names(coordinates)
        self._outline = outline
        low, high = outline.corners
        self.low, self.high = tuple(low.tolist()), tuple(high.tolist())
        self.measure = outline.area

    @property
    def outline(self) -> Outline:  # noqa: D102
        return self._outline

    def inside(self, points: Tensor) -> Tensor:
        """Which points lie inside, by the number of curves below them."""
        return torch.from_numpy(self.outline.slabs.inside(numbers(points))).to(points.device)

    def contains(self, points: Tensor, tolerance: float = 1e-9) -> Tensor:
        """Which points lie inside, or so close to the boundary; see `Region.contains`."""
        self._check_columns("points", points, 2)
        rounding = 8 * torch.finfo(points.dtype).eps * points.abs().amax(dim=1)
        return torch.from_numpy(self.outline.contains(numbers(points), numbers(tolerance + rounding))).to(points.device)

    def _from_unit(self, unit: Tensor) -> Tensor:
        return torch.from_numpy(self.outline.slabs.map(numbers(unit))).to(unit)

    def _quadrature(self, count: int) -> Rule:
        return self.outline.rule(count) or super()._quadrature(count)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.from_numpy(self.outline.distance(numbers(points))).to(points)

    def _boundary(self, names: frozenset[str]) -> Region:
        return sides(self.coordinates, self.outline, names)

    def _face(self, name: str, value: float) -> Region:
        return sides(self.coordinates, self.outline, {name}, value)

    def __repr__(self) -> str:
        return f"Planar({', '.join(self.coordinates)}; {self.outline.curves.in_words()}, area {self.measure:.6g})"


class Combined(Domain):
    """Two domains of any dimension as one: a difference, a union or an intersection, by rejection.

    The measure is exact where one domain lies in the other, or they have nothing in common, or both are boxes; else it
    is that of quasi-random points, to about 1e-3. `distance` is a lower bound that is exact near faces.

    Args:
        operation: "-", "|" or "&" of `one` and `other`.

    Raises:
        ConfigurationError: nothing is left.
    """

    def __init__(self, operation: str, one: Domain, other: Domain) -> None:
        self.operation, self.one, self.other = operation, one, other
        self.coordinates = one.coordinates
        self._boundaries: dict[frozenset[str], Region] = {}  # a cut asks for those of all cuts before it, several times
        common = overlap(one, other)
        self.measure = {"-": one.measure - common, "&": common}.get(operation, one.measure + other.measure - common)
        if self.measure <= 1e-9 * one.measure:
            raise ConfigurationError(f"domain: {self!r} is empty")
        self.low, self.high = bounds(operation, one, other)
        self._from: Region = other if operation == "&" and other.envelope < one.envelope else one
        if operation == "|":
            rest = [other] if common == 0 else [Combined("-", other, one)] if common < other.measure else []
            self._from = RegionUnion([one, *rest])
        self.unit_dim, self._envelope = self._from.unit_dim, self._from.envelope

    def inside(self, points: Tensor) -> Tensor:
        """By what the two domains say."""
        one, other = self.one.inside(points), self.other.inside(points)
        return one & ~other if self.operation == "-" else one & other if self.operation == "&" else one | other

    def signed_distance(self, points: Tensor) -> Tensor:
        """By the larger or the smaller of the two domains' own."""
        one, other = self.one.signed_distance(points), self.other.signed_distance(points)
        return one.minimum(other) if self.operation == "|" else one.maximum(-other if self.operation == "-" else other)

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        points, kept = self._from.candidates(unit)
        if self.operation == "|":
            return points, kept
        mask = ~self.other.inside(points) if self.operation == "-" else self.inside(points)
        return points, mask if kept is None else mask & kept

    def _quadrature(self, count: int) -> Rule:
        return on_line(self, count) if self.dim == 1 else super()._quadrature(count)

    def _distance(self, points: Tensor) -> Tensor:
        return self.signed_distance(points).clamp_min(0.0)

    def _boundary(self, names: frozenset[str]) -> Region:
        if names not in self._boundaries:
            chosen = [name for name in self.coordinates if name in names]
            told = f"boundary: of {', '.join(chosen)}"
            self._boundaries[names] = self._left(lambda domain: domain.boundary(*chosen), told)
        return self._boundaries[names]

    def _face(self, name: str, value: float) -> Region:
        return self._left(lambda domain: domain.face(**{name: value}), f"face: {name} = {value:g}")

    def _left(self, side: Callable[[Domain], Region], what: str) -> Region:
        """What is left of a side of both domains; one that has no such side is passed over."""
        cut, both = self.operation == "-", self.operation == "&"
        own = Beside(self.other, within=both, shared="against" if cut else "same")
        tests = [(self.one, own, False), (self.other, Beside(self.one, within=both or cut), cut)]
        parts = [part for of in tests if (part := trimmed_side(side, *of, grown=not (cut or both)))]
        if not parts:
            raise ConfigurationError(f"{what} is no part of the boundary of {self!r}")
        return parts[0] if len(parts) == 1 else RegionUnion(parts)

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        return _combined(self.operation, self.one._moved(matrix, offset), self.other._moved(matrix, offset))

    def __repr__(self) -> str:
        return f"({self.one!r} {self.operation} {self.other!r})"


class Moved(Image["Domain"], Domain):
    """A domain moved, turned or enlarged as a whole; `translate`, `rotate`, `scale` build it where no other kind fits.

    Args:
        domain: what is moved.
        map: how.

    Raises:
        ConfigurationError: the map does not keep shapes.
    """

    def __init__(self, domain: Domain, map: Similarity) -> None:
        if not map.keeps_shapes:
            raise ConfigurationError(f"scale: {domain!r} cannot be stretched; give one factor for all coordinates")
        super().__init__(domain, map)
        self.low, self.high = corners(map.matrix, map.offset, domain.low, domain.high)

    def inside(self, points: Tensor) -> Tensor:
        """Where the domain had them."""
        return self.region.inside(self.map.back(points))

    def _boundary(self, names: frozenset[str]) -> Region:
        if len(names) < self.dim:
            raise ConfigurationError(f"boundary: of {self!r} only the whole one is known; use where=...")
        return MovedFace(self.region.boundary(), self.map)

    def _face(self, name: str, value: float) -> Region:
        raise ConfigurationError(f"face: {name} has no ends of its own in {self!r}; use boundary(where=...)")


def _combined(operation: str, one: Domain, other: Domain) -> Domain:
    """`one - other` and the like: by their curves where both have some, else by rejection."""
    if not isinstance(other, Domain):
        return NotImplemented
    what = f"domain: {one!r} {operation} {other!r}"
    if one.coordinates != other.coordinates:
        raise ConfigurationError(f"{what} needs the same coordinates in the same order on both sides")
    parts = operation, one, other
    if one.outline is None or other.outline is None:
        made = one._exactly(*parts) or other._exactly(*parts) or Combined(*parts)
    elif outline := one.outline.combined(operation, other.outline):
        made = Planar(one.coordinates, outline)
    else:
        raise ConfigurationError(f"{what} is empty")
    made.parameters = parameters_of([one, other])
    return made
