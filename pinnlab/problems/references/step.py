"""Flow over a backward step by spectral elements: the steady Navier-Stokes equations, and Newton's method.

Rectangles that shrink towards the step's edge, where pressure grows like r^-0.46, and towards the outlet, where v falls
to 0 in a layer of width nu. Velocities are polynomials of degree N in each coordinate, continuous; pressures of degree
N - 2, not continuous (Bernardi and Maday, Handbook of Numerical Analysis 5, 1997). At the outlet v = 0 is imposed and
nu u_x - p = 0 follows, so that p = 0 there, as u_x = -v_y.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import spsolve

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.gauss_lobatto import gauss_lobatto
from pinnlab.problems.references.points import Array

Whole = NDArray[np.intp]
Blocks = list[tuple[Whole, Whole, Array]]
AT_EDGE = (0.06, 0.02)
"""Sides of the smallest rectangles around the step's edge, at (2, 1)."""
ALONG = (0, 0.5, 1, 1.5, 1.8, *(2 - s for s in AT_EDGE), 2, *(2 + s for s in AT_EDGE[::-1]), 2.2, 2.5)
ALONG = (*ALONG, 3, 3.4, 3.7, 3.87, 3.95, 3.985, 4)
UP = (0, 0.3, 0.55, 0.8, *(1 - s for s in AT_EDGE), 1, *(1 + s for s in AT_EDGE[::-1]), 1.2, 1.5, 1.8, 2)
MOST_STEPS = 20
"""Of Newton's method; from a slow flow nine are enough at viscosity 0.01."""
TINY = 1e-12


class Elements(NamedTuple):
    """Functions and their derivatives at points of quadrature, and who shares which unknown.

    Attributes:
        weights: `(elements, points)` of the quadrature.
        values: `(points, velocities)` of the velocities' basis.
        by_x: `(elements, points, velocities)`.
        by_y: the same.
        pressures: `(points, pressures)` of the pressures' basis.
        nodes: `(elements, velocities)` numbers of a velocity's unknowns.
        places: `(nodes, 2)` where they are.
    """

    weights: Array
    values: Array
    by_x: Array
    by_y: Array
    pressures: Array
    nodes: Whole
    places: Array

    def products(self, left: Array, right: Array) -> Array:
        """The integrals of all products of functions `(elements, points, ...)` over each element."""
        return np.matmul(np.swapaxes(left * self.weights[:, :, None], 1, 2), right)

    def stokes(self, viscosity: float, pressures: Whole) -> Blocks:
        """Viscosity, pressure and continuity, for `assembled`.

        Args:
            viscosity: nu.
            pressures: `(elements, pressures)` numbers of a pressure's unknowns.
        """
        stiff = viscosity * (self.products(self.by_x, self.by_x) + self.products(self.by_y, self.by_y))
        velocities = self.nodes, self.nodes + len(self.places)
        blocks = [(own, own, stiff) for own in velocities]
        for own, by in zip(velocities, (self.by_x, self.by_y), strict=True):
            matrix = -self.products(self.pressures, by)
            blocks += [(pressures, own, matrix), (own, pressures, np.swapaxes(matrix, 1, 2))]
        return blocks


