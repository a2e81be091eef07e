"""Pulsed flow through a channel: the Navier-Stokes equations in time, by spectral elements as in `step`.

Viscosity and pressure are implicit, convection is extrapolated: backward differences of third order (Karniadakis,
Israeli and Orszag, J. Comput. Phys. 97, 1991, without their splitting), so that one factorisation serves all steps. At
the outlet v = 0 is imposed and nu u_x - p = 0 follows, so that p = 0 there.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.sparse.linalg import splu

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.gauss_lobatto import gauss_lobatto
from pinnlab.problems.references.points import Array, lagrange
from pinnlab.problems.references.step import Elements, assembled, elements, located

ALONG = (0, 0.02, 0.06, 0.14, 0.28, 0.5, 0.75, 1.0, 1.25, 1.5, 1.7, 1.85, 1.94, 1.98, 2)
UP = (0, 0.05, 0.15, 0.32, 0.5, 0.68, 0.85, 0.95, 1)
BACKWARD = ((1.0, (1.0,)), (1.5, (2.0, -0.5)), (11 / 6, (3.0, -1.5, 1 / 3)))
AHEAD = ((1.0,), (2.0, -1.0), (3.0, -3.0, 1.0))
"""Of orders one to three: factors of the new and of the last velocities in a time derivative, and in extrapolation."""
SYMMETRIC: Any = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 1e-3, "options": {"SymmetricMode": True}}
"""For SuperLU: the systems' pattern is symmetric. By it and with pivots on the diagonal, wherever one is not tiny, the
factors have 0.6 times the entries of its own choice, and are as exact."""
TINY = 1e-12


class Pulses:
    """Velocity and pressure in the channel [0, 2] x [0, 1] at times from 0 on. Solved at the first call, and kept.

    u = sin(pi y) (sin pi t + sin 3 pi t + sin 5 pi t), v = 0 at x = 0; p = v = 0 at x = 2; walls at rest; a force
    -sin(pi x) sin(pi y) sin(pi t) along y; at rest at first.

    Args:
        viscosity: nu.
        horizon: the last time.
        degree: of the velocities in each element.
        step: in time; too long ones are not stable.
        every: of how many steps one is kept; between them is a cubic polynomial.
    """

    def __init__(
        self, viscosity: float = 0.01, horizon: float = 5.0, degree: int = 6, step: float = 2e-3, every: int = 5
    ) -> None:
        self.viscosity, self.horizon, self.degree, self.every = viscosity, horizon, degree, every
        self.steps = every * max(4, math.ceil(horizon / (step * every)))
        self.step = horizon / self.steps
        self._along, self._up = np.array(ALONG, float), np.array(UP, float)

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u, v, p `(n, 3)` at points `(n, 3)` with columns x, y, t.

        Raises:
            ConfigurationError: the shape is wrong, a point lies outside, or the steps were not stable.
        """
        at = np.asarray(points, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 3:
            raise ConfigurationError(f"points: expected shape (n, 3) with columns x, y, t, got {at.shape}")
        (i, a), (j, b) = (located(s, ends) for s, ends in zip(at[:, :2].T, (self._along, self._up), strict=True))
        t = at[:, 2]
        if max(np.abs(a).max(), np.abs(b).max()) > 1 + TINY or not ((t >= 0) & (t <= self.horizon + TINY)).all():
            raise ConfigurationError(f"points: must be in [0, 2] x [0, 1], with times from 0 to {self.horizon:g}")
        element = i * (len(UP) - 1) + j
        place = t / (self.step * self.every)
        first = np.clip(np.floor(place).astype(int) - 1, 0, len(self._solution[0]) - 4)
        n, result = self.degree, np.zeros((len(at), 3))
        in_a, in_b = legendre.legvander(a, n), legendre.legvander(b, n)
        for k, weight in enumerate(lagrange(place - first, 4).T):
            for column, kept in enumerate(self._solution):
                m = kept.shape[-1]
                values = np.einsum("ni,nij,nj->n", in_a[:, :m], kept[first + k, element], in_b[:, :m])
                result[:, column] += weight * values
        return result

    @cached_property
    def _solution(self) -> tuple[Array, Array, Array]:
        """Legendre coefficients of u, v and p, `(times, elements, N + 1, N + 1)` and `(..., N - 1, N - 1)` for p."""
        number = np.arange((len(ALONG) - 1) * (len(UP) - 1)).reshape(len(ALONG) - 1, -1)
        parts = elements(self._along, self._up, number, self.degree)
        states = self._march(parts)
        n, count = self.degree, len(parts.places)
        to_legendre = np.linalg.inv(legendre.legvander(gauss_lobatto(n), n))
        u, v = (
            to_legendre @ states[:, parts.nodes + shift].reshape(len(states), -1, n + 1, n + 1) @ to_legendre.T
            for shift in (0, count)
        )
        return u, v, states[:, 2 * count :].reshape(len(states), -1, n - 1, n - 1)

    def _march(self, parts: Elements) -> Array:
        """The states that are kept, `(times, unknowns)`: u and v at the nodes, then the pressures' coefficients."""
        count, (x, y) = len(parts.places), parts.places.T
        weights, values, nodes = parts.weights, parts.values, parts.nodes
        mass, stokes, size = _matrices(parts, self.viscosity)
        wall = (np.minimum(y, 1 - y) < TINY) | (x < TINY)
        free = np.concatenate([~wall, ~(wall | (x > 2 - TINY)), np.ones(size - 2 * count, bool)])
        inlet = np.where((x < TINY) & (np.minimum(y, 1 - y) > TINY), np.sin(np.pi * y), 0)
        force = np.concatenate([np.zeros(count), -np.sin(np.pi * x) * np.sin(np.pi * y), np.zeros(size - 2 * count)])
        systems = [(stokes + (factor / self.step) * mass).tocsc() for factor, _ in BACKWARD]
        solvers: list[Any] = [None] * 3

        def convection(state: Array) -> Array:
            (u, u_x, u_y), (v, v_x, v_y) = (
                (local @ values.T, *((by @ local[..., None])[..., 0] for by in (parts.by_x, parts.by_y)))
                for local in (state[nodes], state[nodes + count])
            )
            found = np.zeros(size)
            np.add.at(found, nodes, (weights * (u * u_x + v * u_y)) @ values)
            np.add.at(found, nodes + count, (weights * (u * v_x + v * v_y)) @ values)
            return found

        state = np.zeros(size)
        last, carried, kept = [state], [np.zeros(size)], [state]
        for k in range(1, self.steps + 1):
            t, order = k * self.step, min(k, 3) - 1
            past = sum(c * s for c, s in zip(BACKWARD[order][1], last, strict=False)) / self.step
            right = mass @ (past + math.sin(math.pi * t) * force)
            right -= sum(c * s for c, s in zip(AHEAD[order], carried, strict=False))
            state = np.zeros(size)
            state[:count] = inlet * sum(math.sin(m * math.pi * t) for m in (1, 3, 5))
            if solvers[order] is None:
                solvers = [None] * 3
                solvers[order] = splu(systems[order][free][:, free], **SYMMETRIC)
            state[free] = solvers[order].solve((right - systems[order] @ state)[free])
            last, carried = [state, *last[:2]], [convection(state), *carried[:2]]
            if k == 1:
                kept[0] = np.concatenate([kept[0][: 2 * count], state[2 * count :]])  # the pressure is there at once
            if k % self.every == 0:
                kept.append(state)
        if not np.isfinite(state).all():
            raise ConfigurationError(f"step: {self.step:g} is too long to be stable")
        return np.stack(kept)


def _matrices(parts: Elements, viscosity: float) -> tuple[Any, Any, int]:
    """Mass of the velocities, viscosity with pressure and continuity, and the number of unknowns."""
    count, nodes, each = len(parts.places), parts.nodes, parts.pressures.shape[1]
    pressures = 2 * count + np.arange(len(nodes) * each).reshape(-1, each)
    size = 2 * count + pressures.size
    own = parts.products(parts.values, parts.values)
    mass = assembled([(nodes, nodes, own), (nodes + count, nodes + count, own)], size)
    return mass, assembled(parts.stokes(viscosity, pressures), size), size
