"""Unions: several domains as one, and the boundary that is left of theirs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import overload

import torch
from torch import Tensor

from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces
from pinnlab.domains.composite import RegionUnion
from pinnlab.domains.curves import Array
from pinnlab.domains.domain import Domain, Product
from pinnlab.domains.outline import Outline
from pinnlab.domains.overlap import parameters_of
from pinnlab.domains.rules import Rule, sobol
from pinnlab.domains.trimmed import of_larger
from pinnlab.errors import ConfigurationError

TRIALS = 4096
"""Points by which regions other than boxes are tried for a common part; less than a thousandth may be missed."""
SLACK = 1e-9
"""What counts as equal, relative to a side; far above rounding errors, far below any useful length."""


@overload
def Union(parts: Sequence[Domain]) -> DomainUnion: ...
@overload
def Union(parts: Sequence[Region]) -> Region: ...
def Union(parts: Sequence[Region]) -> Region:
    """All points of several regions with the same coordinates that only touch: `Union([Box(...), Box(...)])`.

    Args:
        parts: all of them domains, then the union is one, too; or all of them pieces of boundaries.

    Returns:
        A `DomainUnion` or a `RegionUnion`; unions among the parts are taken apart.

    Raises:
        ConfigurationError: there is no part, coordinates or dimensions differ, or domains overlap.

    >>> corner = Union([Box(["x", "y"], [0, 0], [2, 1]), Box(["x", "y"], [0, 1], [1, 2])])
    >>> corner.measure, corner.boundary().measure
    (3.0, 8.0)
    """
    domains = [part for part in parts if isinstance(part, Domain)]
    return DomainUnion(domains) if domains and len(domains) == len(parts) else RegionUnion(parts)


class DomainUnion(Domain):
    """Domains that only touch, as one domain; `Union` builds it.

    Its boundary is that of the parts without what lies on another part. Faces of boxes are cut exactly, wherever they
    meet; others must not lie on another part but in points and edges.

    Args:
        parts: the domains.

    Raises:
        ConfigurationError: there is none, their coordinates differ, or two of them overlap.
    """

    def __init__(self, parts: Sequence[Domain]) -> None:
        self.parts: tuple[Domain, ...] = tuple(
            p for part in parts for p in (part.parts if isinstance(part, DomainUnion) else (part,))
        )
        self._all = RegionUnion(self.parts)
        self.coordinates, self.unit_dim, self.measure = self._all.coordinates, self._all.unit_dim, self._all.measure
        self._envelope, self.parameters = self._all.envelope, parameters_of(self.parts)
        self.low = tuple(map(min, zip(*(part.low for part in self.parts), strict=True)))
        self.high = tuple(map(max, zip(*(part.high for part in self.parts), strict=True)))
        for one, other in itertools.combinations(self.parts, 2):
            if _overlap(one, other):
                raise ConfigurationError(f"parts: {one!r} and {other!r} overlap; cut one so that they only touch")

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._all.candidates(unit)

    def _distance(self, points: Tensor) -> Tensor:
        return self._all.distance(points)

    def _quadrature(self, count: int) -> Rule:
        return self._all.quadrature(count)

    @property
    def outline(self) -> Outline | None:
        """All parts in the plane joined, without the sides that they share."""
        joined = self.parts[0].outline
        for part in self.parts[1:]:
            joined = None if joined is None or part.outline is None else joined.combined("|", part.outline)
        return joined

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        return DomainUnion([part._moved(matrix, offset) for part in self.parts])

    def _boundary(self, names: frozenset[str]) -> Region:
        chosen = [name for name in self.coordinates if name in names]
        return self._uncovered(self.parts, lambda part: part.boundary(*chosen), f"boundary: of {', '.join(chosen)}")

    def _face(self, name: str, value: float) -> Region:
        column = self.coordinates.index(name)

        def has_end(part: Domain) -> bool:
            slack = SLACK * (part.high[column] - part.low[column])
            return min(abs(value - end) for end in (part.low[column], part.high[column])) <= slack

        parts = [part for part in self.parts if has_end(part)]
        return self._uncovered(parts, lambda part: part.face(**{name: value}), f"face: {name} = {value:g}")

    def _uncovered(self, parts: Sequence[Domain], side: Callable[[Domain], Region], what: str) -> Region:
        """What is left of a side of some parts when everything that lies on another part is taken away."""
        pieces: list[Region] = []
        for part in parts:
            others = [other for other in self.parts if other is not part]
            found = _outside(side(_simplified(part)), [_simplified(other) for other in others])
            pieces += map(of_larger, found) if others else found
        if not pieces:
            raise ConfigurationError(f"{what} is no part of the boundary of {self!r}")
        return pieces[0] if len(pieces) == 1 else RegionUnion(pieces)

    def __repr__(self) -> str:
        return repr(self._all)


def _simplified(domain: Domain) -> Domain:
    """A product of boxes as the box that it is."""
    if isinstance(domain, Product) and all(isinstance(factor, Box) for factor in domain.factors):
        return Box(domain.coordinates, domain.low, domain.high)
    return domain


def _overlap(one: Domain, other: Domain) -> bool:
    """Whether two domains have more in common than a part of their boundaries."""
    one, other = _simplified(one), _simplified(other)
    if isinstance(one, Box) and isinstance(other, Box):
        return _meet(one, other, range(one.dim))
    return _touches(one, other) or _touches(other, one)


def _touches(region: Region, domain: Domain) -> bool:
    """Whether some of the region's area lies in the domain, by trial."""
    unit = sobol(region.unit_dim, TRIALS)[0] if region.unit_dim else torch.empty(1, 0, dtype=torch.float64)
    return bool(domain.contains(region.from_unit(unit)).any())