class Step:
    """Velocity and pressure over the step at arbitrary points of it. Solved at the first call, and kept.

    [0, 4] x [0, 2] without [0, 2] x [1, 2]; u = 4 y (1 - y), v = 0 at x = 0; p = v = 0 at x = 4; walls at rest.

    Args:
        viscosity: nu.
        degree: N.
    """

    def __init__(self, viscosity: float = 0.01, degree: int = 5) -> None:
        self.viscosity, self.degree = viscosity, degree
        self._along, self._up = np.array(ALONG, float), np.array(UP, float)
        columns, rows = len(ALONG) - 1, len(UP) - 1
        inside = np.array([[self._along[i] >= 2 or self._up[j] < 1 for j in range(rows)] for i in range(columns)])
        self._number = np.where(inside, np.cumsum(inside.ravel()).reshape(inside.shape) - 1, -1)

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u, v, p `(n, 3)` at points `(n, 2)` with columns x, y.

        Raises:
            ConfigurationError: the shape is wrong, a point lies outside, or Newton's method does not converge.
        """
        at = np.asarray(points, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 2:
            raise ConfigurationError(f"points: expected shape (n, 2) with columns x, y, got {at.shape}")
        (i, a), (j, b) = (located(s, ends) for s, ends in zip(at.T, (self._along, self._up), strict=True))
        # A point on the upper wall of the inlet belongs to the rectangle below, not to the step above.
        on_wall = (self._number[i, j] < 0) & (np.abs(b + 1) < 1e-9)
        j, b = np.where(on_wall, j - 1, j), np.where(on_wall, 1.0, b)
        # And one on the step's own wall, but for rounding, to the one behind it.
        on_wall = (self._number[i, j] < 0) & (np.abs(a - 1) < 1e-9)
        i, a = np.where(on_wall, i + 1, i), np.where(on_wall, -1.0, a)
        element = self._number[i, j]
        if (element < 0).any() or not ((np.abs(a) < 1 + TINY) & (np.abs(b) < 1 + TINY)).all():
            raise ConfigurationError("points: every point must be in [0, 4] x [0, 2] and not in the step")
        u, v, p = self._solution
        n = self.degree
        in_a, in_b = legendre.legvander(a, n), legendre.legvander(b, n)
        velocities = [np.einsum("ni,nij,nj->n", in_a, part[element], in_b) for part in (u, v)]
        pressure = np.einsum("ni,nij,nj->n", in_a[:, : n - 1], p[element], in_b[:, : n - 1])
        return np.stack([*velocities, pressure], axis=1)

    @cached_property
    def _solution(self) -> tuple[Array, Array, Array]:
        """Legendre coefficients in each element of u, v `(elements, N + 1, N + 1)` and p `(elements, N - 1, N - 1)`."""
        parts = elements(self._along, self._up, self._number, self.degree)
        n, count, inner = self.degree, len(parts.places), self.degree - 1
        pressures = 2 * count + np.arange(len(parts.nodes) * inner**2).reshape(-1, inner**2)
        state = self._newton(parts, pressures)
        to_legendre = np.linalg.inv(legendre.legvander(gauss_lobatto(n), n))
        u, v = (
            to_legendre @ state[parts.nodes + shift].reshape(-1, n + 1, n + 1) @ to_legendre.T for shift in (0, count)
        )
        return u, v, state[pressures].reshape(-1, inner, inner)

    def _newton(self, parts: Elements, pressures: Whole) -> Array:
        """All unknowns: u and v at the nodes, then the pressures' coefficients."""
        count, (weights, values, by_x, by_y, _, nodes, places) = len(parts.places), parts
        u_nodes, v_nodes = nodes, nodes + count
        state, free = _prescribed(places, 2 * count + pressures.size)
        linear = assembled(parts.stokes(self.viscosity, pressures), len(state))
        for _ in range(MOST_STEPS):
            (u, u_x, u_y), (v, v_x, v_y) = (
                (local @ values.T, *(np.einsum("eqi,ei->eq", by, local) for by in (by_x, by_y)))
                for local in (state[u_nodes], state[v_nodes])
            )
            carried = u[..., None] * by_x + v[..., None] * by_y
            own_u, own_v, cross_u, cross_v = (
                parts.products(values, part)
                for part in (
                    carried + u_x[..., None] * values,
                    carried + v_y[..., None] * values,
                    u_y[..., None] * values,
                    v_x[..., None] * values,
                )
            )
            convection = np.zeros(len(state))
            np.add.at(convection, u_nodes, (weights * (u * u_x + v * u_y)) @ values)
            np.add.at(convection, v_nodes, (weights * (u * v_x + v * v_y)) @ values)
            jacobian = linear + assembled(
                [(u_nodes, u_nodes, own_u), (u_nodes, v_nodes, cross_u), (v_nodes, u_nodes, cross_v),
                 (v_nodes, v_nodes, own_v)],
                len(state),
            )  # fmt: skip
            change = spsolve(jacobian[free][:, free], (linear @ state + convection)[free])
            state[free] -= change
            if np.abs(change).max() < 1e-9:
                return state
        raise ConfigurationError(f"viscosity: Newton's method does not converge for {self.viscosity:g}")


