"""Smooth distances: functions that vanish on a boundary and nowhere else, to make conditions hold exactly.

They are built from R-functions (Rvachev), as Sukumar and Srivastava do (arXiv 2104.08426). To first order at the
boundary they are the distance: their normal derivative there is 1. Inside they are smooth but where pieces of a
boundary meet. All of it is torch operations with rules for jets, so that an `ansatz` may use them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from pinnlab.domains.ball import Ball, Disk, Sphere
from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.curves import Curves
from pinnlab.domains.domain import Combined, Domain, Moved, Product
from pinnlab.domains.moved import MovedFace, Similarity
from pinnlab.domains.overlap import touch
from pinnlab.domains.plane_curves import PlaneCurves
from pinnlab.domains.trimmed import Trimmed
from pinnlab.domains.union import DomainUnion
from pinnlab.errors import ConfigurationError

Function = Callable[[Sequence[Any]], Any]
"""Of columns `(n,)`, tensors or jets, one for each coordinate."""

MOST_PIECES = 500
"""Of curves: each costs some twenty operations at every point."""


class SmoothDistance:
    """A smooth function of the coordinates that is 0 on a boundary and positive elsewhere, see `distance`.

    Args:
        region: the boundary.
        function: of its columns.
    """

    def __init__(self, region: Region, function: Function) -> None:
        self.region = region
        self._function = function

    def __call__(self, *columns: Any) -> Any:
        """The value `(n,)` at coordinates `(n,)` each, tensors or jets, in the order of the region's coordinates.

        Raises:
            ConfigurationError: there are not as many columns as coordinates.
        """
        names = self.region.coordinates
        if len(columns) != len(names):
            raise ConfigurationError(f"distance: takes {', '.join(names)} one by one, got {len(columns)} values")
        return self._function(columns)

    def __repr__(self) -> str:
        return f"distance({self.region!r})"


def distance(region: Region) -> SmoothDistance:
    """A smooth approximate distance to a boundary, for an `ansatz` by which conditions hold exactly.

    `g + distance(domain)(x, y) * u` is g on the whole boundary of the domain, whatever u is. Pieces of curves in the
    plane are joined by R-equivalence, so that their order does not matter; faces of boxes likewise, and they end at
    their edges where the domain goes on; combinations in space by the R-conjunction `a + b - sqrt(a^2 + b^2)` of their
    parts.

    Args:
        region: a domain, for all of its boundary; or a part of a boundary.

    Raises:
        ConfigurationError: it is a kind of region that has none, as meshes and what was cut out of faces in space, or a
            boundary of very many pieces.

    >>> phi = distance(Disk(radius=2.0))
    >>> phi(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])).tolist()
    [0.0, 1.0]
    """
    if isinstance(region, Combined) and not _meets_itself(region):
        signed = _signed(region)
        return SmoothDistance(region, lambda columns: abs(signed(columns)))
    if isinstance(region, DomainUnion) and region.outline is not None:
        return SmoothDistance(region, _to_curves(region.outline.curves))
    return SmoothDistance(region, _to(region.boundary() if isinstance(region, Domain) else region))


def _to(face: Region, ends: bool = False) -> Function:
    """The smooth distance to a boundary or a part of one.

    Args:
        face: it.
        ends: whether the domain goes on beyond the face's edges, so that the face's plane cuts it.
    """
    if isinstance(face, PlaneCurves):
        return _to_curves(face.curves)
    if isinstance(face, Sphere):
        inside = _in_ball(face)
        return lambda columns: abs(inside(columns))
    if isinstance(face, BoxFaces):
        return _equivalent([_to_face(face, axis, upper, ends) for axis, upper in face.faces])
    if isinstance(face, RegionUnion) and len({part.box for part in face.parts if isinstance(part, BoxFaces)}) <= 1:
        return _equivalent([_to(part, ends) for part in face.parts])
    if isinstance(face, ProductFace):
        return _to_product(face, ends)
    if isinstance(face, Trimmed) and face.test is None:
        return _to(face.face, ends=True)
    if isinstance(face, MovedFace):
        back, inner, factor = _back(face.map), _to(face.region, ends), face.map.factor
        return lambda columns: factor * inner(back(columns))
    raise ConfigurationError(
        f"distance: {face!r} has no smooth distance; use a condition in the loss there, or a function of your own"
    )


def _equivalent(functions: Sequence[Function]) -> Function:
    """R-equivalence of order 2, `1 / sqrt(sum(1 / f^2))`: pair by pair, so that one may be 0."""
    if len(functions) > MOST_PIECES:
        raise ConfigurationError(f"distance: a boundary of {len(functions)} pieces; at most {MOST_PIECES} are possible")
    return lambda columns: functools.reduce(_joined, [function(columns) for function in functions])


def _joined(a: Any, b: Any) -> Any:
    total = a * a + b * b
    both = total == 0  # a corner, where two pieces meet
    return a * b / torch.where(both, torch.ones_like(total), total).sqrt()


def _to_face(faces: BoxFaces, axis: int, upper: bool, ends: bool) -> Function:
    """To a plane: a face of a box reaches as far as anybody inside of it sees; `ends`: to the rectangle."""
    end = faces.box.high[axis] if upper else faces.box.low[axis]
    sides = zip(faces.box.low, faces.box.high, strict=True)
    across = [_between(k, a, b) for k, (a, b) in enumerate(sides) if k != axis] if ends else []
    return _trimmed(lambda columns: end - columns[axis], across)


def _to_product(face: ProductFace, ends: bool) -> Function:
    """To a face of one factor, wherever the others are; `ends`: where a point is in all of these."""
    own = _columns_of(face.parts)
    inner = _to(face.parts[face.place], ends)
    others = [part for k, part in enumerate(zip(face.parts, own, strict=True)) if k != face.place and ends]
    return _trimmed(_of_columns(inner, own[face.place]), [_of_columns(_signed(part), at) for part, at in others])


def _columns_of(parts: Sequence[Region]) -> list[slice]:
    edges = np.cumsum([0, *(part.dim for part in parts)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _of_columns(function: Function, own: slice) -> Function:
    return lambda columns: function(columns[own])


def _to_curves(curves: Curves) -> Function:
    return _equivalent([_to_piece(curves.take(np.array([k]))) for k in range(len(curves))])


def _to_piece(piece: Curves) -> Function:
    """To a line or an arc: the distance to all of the line or ellipse, trimmed by a disk that its ends lie on."""
    whole = _to_line(piece) if piece.straight[0] else _to_ellipse(piece)
    if abs(float(piece.sweep[0])) >= 2 * math.pi * (1 - 1e-12):
        return _trimmed(whole, [])
    return _trimmed(whole, [_to_chord(piece) if not piece.straight[0] else _around(piece)])


def _trimmed(whole: Function, within: Sequence[Function]) -> Function:
    """The distance to where a function is 0, but only where others are positive, with a slope of 1 at their zeros."""
    if not within:
        return lambda columns: abs(whole(columns))

    def trimmed(columns: Sequence[Any]) -> Any:
        f, t = whole(columns), functools.reduce(_conjunction, [inner(columns) for inner in within])
        square = f * f
        size = (t * t + square * square).sqrt()
        half = (size + abs(t)) / 2  # (size - t) / 2 = f^4 / (4 half): no square root of 0 on the piece itself
        on = t > 0
        small = square * abs(f) / (4 * half)
        near = abs(f) * (1 + small * small).sqrt()
        far = (torch.where(on, torch.ones_like(square), square + half * half)).sqrt()
        return torch.where(on, near, far)

    return trimmed


def _to_line(line: Curves) -> Function:
    (ax, ay), (dx, dy) = line.start[0].tolist(), line.along[0].tolist()
    length = math.hypot(dx, dy)
    return lambda columns: (columns[0] - ax) * (dy / length) - (columns[1] - ay) * (dx / length)


def _around(line: Curves) -> Function:
    """Positive in the disk around a line's middle on whose rim its ends are."""
    (x, y), length = (line.start[0] + line.along[0] / 2).tolist(), float(line.lengths()[0])
    return lambda columns: (length**2 / 4 - (columns[0] - x) ** 2 - (columns[1] - y) ** 2) / length