def _outside(face: Region, others: Sequence[Domain]) -> list[Region]:
    """The pieces of a face that lie on none of the other domains.

    Raises:
        ConfigurationError: a domain covers a part of it that is no rectangle.
    """
    boxes = [other for other in others if isinstance(other, Box)]
    if isinstance(face, BoxFaces):
        pieces = _cut(face, boxes)
        others = [other for other in others if not isinstance(other, Box)]
    else:
        pieces = [face]
    for piece, other in itertools.product(pieces, others):
        if _touches(piece, other):
            raise ConfigurationError(
                f"boundary: {piece!r} lies partly on {other!r}; only where faces of boxes meet is it known what is left"
            )
    return pieces


def _cut(faces: BoxFaces, holes: Sequence[Box]) -> list[Region]:
    """The rectangles that are left of the faces of a box; those that are whole stay together."""
    whole, parts = [], []
    for face in faces.pieces():
        (axis, upper), box = face.faces[0], face.box
        end = box.high[axis] if upper else box.low[axis]
        across = [k for k in range(box.dim) if k != axis]
        slack = SLACK * box.sides[axis]
        covering = [
            hole
            for hole in holes
            if hole.low[axis] - slack <= end <= hole.high[axis] + slack and _meet(box, hole, across)
        ]
        left = [box]
        for hole in covering:
            left = [part for one in left for part in _without(one, hole, across)]
        if covering:
            parts += [BoxFaces(part, [(axis, upper)]) for part in left]
        else:
            whole.append((axis, upper))
    return [*([BoxFaces(faces.box, whole)] if whole else []), *parts]


def _meet(one: Box, other: Box, axes: Sequence[int]) -> bool:
    """Whether the projections of two boxes onto some axes have an area in common; onto none of them, a point."""
    return all(
        min(one.high[k], other.high[k]) - max(one.low[k], other.low[k]) > SLACK * min(one.sides[k], other.sides[k])
        for k in axes
    )


def _without(box: Box, hole: Box, axes: Sequence[int]) -> list[Box]:
    """A box without another one, seen along some axes only, as boxes."""
    if not _meet(box, hole, axes):
        return [box]
    pieces, low, high = [], list(box.low), list(box.high)
    for k in axes:
        slack = SLACK * box.sides[k]
        if hole.low[k] > low[k] + slack:
            pieces.append(Box(box.coordinates, low, [*high[:k], hole.low[k], *high[k + 1 :]]))
            low[k] = hole.low[k]
        if hole.high[k] < high[k] - slack:
            pieces.append(Box(box.coordinates, [*low[:k], hole.high[k], *low[k + 1 :]], high))
            high[k] = hole.high[k]
    return pieces