def elements(along: Array, up: Array, number: Whole, degree: int) -> Elements:
    """Those on a grid of rectangles.

    Args:
        along: `(columns + 1,)` ends of the rectangles along x.
        up: `(rows + 1,)` and along y.
        number: `(columns, rows)` the number of each rectangle, column by column; -1 where there is none.
        degree: N.
    """
    n = degree
    nodes, (at, weights) = gauss_lobatto(n), legendre.leggauss((3 * n + 2) // 2)  # exact for products of three
    to_values = np.linalg.inv(legendre.legvander(nodes, n))
    line = legendre.legvander(at, n) @ to_values
    slope = legendre.legval(at, legendre.legder(np.eye(n + 1))).T @ to_values
    line_of_pressure = legendre.legvander(at, n - 2)
    i, j = np.nonzero(number >= 0)
    half = np.stack([np.diff(along)[i], np.diff(up)[j]]) / 2
    numbers = -np.ones((n * (len(along) - 1) + 1, n * (len(up) - 1) + 1), int)
    for a, b in zip(n * i, n * j, strict=True):
        numbers[a : a + n + 1, b : b + n + 1] = 0
    used = np.nonzero(numbers == 0)
    numbers[used] = np.arange(len(used[0]))
    x, y = (
        np.append((ends[:-1, None] + np.diff(ends)[:, None] * (nodes[:-1] + 1) / 2).ravel(), ends[-1])
        for ends in (along, up)
    )
    return Elements(
        weights=np.outer(weights, weights).ravel() * half.prod(axis=0)[:, None],
        values=np.asarray(np.kron(line, line), np.float64),
        by_x=np.kron(slope, line) / half[0][:, None, None],
        by_y=np.kron(line, slope) / half[1][:, None, None],
        pressures=np.asarray(np.kron(line_of_pressure, line_of_pressure), np.float64),
        nodes=np.stack([numbers[a : a + n + 1, b : b + n + 1].ravel() for a, b in zip(n * i, n * j, strict=True)]),
        places=np.stack([x[used[0]], y[used[1]]], axis=1),
    )


def located(s: Array, ends: Array) -> tuple[Whole, Array]:
    """In which interval `(n,)` numbers are, and where in it on [-1, 1]."""
    k = np.clip(np.searchsorted(ends, s, side="right") - 1, 0, len(ends) - 2)
    return k, 2 * (s - ends[k]) / np.diff(ends)[k] - 1


def _prescribed(places: Array, size: int) -> tuple[Array, Whole]:
    """A state with what is prescribed, and the numbers of what is not."""
    (x, y), count = places.T, len(places)
    walls = [y, y - 2, np.where(x <= 2 + TINY, y - 1, 1), np.where(y >= 1 - TINY, x - 2, 1)]
    wall, inlet = np.any(np.abs(walls) < TINY, axis=0), np.abs(x) < TINY
    state, free = np.zeros(size), np.ones(size, bool)
    state[:count] = np.where(inlet & ~wall, 4 * y * (1 - y), 0)
    free[:count] = ~(wall | inlet)
    free[count : 2 * count] = ~(wall | inlet | (np.abs(x - 4) < TINY))
    return state, np.flatnonzero(free)


def assembled(blocks: Blocks, size: int) -> Any:
    """The sparse sum of element matrices `(elements, rows, columns)` at `(elements, rows)`, `(elements, columns)`."""
    rows = [np.broadcast_to(left[:, :, None], matrix.shape).ravel() for left, _, matrix in blocks]
    columns = [np.broadcast_to(right[:, None, :], matrix.shape).ravel() for _, right, matrix in blocks]
    entries = np.concatenate([matrix.ravel() for *_, matrix in blocks])
    return sparse.csc_matrix((entries, (np.concatenate(rows), np.concatenate(columns))), shape=(size, size))
