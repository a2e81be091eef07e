"""A plane region cut into slabs `x0 < x < x1` in which its boundary is a stack of graphs y = f(x), one above another.

From it follow exactly what is inside, and a map of the unit square onto the region that carries the uniform measure to
the uniform measure: the first number chooses x by the area to the left of it (solved for x), the second one a place in
what the region has at this x. This is the inverse of Rosenblatt's transformation (Ann. Math. Stat. 23, 1952): it keeps
the order of a design in both directions, and no point is rejected.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pinnlab.domains.curves import Array, Curves, Index

CHUNK = 200_000
"""Numbers of graphs that are evaluated together: 1.6 MB, which a cache holds."""
FEWEST = 4
"""Gauss points along each side of a cell at least: with fewer, quasi-random points are as good."""
NEAR = 0.1
"""Distance, in widths of a slab, from its end to where an arc turns back, within which nodes gather at both ends."""
ROOT_STEPS = 60
"""At most; bisection alone would need so many, Newton's method takes about six."""


class Slabs:
    """The slabs of the region on the left of closed curves.

    A graph is `level + slope (x - x0) + bend sqrt(1 - ((x - center) / radius)^2)`, with the slab's own x0; of a line
    bend is 0.

    Args:
        curves: which touch each other at ends only.

    Attributes:
        edges: `(s + 1,)` where slabs begin and end, rising.
    """

    def __init__(self, curves: Curves) -> None:
        low, high, graphs = _graphs(curves)
        self.edges = _distinct(np.concatenate([low, high]))
        order: list[Index] = []
        for x in (self.edges[1:] + self.edges[:-1]) / 2:
            there = np.flatnonzero((low < x) & (x < high))
            there = there[np.argsort(_height(graphs[there], x), kind="stable")]
            order.append(there[: len(there) // 2 * 2])
        width = max(*map(len, order), 2)
        # What a slab lacks to the largest number is filled with its last graph, an even number of times: no area.
        own = np.stack(
            [np.pad(there, (0, width - len(there)), mode="edge" if len(there) else "constant") for there in order]
        )
        tables = graphs[own]
        tables[[len(there) == 0 for there in order], :, :3] = 0.0
        self._level, self._slope, self._bend, self._center, self._radius = np.moveaxis(tables, -1, 0).copy()
        self._level += self._slope * (self.edges[:-1, None] - self._center)
        self._signs = np.where(np.arange(width) % 2, 1.0, -1.0)
        self._curved = (self._bend != 0).any(1)
        slabs = np.arange(len(order))
        self._begin = self._primitive(slabs, self.edges[:-1])
        self._areas = np.maximum(self._primitive(slabs, self.edges[1:]) - self._begin, 0.0)
        self._size = float(self._areas.sum())
        self._shares = np.concatenate([[0.0], self._areas.cumsum() / self._size])

    def inside(self, points: Array) -> NDArray[np.bool_]:
        """Which of the points `(n, 2)` lie in the region; on its boundary either may be said."""
        x, y = points.T
        slab = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        found = np.zeros(len(points), dtype=bool)
        for rows in self._chunks(len(points)):
            below = (self._heights(slab[rows], x[rows]) < y[rows, None]).sum(1)
            found[rows] = below % 2 == 1
        return found & (x >= self.edges[0]) & (x <= self.edges[-1])

    def map(self, unit: Array) -> Array:
        """Points of the region `(n, 2)` for points of the unit square."""
        slab = np.searchsorted(self._shares[1:-1], unit[:, 0], side="right")
        goal = np.clip((unit[:, 0] - self._shares[slab]) * self._size, 0.0, self._areas[slab])
        points = np.empty_like(unit)
        for rows in self._chunks(len(unit)):
            points[rows] = self._placed(slab[rows], goal[rows], unit[rows, 1])
        return points

    def rule(self, count: int) -> tuple[Array, Array] | None:
        """Nodes `(q, 2)` and weights of about `count` Gauss points, for integrals of what is smooth in the region.

        Each slab has as many cells as its vertical lines have parts; each cell has the same product of Gauss rules, in
        y and in x: between lines polynomials are exact. Where an arc turns back at an edge of the slab, or next to it,
        x is `middle - half cos(angle)`, in which it is smooth.

        Returns:
            None where a cell would have too few points.
        """
        parts = self._level.shape[1] // 2
        widths = np.diff(self.edges)
        middles = self._heights(np.arange(len(widths)), self.edges[:-1] + widths / 2).reshape(len(widths), parts, 2)
        slab, part = np.nonzero(middles[:, :, 1] > middles[:, :, 0])
        side = round(math.sqrt(count / len(slab)))
        if side < FEWEST:
            return None
        nodes, weights = np.polynomial.legendre.leggauss(side)
        angle, graphs = (nodes + 1) * math.pi / 2, self._turns()
        turns = (graphs[slab, 2 * part] | graphs[slab, 2 * part + 1])[:, None]
        place = np.where(turns, 1 - np.cos(angle), nodes + 1) / 2
        share = np.where(turns, np.sin(angle) * math.pi / 2, 1.0) * weights / 2
        x = self.edges[slab, None] + widths[slab, None] * place
        heights = self._heights(np.repeat(slab, side), x.ravel()).reshape(len(slab), side, parts, 2)
        low, high = np.moveaxis(heights[np.arange(len(slab)), :, part], -1, 0)
        y = low[..., None] + (high - low)[..., None] * (nodes + 1) / 2
        weight = (widths[slab, None] * share * (high - low))[..., None] * weights / 2
        return np.stack([np.broadcast_to(x[..., None], y.shape).ravel(), y.ravel()], -1), weight.ravel()

    def _turns(self) -> NDArray[np.bool_]:
        """Which graphs `(s, k)` turn back at an edge of their slab, or next to it."""
        before = self.edges[:-1, None] - (self._center - self._radius)
        behind = self._center + self._radius - self.edges[1:, None]
        near: NDArray[np.bool_] = np.minimum(before, behind) < NEAR * np.diff(self.edges)[:, None]
        near &= self._bend != 0
        return near

    def _placed(self, slab: Index, goal: Array, height: Array) -> Array:
        x = self._abscissa(slab, goal)
        heights = self._heights(slab, x)
        bottoms, tops = heights[:, ::2], heights[:, 1::2]
        lengths = np.maximum(tops - bottoms, 0.0)
        ends = lengths.cumsum(1)
        place = height * ends[:, -1]
        part = np.minimum((place[:, None] >= ends).sum(1), lengths.shape[1] - 1)
        rows = np.arange(len(x))
        bottom, length, end = (table[rows, part] for table in (bottoms, lengths, ends))
        return np.stack([x, bottom + np.clip(place - (end - length), 0.0, length)], -1)

    def _abscissa(self, slab: Index, goal: Array) -> Array:
        """Where so much of a slab's area is on the left: a quadratic equation between lines, else Newton's method."""
        low, high = self.edges[slab], self.edges[slab + 1]
        ends = [
            self._heights(np.arange(len(self._level)), edge) @ self._signs for edge in (self.edges[:-1], self.edges[1:])
        ]
        first, slope = ends[0][slab], ((ends[1] - ends[0]) / np.diff(self.edges))[slab]
        root = np.sqrt(np.maximum(first**2 + 2 * slope * goal, 0.0))
        x = low + np.divide(2 * goal, first + root, out=np.zeros_like(goal), where=first + root > 0)
        x = np.clip(x, low, high)
        bent = np.flatnonzero(self._curved[slab])
        if len(bent):
            x[bent] = self._root(slab[bent], goal[bent], x[bent])
        return x

    def _root(self, slab: Index, goal: Array, x: Array) -> Array:
        """Newton's method, safeguarded by bisection, until steps or remainders are rounding errors."""
        low, high = self.edges[slab], self.edges[slab + 1]
        close = 4e-16 * np.abs(self.edges).max()
        x, rows = x.copy(), np.arange(len(x))
        for _ in range(ROOT_STEPS):
            there, own = x[rows], slab[rows]
            value = self._primitive(own, there) - self._begin[own] - goal[rows]
            slope = self._heights(own, there) @ self._signs
            high, low = np.where(value > 0, there, high), np.where(value > 0, low, there)
            new = there - np.divide(value, slope, out=np.full_like(there, np.inf), where=slope > 0)
            new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
            x[rows] = new
            on = (np.abs(new - there) > close) & (np.abs(value) > 4e-16 * self._size)
            if not on.any():
                break
            rows, low, high = rows[on], low[on], high[on]
        return x

    def _heights(self, slab: Index, x: Array) -> Array:
        """The graphs `(n, k)` of a slab at x, from below."""
        height = self._level[slab] + self._slope[slab] * (x - self.edges[slab])[:, None]
        bent = np.flatnonzero(self._curved[slab])
        if len(bent):
            own = slab[bent]
            ratio = (x[bent, None] - self._center[own]) / self._radius[own]
            height[bent] += self._bend[own] * np.sqrt(np.maximum(1 - ratio**2, 0.0))
        return height

    def _primitive(self, slab: Index, x: Array) -> Array:
        """An integral over x of how much of a vertical line lies in the region."""
        step = (x - self.edges[slab])[:, None]
        area = (self._level[slab] + self._slope[slab] * step / 2) * step
        bend, radius = self._bend[slab], self._radius[slab]
        ratio = np.clip((x[:, None] - self._center[slab]) / radius, -1.0, 1.0)
        area += bend * radius / 2 * (ratio * np.sqrt(1 - ratio**2) + np.arcsin(ratio))
        return area @ self._signs

    def _chunks(self, count: int) -> list[slice]:
        size = max(CHUNK // self._level.shape[1], 1)
        return [slice(k, k + size) for k in range(0, count, size)]


def _height(graphs: Array, x: float) -> Array:
    """The heights at x of graphs `(n, 5)` of level, slope, bend, center and radius, whose x0 is their center."""
    level, slope, bend, center, radius = graphs.T
    return level + slope * (x - center) + bend * np.sqrt(np.maximum(1 - ((x - center) / radius) ** 2, 0.0))


def _graphs(curves: Curves) -> tuple[Array, Array, Array]:
    """Curves as graphs over x: where each begins and ends `(n,)`, and its five numbers `(n, 5)`."""
    pieces = _monotone(curves)
    first, last = pieces.ends
    low, high = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 0], last[:, 0])
    size = max(float(high.max() - low.min()), 1e-300)
    kept = high - low > 1e-13 * size
    pieces, low, high, first = pieces.take(kept), low[kept], high[kept], first[kept]
    lines = pieces.straight
    graphs = np.zeros((len(pieces), 5))
    graphs[:, 4] = 1.0
    d = pieces.along[lines]
    graphs[lines, 0], graphs[lines, 1], graphs[lines, 3] = first[lines, 1], d[:, 1] / d[:, 0], first[lines, 0]
    arcs = pieces.take(~lines)
    (a, b), (c, d_) = arcs.matrix[:, 0].T, arcs.matrix[:, 1].T
    radius, turn = np.hypot(a, b), np.arctan2(b, a)
    along, across = c * np.cos(turn) + d_ * np.sin(turn), d_ * np.cos(turn) - c * np.sin(turn)
    above = np.sign(np.sin(arcs.first + arcs.sweep / 2 - turn))
    graphs[~lines] = np.stack([arcs.start[:, 1], along / radius, across * above, arcs.start[:, 0], radius], -1)
    return low, high, graphs


def _monotone(curves: Curves) -> Curves:
    """The same curves, cut where they turn back in x."""
    turns = curves.turns(0)
    if np.isnan(turns).all():
        return curves
    cuts = np.sort(np.concatenate([np.zeros((1, len(curves))), turns, np.ones((1, len(curves)))]), axis=0)
    rows, begin, end = [], [], []
    for k in range(len(curves)):
        own = cuts[~np.isnan(cuts[:, k]), k]
        rows += [k] * (len(own) - 1)
        begin += own[:-1].tolist()
        end += own[1:].tolist()
    return curves.take(np.array(rows)).part(np.array(begin), np.array(end))


def _distinct(values: Array) -> Array:
    """Rising, without those that differ by rounding errors."""
    rising = np.unique(values)
    slack = 1e-12 * max(math.fabs(float(rising[-1] - rising[0])), 1e-300)
    return rising[np.concatenate([[True], np.diff(rising) > slack])]
