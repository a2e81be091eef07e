"""Heat in a rectangle with round holes: spectral elements around them, implicit steps in time.

The rectangle is cut into boxes, of which each has one hole at most. A box without a hole is an element; around a hole
there is one from every side of the box to the circle, in rings, along rays from the centre: so a place is found by
formula. Nodes are those of Gauss and Lobatto, which are the points of the quadrature, too: the mass matrix is diagonal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.polynomial import legendre
from numpy.typing import NDArray

from pinnlab.problems.references.gauss_lobatto import gauss_lobatto
from pinnlab.problems.references.points import Array, lagrange, up_to_horizon

RINGS = (0.0, 0.3, 1.0)
"""Where the elements around a hole end, from the circle (0) to the box (1)."""
WINDOWS, STEPS = 14, 8
"""How often the time is halved towards the start, where the solution is as the root of t, and steps in each window."""
DIAGONAL = 0.25
STAGES = np.array(
    [
        [0, 0, 0, 0],
        [1 / 2, 0, 0, 0],
        [17 / 50, -1 / 25, 0, 0],
        [371 / 1360, -137 / 2720, 15 / 544, 0],
        [25 / 24, -49 / 48, 125 / 16, -85 / 12],
    ]
)
"""SDIRK4 of Hairer and Wanner (Solving ODEs II, table 6.5), below its diagonal: order 4, L-stable."""


class Hole(NamedTuple):
    """A round hole.

    Attributes:
        x: of its centre.
        y: of its centre.
        radius: of the circle.
        outside: g of the condition du/dn = g - u on it.
    """

    x: float
    y: float
    radius: float
    outside: float


class _Element(NamedTuple):
    """A box, or the part of one that lies between a side, from a to b, and the circle around a hole."""

    box: int
    a: Array
    b: Array
    hole: Hole | None = None
    ring: int = 0

    def places(self, s: Array, r: Array) -> Array:
        """The points `(n, 2)` at coordinates in [-1, 1]: along the side and, around a hole, outwards."""
        s, r = ((1 + z[:, None]) / 2 for z in (s, r))
        if self.hole is None:
            return np.asarray(self.a + np.hstack([s, r]) * (self.b - self.a))
        ray = self.a + s * (self.b - self.a) - self.hole[:2]
        length = np.linalg.norm(ray, axis=1, keepdims=True)
        low, high = RINGS[self.ring : self.ring + 2]
        distance = self.hole.radius + (low + r * (high - low)) * (length - self.hole.radius)
        return np.asarray(self.hole[:2] + ray / length * distance)


class HeatAroundHoles:
    """u_t = Delta u, u = 0 at the start, du/dn = g - u; even in x and in y. The run is done at the first call and kept.

    Args:
        xs: where the quarter x >= 0 of the rectangle is cut along x, from 0 to its edge.
        ys: likewise along y.
        holes: in that quarter, at most one in each box, and with its centre there.
        outside: g on the edge of the rectangle.
        horizon: the last time that will be asked for.
        degree: of the polynomials in an element.
    """

    def __init__(
        self, xs: Sequence[float], ys: Sequence[float], holes: Sequence[Hole], outside: float, horizon: float,
        degree: int = 10,
    ) -> None:  # fmt: skip
        self.xs, self.ys, self.outside, self.horizon, self.degree = xs, ys, outside, horizon, degree
        self._nodes = gauss_lobatto(degree)
        self._to_values = np.linalg.inv(legendre.legvander(self._nodes, degree))
        self._in_box: list[Hole | None] = [None] * ((len(xs) - 1) * (len(ys) - 1))
        for hole in holes:
            self._in_box[self._box(np.array([hole[:2]]))[0]] = hole
        self._elements = [element for k in range(len(self._in_box)) for element in self._of_box(k)]

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 3)` with columns x, y, t.

        Raises:
            ConfigurationError: the shape is another one, or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        element, basis = self._located(np.abs(at[:, :2]))
        window = np.clip(WINDOWS + np.floor(np.log2(np.maximum(at[:, 2], 1e-300) / self.horizon)), -1, WINDOWS - 1) + 1
        low = np.where(window == 0, 0.0, self.horizon * 0.5 ** (WINDOWS - window + 1))
        high = self.horizon * 0.5 ** (WINDOWS - window)
        in_time = lagrange((at[:, 2] - low) / (high - low) * STEPS, STEPS + 1)
        found = np.empty(len(at))
        for k in np.unique(window).astype(int):
            rows = np.flatnonzero(window == k)
            states = self._trajectory[k * STEPS : (k + 1) * STEPS + 1]
            for part in np.array_split(rows, len(rows) // 2000 + 1):
                local = states[:, self._numbers[element[part]]]
                found[part] = np.einsum("nt,tnk,nk->n", in_time[part], local, basis[part], optimize=True)
        return found

    def _box(self, points: Array) -> Array:
        """The number of the box of each point `(n, 2)`."""
        i, j = (
            np.clip(np.searchsorted(edges, s, side="right") - 1, 0, len(edges) - 2)
            for edges, s in zip((self.xs, self.ys), points.T, strict=True)
        )
        return i * (len(self.ys) - 1) + j

    def _of_box(self, k: int) -> Iterator[_Element]:
        i, j = divmod(k, len(self.ys) - 1)
        (x0, x1), (y0, y1) = self.xs[i : i + 2], self.ys[j : j + 2]
        hole = self._in_box[k]
        if hole is None:
            yield _Element(k, np.array([x0, y0]), np.array([x1, y1]))
            return
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if _turn(b - a, a - hole[:2]) != 0:  # a side through the centre is one of symmetry
                yield from (_Element(k, a, b, hole, ring) for ring in range(len(RINGS) - 1))

    def _located(self, points: Array) -> tuple[Array, Array]:
        """The element of each point `(n, 2)`, and the values `(n, nodes)` of its polynomials there."""
        box = self._box(points)
        element, at = np.zeros(len(points), dtype=int), np.zeros((len(points), 2))
        for number, own in enumerate(self._elements):
            rows = np.flatnonzero(box == own.box)
            along, out = _coordinates(own, points[rows])
            chosen = (np.abs(along) <= 1 + 1e-9) & (out >= -1 - 1e-9)  # of two that meet the later one
            element[rows[chosen]] = number
            at[rows[chosen]] = np.stack([along, out], axis=1)[chosen]
        in_s, in_r = (legendre.legvander(z, self.degree) @ self._to_values for z in at.T)
        return element, (in_s[:, :, None] * in_r[:, None, :]).reshape(len(points), -1)

    @cached_property
    def _grid(self) -> tuple[Array, Array]:
        s, r = np.meshgrid(self._nodes, self._nodes, indexing="ij")
        return s.ravel(), r.ravel()

    @cached_property
    def _numbers(self) -> NDArray[np.intp]:
        """The number of each node `(elements, nodes)`; elements share those on their edges."""
        places = np.concatenate([element.places(*self._grid) for element in self._elements])
        _, numbers = np.unique(np.round(places, 8) + 0.0, axis=0, return_inverse=True)
        return numbers.reshape(len(self._elements), -1)

    @cached_property
    def _trajectory(self) -> Array:
        """The values at the nodes at all steps, `(steps + 1, nodes)`."""
        mass, stiff, load = self._assembled()
        ends = [0.0, *(self.horizon * 0.5 ** (WINDOWS - k) for k in range(WINDOWS + 1))]
        states = [np.zeros(len(mass))]
        for low, high in itertools.pairwise(ends):
            h = (high - low) / STEPS
            solve = scipy.sparse.linalg.splu((scipy.sparse.diags(mass) + DIAGONAL * h * stiff).tocsc()).solve
            for _ in range(STEPS):
                rates: list[Array] = []
                for row in STAGES:
                    stage = states[-1] + h * sum(
                        (a * rate for a, rate in zip(row, rates, strict=False)), np.zeros(len(mass))
                    )
                    rates.append(solve(load - stiff @ stage))
                weights = [*STAGES[-1], DIAGONAL]
                states.append(
                    states[-1]
                    + h * sum((b * rate for b, rate in zip(weights, rates, strict=True)), np.zeros(len(mass)))
                )
        return np.array(states)

    def _assembled(self) -> tuple[Array, scipy.sparse.csr_matrix, Array]:
        """The diagonal mass matrix, the stiffness with what leaves through the boundary, and what comes in."""
        count, numbers, d = self.degree + 1, self._numbers, self._slopes
        along, out = np.kron(d, np.eye(count)), np.kron(np.eye(count), d)
        weights = 2 / (self.degree * count * legendre.legval(self._nodes, np.eye(count)[self.degree]) ** 2)
        size = numbers.max() + 1
        mass, load, entries = np.zeros(size), np.zeros(size), []
        leak = np.zeros(size)
        for own, number in zip(self._elements, numbers, strict=True):
            places = own.places(*self._grid)
            by_s, by_r = along @ places, out @ places
            area = by_s[:, 0] * by_r[:, 1] - by_s[:, 1] * by_r[:, 0]
            measure = np.outer(weights, weights).ravel() * np.abs(area)
            np.add.at(mass, number, measure)
            x = (by_r[:, 1, None] * along - by_s[:, 1, None] * out) / area[:, None]
            y = (by_s[:, 0, None] * out - by_r[:, 0, None] * along) / area[:, None]
            entries.append((x.T @ (measure[:, None] * x) + y.T @ (measure[:, None] * y)).ravel())
            for nodes, tangents, outside in self._edges(own, places, by_s, by_r):
                length = weights * np.linalg.norm(tangents, axis=1)
                np.add.at(leak, number[nodes], length)
                np.add.at(load, number[nodes], length * outside)
        nodes = numbers.shape[1]
        rows, columns = np.repeat(numbers, nodes, axis=1).ravel(), np.tile(numbers, (1, nodes)).ravel()
        stiff = scipy.sparse.coo_matrix((np.concatenate(entries), (rows, columns)), shape=(size, size)).tocsr()
        return mass, stiff + scipy.sparse.diags(leak), load

    def _edges(
        self, own: _Element, places: Array, by_s: Array, by_r: Array
    ) -> Iterator[tuple[NDArray[np.intp], Array, float]]:
        """The edges of an element where heat passes: nodes, tangents, g."""
        table = np.arange(len(places)).reshape(self.degree + 1, -1)
        sides = ((table[0], by_r), (table[-1], by_r), (table[:, 0], by_s), (table[:, -1], by_s))
        for nodes, tangents in sides:
            rim = np.isclose(places[nodes], [self.xs[-1], self.ys[-1]]).all(axis=0).any()
            if own.hole and own.ring == 0 and nodes is sides[2][0]:
                yield nodes, tangents[nodes], own.hole.outside
            elif rim:
                yield nodes, tangents[nodes], self.outside

    @property
    def _slopes(self) -> Array:
        """The derivatives at the nodes of the polynomials that are one at a node."""
        return np.asarray(legendre.legval(self._nodes, legendre.legder(np.eye(self.degree + 1))).T @ self._to_values)


def _turn(u: Array, v: Array) -> Array:
    return np.asarray(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])


def _coordinates(own: _Element, points: Array) -> tuple[Array, Array]:
    """Where in an element the points `(n, 2)` of its box are: coordinates of [-1, 1], others outside of it."""
    side = own.b - own.a
    if own.hole is None:
        along, out = ((points - own.a) / side).T
        return 2 * along - 1, 2 * out - 1
    center = np.array(own.hole[:2])
    away = points - center
    distance = np.linalg.norm(away, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = _turn(own.a - center, side) / _turn(away, side)  # of the side along the ray, in units of the distance
        along = np.where(reach > 0, (reach[:, None] * away - (own.a - center)) @ side / (side @ side), 2.0)
    share = (distance - own.hole.radius) / (np.abs(reach) * distance - own.hole.radius)
    low, high = RINGS[own.ring : own.ring + 2]
    return 2 * along - 1, 2 * (share - low) / (high - low) - 1
