"""Heat and waves in a medium of which the coefficient varies.

For heat Galerkin's method in space, exact in time: the operator is symmetric, so that its eigenvectors in a space of
polynomials uncouple the equations in time, which have short solutions. For waves, which ask for more functions, steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from pinnlab.problems.references.points import STENCIL, Array, between_states, chunks, even_steps, up_to_horizon

Coefficient = Callable[[Array], Array]
"""Takes points `(n, 2)`, returns `(n,)`."""
KEPT = 10
"""Steps from one kept state to the next."""


class MediumHeat:
    """`u_t = div(a grad u) + A sin(pi x) sin(5 pi y) sin(pi t)` on the unit square, 0 on the edge and at the start.

    Args:
        conductivity: a.
        strength: A.
        horizon: the last time that will be asked for.
        degrees: how many polynomials there are along x and along y.
    """

    def __init__(
        self, conductivity: Coefficient, strength: float, horizon: float, degrees: tuple[int, int] = (44, 52)
    ) -> None:
        self.conductivity, self.strength, self.horizon, self.degrees = conductivity, strength, horizon, degrees

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 3)` with columns x, y and t.

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        rates, vectors, source = self._modes
        found = np.empty(len(at))
        for rows in chunks(len(at), len(rates)):
            t = at[rows, 2:]
            swing = rates * np.sin(np.pi * t) + np.pi * (np.exp(-rates * t) - np.cos(np.pi * t))
            in_space = _products([_bubbles(n, at[rows, d])[0] for d, n in enumerate(self.degrees)]) @ vectors
            found[rows] = (in_space * (source * swing / (rates**2 + np.pi**2))).sum(1)
        return found

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        """Rates of decay `(m,)`, eigenvectors `(m, m)`, and what the source has of each `(m,)`."""
        nodes, weights = _gauss([n + 24 for n in self.degrees], 0.0, 1.0)
        tables = [_bubbles(n, z) for n, z in zip(self.degrees, nodes, strict=True)]
        masses = [values.T @ (w[:, None] * values) for (values, _), w in zip(tables, weights, strict=True)]
        stiffness = _stiffness(tables, _on_grid(self.conductivity, nodes) * np.outer(*weights))
        rates, vectors = scipy.linalg.eigh(stiffness, np.kron(*masses))
        waves = [
            values.T @ (w * np.sin(k * np.pi * z))
            for (values, _), w, z, k in zip(tables, weights, nodes, (1, 5), strict=True)
        ]
        return rates, vectors, self.strength * vectors.T @ np.outer(*waves).ravel()


class MediumWave:
    """`u_tt = c Delta u` on [-1, 1]^2, at rest at the start, its slope zero on the edge: cosines at points, in steps.

    The steps are those of the fourth order that come from u_tttt = c Delta (c Delta u). A start whose slope is not zero
    on the edge has kinks that run through the square; they are what cosines find hard.

    Args:
        square: c, the square of the speed.
        initial: u at the start.
        horizon: the last time that will be asked for.
        count: how many points, and cosines, there are along each coordinate.
        step: the time step, about; it must be below 1.1 over the highest frequency.
    """

    def __init__(
        self, square: Coefficient, initial: Coefficient, horizon: float, count: int = 144, step: float = 1.6e-3
    ) -> None:
        self.square, self.initial, self.horizon, self.count = square, initial, horizon, count
        self.kept = even_steps(horizon, step * KEPT)
        self.waves = np.pi / 2 * np.arange(count)

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 3)` with columns x, y and t.

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        found = np.empty(len(at))
        for rows, states, in_time in between_states(at[:, 2], self.horizon, self._states):
            in_x, in_y = (np.cos(np.outer(at[rows, d] + 1, self.waves)) for d in range(2))
            lines = (in_time @ states.reshape(STENCIL, -1)).reshape(-1, self.count, self.count)
            found[rows] = np.einsum("nk,nkl,nl->n", in_x, lines, in_y, optimize=True)
        return found

    @cached_property
    def _states(self) -> NDArray[np.float32]:
        """The factors of the cosines, `(kept + 1, count, count)`, in single precision."""
        nodes = [-1 + (2 * np.arange(self.count) + 1) / self.count] * 2
        c, now = _on_grid(self.square, nodes), _on_grid(self.initial, nodes)
        h, laplacian = self.horizon / self.kept / KEPT, -np.add.outer(self.waves**2, self.waves**2)

        def change(u: Array) -> Array:
            """What a step adds, but for the velocity: h^2 u_tt + h^4 u_tttt / 12."""
            first = h * h * c * scipy.fft.idctn(laplacian * scipy.fft.dctn(u))
            return first + h * h / 12 * c * np.asarray(scipy.fft.idctn(laplacian * scipy.fft.dctn(first)))

        half = np.full(self.count, 1.0 / self.count)
        half[0] /= 2
        states = np.empty((self.kept + 1, self.count, self.count), np.float32)
        before = now + change(now) / 2  # the step before the start is the one behind it: at rest
        for k in range(self.kept + 1):
            states[k] = np.outer(half, half) * scipy.fft.dctn(now)
            for _ in range(KEPT):
                before, now = now, 2 * now - before + change(now)
        return states


def _gauss(counts: list[int], low: float, high: float) -> tuple[list[Array], list[Array]]:
    """Nodes and weights of Gauss' rules on an interval."""
    rules = [np.polynomial.legendre.leggauss(count) for count in counts]
    half = (high - low) / 2
    return [low + half * (1 + z) for z, _ in rules], [half * w for _, w in rules]


def _on_grid(function: Coefficient, nodes: list[Array]) -> Array:
    x, y = np.meshgrid(*nodes, indexing="ij")
    return function(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)


def _stiffness(tables: list[tuple[Array, Array]], weights: Array) -> Array:
    """Integrals of a coefficient times products of gradients; the coefficient comes with the quadrature's weights."""
    (x, slope_x), (y, slope_y) = tables
    roots = np.sqrt(weights.ravel())[:, None]
    total: Array = np.zeros((x.shape[1] * y.shape[1],) * 2)
    for in_x, in_y in ((slope_x, y), (x, slope_y)):
        part = roots * np.kron(in_x, in_y)
        total += part.T @ part
    return total


def _products(tables: list[Array]) -> Array:
    """`(n, k)` and `(n, l)` to `(n, k l)`."""
    return np.asarray(np.einsum("nk,nl->nkl", *tables).reshape(len(tables[0]), -1))


def _legendre(count: int, z: Array) -> tuple[Array, Array]:
    """Legendre's polynomials `(n, count)` on [-1, 1] and their derivatives."""
    values: Array = np.asarray(np.polynomial.legendre.legvander(z, count - 1), dtype=np.float64)
    slopes: Array = np.zeros((len(z), count))
    for k in range(1, count):
        slopes[:, k] = (2 * k - 1) * values[:, k - 1] + (slopes[:, k - 2] if k > 1 else 0)
    return values, slopes


def _bubbles(count: int, z: Array) -> tuple[Array, Array]:
    """Polynomials that are 0 at both ends of [0, 1], differences of Legendre's, and their derivatives."""
    values, slopes = _legendre(count + 2, 2 * z - 1)
    size = 1 / np.sqrt(4 * np.arange(count) + 6)
    return size * (values[:, :-2] - values[:, 2:]), 2 * size * (slopes[:, :-2] - slopes[:, 2:])
