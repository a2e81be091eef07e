"""What is left of a face when a test decides which of its points count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains.base import Region
from pinnlab.domains.cloud import Cloud
from pinnlab.domains.composite import RegionUnion
from pinnlab.domains.plane_curves import PlaneCurves
from pinnlab.domains.rules import Rule, sobol
from pinnlab.errors import ConfigurationError

Test = Callable[[Tensor, Tensor], Tensor]
"""Which of some points `(n, d)` of a face, with its normals `(n, d)` there, count: `(n,)` booleans."""

LOOKED_AT = 2**15
"""Points by which it is found whether all, some or none count, and the measure of what is left: to about 1e-3."""

_NEAR = 1e-6
"""Distance at which a point is on a face, and can be asked whether it counts, relative to the face's size."""


class Trimmed(Region):
    """A part of a face by rejection, or all of one at whose edges its domain does not end; `trimmed` builds it.

    Args:
        face: an infinite region.
        test: which of its points count; None for all.
        share: of the face's measure.
        flipped: whether normals point the other way.
    """

    def __init__(self, face: Region, test: Test | None, share: float, flipped: bool) -> None:
        self.face, self.test, self.flipped = face, test, flipped
        self.coordinates, self.unit_dim = face.coordinates, face.unit_dim
        self.measure, self._envelope = share * face.measure, face.envelope

    @property
    def dimension(self) -> int:
        """That of the face."""
        return self.face.dimension

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        points, kept = self.face.candidates(unit)
        if self.test is None:
            return points, kept
        mask = self.test(points, self.face.normals(points))
        return points, mask if kept is None else mask & kept

    def _quadrature(self, count: int) -> Rule:
        return self.face.quadrature(count) if self.test is None else super()._quadrature(count)

    def _distance(self, points: Tensor) -> Tensor:
        """A lower bound: that to the whole face; of points on it that do not count infinity."""
        distance = self.face.distance(points)
        if self.test is None:
            return distance
        rounding = 8 * torch.finfo(points.dtype).eps * points.abs().amax(dim=1)
        on = distance <= _NEAR * self.face.measure ** (1 / self.dimension) + rounding
        away = on.clone()
        away[on] = ~self.test(points[on], self.face.normals(points[on]))
        return distance.masked_fill(away, torch.inf)

    def _normals(self, points: Tensor) -> Tensor:
        normals = self.face.normals(points)
        return -normals if self.flipped else normals

    def __repr__(self) -> str:
        return f"Trimmed({self.face!r})"


def trimmed(face: Region, test: Test, flipped: bool = False) -> Region | None:
    """The part of a face whose points pass a test; None where there is none.

    Curves in the plane are cut exactly. Of other faces each piece is taken whole or left out where a sample of it says
    so, else points are rejected one by one.

    Args:
        face: a boundary, or a part of one.
        test: which points count; asked for normals as the face has them.
        flipped: whether the result's normals point the other way.
    """
    if face.count is not None:
        points = face.from_unit(torch.empty(1, 0, dtype=torch.float64))
        normals = face.normals(points)
        mask = test(points, normals)
        return Cloud(face.coordinates, points[mask], (-normals if flipped else normals)[mask]) if mask.any() else None
    if isinstance(face, PlaneCurves):
        curves = face.where(test)
        return PlaneCurves(face.coordinates, curves.curves.reversed()) if curves and flipped else curves
    pieces = face.pieces()
    if len(pieces) > 1:
        found = [part for piece in pieces if (part := trimmed(piece, test, flipped)) is not None]
        return RegionUnion(found) if len(found) > 1 else found[0] if found else None
    return _piece(face, test, flipped)


def trimmed_side(side: Callable[[Any], Region], domain: Any, test: Test, flipped: bool, grown: bool) -> Region | None:
    """What is left of a side of a domain, see `trimmed`; None also where it has no such side.

    Args:
        side: of a domain.
        domain: it.
        test: which points count.
        flipped: whether the result's normals point the other way.
        grown: whether the domain is a part of a larger one, see `of_larger`.
    """
    try:
        face = side(domain)
    except ConfigurationError:
        return None
    found = trimmed(face, test, flipped)
    return of_larger(found) if grown and found is not None else found


def of_larger(face: Region) -> Region:
    """A face of a part as one of the whole domain, which goes on beyond the face's edges: its plane cuts the domain."""
    if face.count is not None or isinstance(face, PlaneCurves | Trimmed):
        return face
    pieces = face.pieces()
    if len(pieces) > 1:
        return RegionUnion([of_larger(piece) for piece in pieces])
    return Trimmed(face, None, 1.0, False)


def _piece(face: Region, test: Test, flipped: bool) -> Region | None:
    points, kept = face.spread_evenly().candidates(sobol(face.unit_dim, LOOKED_AT)[0])
    points = points if kept is None else points[kept]
    passed = test(points, face.normals(points))
    if not passed.any():
        return None
    if passed.all():
        return Trimmed(face, None, 1.0, True) if flipped else face
    return Trimmed(face, test, float(passed.double().mean()), flipped)
