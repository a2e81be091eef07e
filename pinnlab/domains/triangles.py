"""A closed surface of triangles in space, in numpy: areas, volume, what is inside, the nearest point."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnlab.domains.curves import Array, Index

PAIRS = 1_000_000
"""Pairs of a point and a triangle that are looked at together: some 100 MB."""
NEIGHBOURS = (8, 64)
"""Triangles that are looked at for the nearest one, and where that may be another. Far from a surface, where one of
many is hardly nearer than others, the distance may be too large by less than a triangle's size."""


@dataclass(frozen=True)
class Triangles:
    """Triangles with common corners, seen against the clock from outside.

    Attributes:
        vertices: `(n, 3)`.
        corners: `(m, 3)` the numbers of each triangle's vertices.
    """

    vertices: Array
    corners: Index

    def __len__(self) -> int:
        return len(self.corners)

    @functools.cached_property
    def points(self) -> Array:
        """The corners of each triangle, `(m, 3, 3)`: triangle, corner, coordinate."""
        return self.vertices[self.corners]

    @functools.cached_property
    def _across(self) -> Array:
        a, b, c = np.moveaxis(self.points, 1, 0)
        return np.cross(b - a, c - a)

    @functools.cached_property
    def areas(self) -> Array:
        """`(m,)`."""
        return np.linalg.norm(self._across, axis=1) / 2

    @functools.cached_property
    def normals(self) -> Array:
        """`(m, 3)` unit vectors that lead out."""
        return self._across / (2 * self.areas[:, None])

    def volume(self) -> float:
        """What a closed surface bounds, by the divergence theorem."""
        a, b, c = np.moveaxis(self.points - self.vertices.mean(0), 1, 0)
        return float(math.fsum((a * np.cross(b, c)).sum(1))) / 6

    def take(self, rows: Index | NDArray[np.bool_]) -> Triangles:
        """Some of the triangles."""
        return Triangles(self.vertices, self.corners[rows])

    def numbered(self) -> tuple[Array, NDArray[np.uint64]]:
        """Vertices and corners as other programs take them: copies, row by row."""
        return np.array(self.vertices, order="C"), np.array(self.corners, dtype=np.uint64, order="C")

    def reversed(self) -> Triangles:
        """The same triangles, seen from the other side."""
        return Triangles(self.vertices, self.corners[:, ::-1])

    def open_edges(self) -> int:
        """How many edges have no second triangle on the other side that runs through them the other way."""
        edges = np.concatenate([self.corners[:, [k, (k + 1) % 3]] for k in range(3)]).astype(np.int64)
        there, back = (edges[:, k] * len(self.vertices) + edges[:, 1 - k] for k in (0, 1))
        counts = np.unique(there, return_counts=True)[1]
        return int((~np.isin(there, back)).sum() + (counts > 1).sum())

    def inside(self, points: Array) -> NDArray[np.bool_]:
        """Which of the points `(n, 3)` a closed surface surrounds: those above which an odd number of triangles lie."""
        starts, numbers = self._columns
        low, steps, cells = self._grid
        place = np.floor((points[:, :2] - low) / steps)
        there = ((place >= 0) & (place < cells)).all(1)
        cell = np.where(there, place[:, 0] * cells + place[:, 1], 0).astype(np.intp)
        counts = np.where(there, starts[cell + 1] - starts[cell], 0)
        above = np.zeros(len(points), dtype=np.intp)
        ends = counts.cumsum()
        begin = 0
        while begin < len(points):
            before = ends[begin - 1] if begin else 0
            end = max(int(np.searchsorted(ends, before + PAIRS, side="right")), begin + 1)
            own = counts[begin:end]
            row = np.repeat(np.arange(begin, end), own)
            number = np.arange(len(row)) - np.repeat(own.cumsum() - own, own) + np.repeat(starts[cell[begin:end]], own)
            above += np.bincount(row, self._above(points[row], numbers[number]), len(points)).astype(np.intp)
            begin = end
        return above % 2 == 1

    def _above(self, points: Array, triangles: Index) -> NDArray[np.bool_]:
        """Whether triangles lie above points: `(k,)` of each.

        Edges are looked at from their lower-numbered end, so that two triangles agree to the last digit on which of
        them a point on their common edge belongs to.
        """
        x, y, z = points.T
        corners = np.sort(self.corners[triangles], axis=1)
        covers = np.zeros(len(points), dtype=bool)
        for j, k in ((0, 1), (1, 2), (0, 2)):
            a, b = self.vertices[corners[:, j]], self.vertices[corners[:, k]]
            crosses = (a[:, 1] > y) != (b[:, 1] > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                covers ^= crosses & (x < a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1]))
        normal, first = self._across[triangles], self.points[triangles, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            height = first[:, 2] - ((x - first[:, 0]) * normal[:, 0] + (y - first[:, 1]) * normal[:, 1]) / normal[:, 2]
        return covers & (height > z)

    @functools.cached_property
    def _grid(self) -> tuple[Array, Array, int]:
        """Cells of the plane of the first two coordinates: the corner, the sides of a cell, cells along each side."""
        low, high = self.vertices[:, :2].min(0), self.vertices[:, :2].max(0)
        cells = int(np.clip(2 * math.sqrt(len(self)), 1, 2000))
        return low, np.maximum(high - low, 1e-300) * (1 + 1e-12) / cells, cells

    @functools.cached_property
    def _columns(self) -> tuple[Index, Index]:
        """The triangles whose shadow meets each cell: where those of each cell begin, and their numbers."""
        low, steps, cells = self._grid
        flat = self.points[:, :, :2]
        first, last = (
            np.clip(np.floor((ends - low) / steps), 0, cells - 1).astype(np.intp) for ends in (flat.min(1), flat.max(1))
        )
        wide = last - first + 1
        counts = wide.prod(1)
        rows = np.repeat(np.arange(len(self)), counts)
        number = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
        cell = (first[rows, 0] + number // wide[rows, 1]) * cells + first[rows, 1] + number % wide[rows, 1]
        order = np.argsort(cell, kind="stable")
        return np.searchsorted(cell[order], np.arange(cells * cells + 1)), rows[order]

    def nearest(self, points: Array) -> tuple[Array, Index]:
        """The distance `(n,)` of each of the points `(n, 3)`, and the number of the nearest triangle."""
        tree, triangles, radius = self._tree
        distance, found = np.full(len(points), np.inf), np.zeros(len(points), dtype=np.intp)
        rows = np.arange(len(points))
        for count in (min(number, len(triangles)) for number in NEIGHBOURS):
            size, left = max(PAIRS // count, 1), []
            for own in (rows[k : k + size] for k in range(0, len(rows), size)):
                far, close = (column.reshape(len(own), -1) for column in tree.query(points[own], k=count))
                candidates = triangles[close]
                squares = _squares(np.repeat(points[own], count, 0), self.points[candidates.ravel()])
                squares = squares.reshape(len(own), -1)
                best, every = squares.argmin(1), np.arange(len(own))
                distance[own], found[own] = np.sqrt(squares[every, best]), candidates[every, best]
                left.append(own[far[:, -1] - radius < distance[own]])  # a triangle not looked at may be nearer
            rows = np.concatenate([np.empty(0, dtype=np.intp), *left])
        return distance, found

    @functools.cached_property
    def _tree(self) -> tuple[cKDTree, Index, float]:
        """Middles of the triangles, large ones in parts; their triangles; how far a part reaches from its middle."""
        points, numbers = self.points, np.arange(len(self))
        limit = max(2 * float(np.median(_reach(points))), float(np.ptp(self.vertices, axis=0).max()) / 100)
        while (large := _reach(points) > limit).any():
            points = np.concatenate([points[~large], _halved(points[large])])
            numbers = np.concatenate([numbers[~large], np.repeat(numbers[large], 2)])
        return cKDTree(points.mean(1)), numbers, float(_reach(points).max())


def _reach(points: Array) -> Array:
    """The largest distance of a corner from the middle of its triangle."""
    return np.linalg.norm(points - points.mean(1, keepdims=True), axis=2).max(1)


def _halved(points: Array) -> Array:
    """Triangles `(m, 3, 3)` cut in two across their longest sides, side by side."""
    longest = np.linalg.norm(points - np.roll(points, -1, 1), axis=2).argmax(1)
    rows = np.arange(len(points))
    a, b, c = (points[rows, (longest + k) % 3] for k in range(3))
    middle = (a + b) / 2
    return np.stack([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)], 1).reshape(-1, 3, 3)


def _squares(points: Array, triangles: Array) -> Array:
    """The squared distances of points `(k, 3)` to triangles `(k, 3, 3)`."""
    sides = np.roll(triangles, -1, 1) - triangles
    offsets = points[:, None] - triangles
    normal = np.cross(sides[:, 0], sides[:, 1])
    along = np.clip((offsets * sides).sum(2) / np.maximum((sides * sides).sum(2), 1e-300), 0.0, 1.0)
    edges = ((offsets - along[..., None] * sides) ** 2).sum(2).min(1)
    over = ((np.cross(normal[:, None], sides) * offsets).sum(2) >= 0).all(1)
    height = (normal * offsets[:, 0]).sum(1) ** 2 / np.maximum((normal * normal).sum(1), 1e-300)
    return np.where(over, np.minimum(height, edges), edges)
