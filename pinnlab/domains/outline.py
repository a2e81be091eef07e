"""Closed curves that bound a region of the plane; unions, intersections and differences of such regions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnlab.domains.crossings import CLOSE, crossings
from pinnlab.domains.curves import Array, Curves
from pinnlab.domains.nearest import Nearest, nearest
from pinnlab.domains.rules import Rule
from pinnlab.domains.slabs import Slabs

PLACES = 10_000
"""Along a boundary, by which points are found that may be close to it."""


@dataclass(frozen=True)
class Outline:
    """A region of the plane by all of its boundary.

    Attributes:
        curves: closed, with the region on their left; they touch each other at ends only.
    """

    curves: Curves

    @staticmethod
    def rectangle(low: Sequence[float], high: Sequence[float]) -> Outline:
        """The axis-parallel one with these corners."""
        (a, b), (c, d) = low, high
        return Outline(Curves.polygon(np.array([[a, b], [c, b], [c, d], [a, d]], dtype=np.float64)))

    @functools.cached_property
    def slabs(self) -> Slabs:
        """The region in slabs."""
        return Slabs(self.curves)

    @functools.cached_property
    def area(self) -> float:
        """The area."""
        return self.curves.area()

    @functools.cached_property
    def corners(self) -> tuple[Array, Array]:
        """The corners `(2,)` of the bounding box."""
        low, high = self.curves.corners()
        return low.min(0), high.max(0)

    @property
    def size(self) -> float:
        """The longer side of the bounding box."""
        low, high = self.corners
        return float((high - low).max())

    def nearest(self, points: Array) -> Nearest:
        """The nearest point of the boundary for each of `(n, 2)` points."""
        return nearest(points, self.curves)

    def rule(self, count: int) -> Rule | None:
        """Gauss points for integrals over the region, see `Slabs.rule`; their weights add up to the area."""
        found = self.slabs.rule(count)
        if found is None:
            return None
        nodes, weights = found
        return torch.from_numpy(nodes), torch.from_numpy(weights * (self.area / weights.sum()))

    def distance(self, points: Array) -> Array:
        """The distance `(n,)` of points to the region, 0 in it."""
        distance = np.zeros(len(points))
        outside = ~self.slabs.inside(points)
        distance[outside] = self.nearest(points[outside]).distance
        return distance

    def contains(self, points: Array, tolerance: Array) -> NDArray[np.bool_]:
        """Which points lie in the region or at most their tolerance `(n,)` from it; fast for many points."""
        found = self.slabs.inside(points)
        outside = np.flatnonzero(~found)
        tree, step = self._places
        far = tree.query(points[outside], distance_upper_bound=step + float(tolerance.max(initial=0.0)))[0]
        near = outside[np.isfinite(far)]
        found[near] = self.nearest(points[near]).distance <= tolerance[near]
        return found

    @functools.cached_property
    def _places(self) -> tuple[cKDTree, float]:
        """Places all along the boundary, and a distance from one of which every point of the boundary has less."""
        lengths = self.curves.lengths()
        counts = np.ceil(PLACES * lengths / lengths.sum()).astype(np.intp)
        rows = np.repeat(np.arange(len(counts)), counts)
        number = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
        pieces = self.curves.take(rows)
        points = pieces.at(pieces.by_length((number + 0.5) / counts[rows]))
        return cKDTree(points), float((lengths / counts).max())

    def sides(self, axis: int, value: float | None = None) -> Curves:
        """The lines along which a coordinate stays the same, or is a value; maybe none."""
        curves, slack = self.curves, 1e-9 * self.size
        chosen = curves.straight & (np.abs(curves.along[:, axis]) <= slack)
        if value is not None:
            chosen &= np.abs(curves.start[:, axis] - value) <= slack
        return curves.take(chosen)

    def moved(self, matrix: Array, offset: Array) -> Outline:
        """The region under `x -> A x + b`."""
        return Outline(self.curves.moved(matrix, offset))

    def combined(self, operation: str, other: Outline) -> Outline | None:
        """The region `a - b`, `a | b` or `a & b`, without parts that have no area; None where it is empty.

        Every piece is cut where it meets the other boundary; each part then lies inside or outside of the other region,
        or on its boundary, and is kept or not. What both boundaries share is kept once, where it still parts inside
        from outside.
        """
        slack = CLOSE * max(self.size, other.size)
        meetings = crossings(self.curves, other.curves, slack)
        mine = _cut(self.curves, [(i, p) for i, p, _, _ in meetings], slack)
        theirs = _cut(other.curves, [(j, q) for _, _, j, q in meetings], slack)
        inside, same, against = _places(mine, other, slack)
        apart = ~inside & ~same & ~against
        inside_me, same_, against_ = _places(theirs, self, slack)
        apart_me = ~inside_me & ~same_ & ~against_
        if operation == "-":
            parts = [mine.take(apart | against), theirs.take(inside_me).reversed()]
        elif operation == "|":
            parts = [mine.take(apart | same), theirs.take(apart_me)]
        else:
            parts = [mine.take(inside | same), theirs.take(inside_me)]
        curves = Curves.joined(parts)
        return Outline(curves) if len(curves) and curves.area() > CLOSE**2 else None


def _cut(curves: Curves, cuts: list[tuple[int, float]], slack: float) -> Curves:
    """The pieces in parts, cut at parameters; cuts closer than the slack are one."""
    at: dict[int, list[float]] = {}
    for k, p in cuts:
        at.setdefault(k, []).append(p)
    lengths = curves.lengths()
    rows: list[int] = []
    begin: list[float] = []
    end: list[float] = []
    for k in range(len(curves)):
        least, own = 2 * slack / lengths[k], [0.0]
        for p in sorted(at.get(k, ())):
            if p - own[-1] > least and 1.0 - p > least:
                own.append(p)
        rows += [k] * len(own)
        begin += own
        end += [*own[1:], 1.0]
    return curves.take(np.array(rows)).part(np.array(begin), np.array(end))


def _places(parts: Curves, region: Outline, slack: float) -> tuple[NDArray[np.bool_], ...]:
    """Which parts lie inside of a region, along its boundary in the same sense, and along it the other way."""
    middle = np.full(len(parts), 0.5)
    points = parts.at(middle)
    close = region.nearest(points)
    on = close.distance <= 2 * slack
    sense = (parts.velocity(middle) * region.curves.take(close.piece).velocity(close.parameter)).sum(1)
    return region.slabs.inside(points) & ~on, on & (sense > 0), on & (sense < 0)