def _to_chord(arc: Curves) -> Function:
    """Positive on the side of the line through an arc's ends on which the arc lies."""
    ends, middle = arc.ends, arc.at(np.array([0.5]))[0]
    (ax, ay), (bx, by) = ends[0][0].tolist(), ends[1][0].tolist()
    length = math.hypot(bx - ax, by - ay)
    normal = np.array([by - ay, ax - bx]) / length
    nx, ny = (normal * np.sign(normal @ (middle - ends[0][0]))).tolist()
    return lambda columns: (columns[0] - ax) * nx + (columns[1] - ay) * ny


def _to_ellipse(arc: Curves) -> Function:
    """Positive inside of the ellipse: `1 - |z|^2` over its slope, which is exact to first order.

    Of a region inside of it with something more, so that it is finite at the centre.
    """
    (a, b), (c, d) = np.linalg.inv(arc.matrix[0]).tolist()
    x, y = arc.start[0].tolist()
    size, convex = float(np.linalg.svd(arc.matrix[0])[1].min()), float(arc.sweep[0]) > 0

    def value(columns: Sequence[Any]) -> Any:
        u, v = columns[0] - x, columns[1] - y
        p, q = a * u + b * v, c * u + d * v
        inner = 1 - p * p - q * q
        slope = (a * p + c * q) ** 2 + (b * p + d * q) ** 2
        return inner / (4 * slope + (inner / size) ** 2 if convex else 4 * slope).sqrt()

    return value


def _signed(domain: Region) -> Function:
    """Positive inside, negative outside, 0 on the boundary."""
    if isinstance(domain, Combined) and not _meets_itself(domain):
        one, other = _signed(domain.one), _signed(domain.other)
        sign = -1.0 if domain.operation == "|" else 1.0  # a | b is what is not outside of both

        def value(columns: Sequence[Any]) -> Any:
            a, b = sign * one(columns), other(columns)
            b = -b if domain.operation in "-|" else b
            return sign * (a + b - (a * a + b * b).sqrt())

        return value
    if isinstance(domain, Ball | Disk):
        return _in_ball(domain)
    if isinstance(domain, Moved):
        back, moved, factor = _back(domain.map), _signed(domain.region), domain.map.factor
        return lambda columns: factor * moved(back(columns))
    if isinstance(domain, Product):
        own = zip(domain.factors, _columns_of(domain.factors), strict=True)  # a boundary leaves parameters out
        parts = [_of_columns(_signed(factor), at) for factor, at in own if factor.coordinates != factor.parameters]
        return lambda columns: functools.reduce(_conjunction, [inner(columns) for inner in parts])
    if isinstance(domain, Box):
        sides = [_between(k, a, b) for k, (a, b) in enumerate(zip(domain.low, domain.high, strict=True))]
        return lambda columns: functools.reduce(_conjunction, [inner(columns) for inner in sides])
    raise ConfigurationError(f"distance: {domain!r} has no smooth distance with a sign; use a condition in the loss")


def _meets_itself(domain: Combined) -> bool:
    """Whether it joins two domains that share a face: there both have a distance of 0, and so would all of it."""
    return domain.operation == "|" and touch(domain.one, domain.other)


def _back(map: Similarity) -> Callable[[Sequence[Any]], list[Any]]:
    """The coordinates of the points of which those with the given coordinates are images."""
    rows, offset = (map.matrix.T / map.factor**2).tolist(), map.offset.tolist()

    def back(columns: Sequence[Any]) -> list[Any]:
        seen = [x - b for x, b in zip(columns, offset, strict=True)]
        return [sum(weight * x for weight, x in zip(row, seen, strict=True)) for row in rows]

    return back


def _between(k: int, a: float, b: float) -> Function:
    """Positive where a coordinate is between two ends."""
    return lambda columns: (columns[k] - a) * (b - columns[k]) / (b - a)


def _conjunction(a: Any, b: Any) -> Any:
    """Positive where both are: `a + b - sqrt(a^2 + b^2)`."""
    return a + b - (a * a + b * b).sqrt()


def _in_ball(ball: Any) -> Function:
    """`(r^2 - |x - c|^2) / (2 r)`."""

    def value(columns: Sequence[Any]) -> Any:
        squares = [(x - c) ** 2 for x, c in zip(columns, ball.center, strict=True)]
        return (ball.radius**2 - functools.reduce(lambda a, b: a + b, squares)) / (2 * ball.radius)

    return value
