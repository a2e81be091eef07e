"""A heat equation with a reaction, over long times: sines, exact diffusion, Runge-Kutta for the rest.

    u_t = D Delta u + 5 sin(u^2) (1 + 2 sin(pi t / 4)) sin(4 pi x) sin(2 pi y)

on the unit square, u = 0 on its edge, from sin(4 pi x) sin(3 pi y). Mirrored at x = 1/4 it changes its sign, as at
x = 0: all waves along x are multiples of 4 pi, and a quarter of the interval is enough.
"""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pinnlab.problems.references.points import Array, between_states, even_steps, up_to_horizon

FOLDS = 4
"""How often the solution repeats itself, with changing sign, along x."""
KEPT = 2
"""Steps from one kept state to the next."""


class LongHeat:
    """The solution at arbitrary points of the square and times. The run is done at the first call and kept.

    Args:
        diffusion: D.
        horizon: the last time that will be asked for.
        modes: how many sines are kept along x and along y.
        step: the time step, about.
    """

    def __init__(
        self, diffusion: float, horizon: float, modes: tuple[int, int] = (39, 159), step: float = 0.02
    ) -> None:
        self.diffusion, self.horizon, self.modes = diffusion, horizon, modes
        self.kept = even_steps(horizon, step * KEPT)
        self.waves = [np.pi * FOLDS * np.arange(1, modes[0] + 1), np.pi * np.arange(1, modes[1] + 1)]

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 3)` with columns x, y (any real) and t in [0, horizon].

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        found = np.empty(len(at))
        for rows, states, in_time in between_states(at[:, 2], self.horizon, self._states):
            in_x, in_y = (np.sin(np.outer(at[rows, d], self.waves[d])) for d in range(2))
            lines = np.einsum("nt,tkl->nkl", in_time, states)
            found[rows] = np.einsum("nk,nkl,nl->n", in_x, lines, in_y)
        return found

    @cached_property
    def _states(self) -> NDArray[np.float32]:
        """The factors of the sines, `(kept + 1, modes along x, modes along y)`, in single precision."""
        x, y = ((np.arange(n) + 1) / (n + 1) for n in self.modes)
        u = np.outer(np.sin(np.pi * x), np.sin(3 * np.pi * y))
        shape = 5 * np.outer(np.sin(np.pi * x), np.sin(2 * np.pi * y))
        h = self.horizon / self.kept / KEPT
        fall = np.exp(-self.diffusion * np.add.outer(*(wave**2 for wave in self.waves)) * h / 2)
        states = np.empty((self.kept + 1, *self.modes), np.float32)
        for k in range(self.kept + 1):
            states[k] = _sines(u) / ((self.modes[0] + 1) * (self.modes[1] + 1))
            for j in range(KEPT):
                u = _step(u, (k * KEPT + j) * h, h, shape, fall)
        return states


def _step(u: Array, t: float, h: float, shape: Array, fall: Array) -> Array:
    """One step of the fourth order; diffusion over half of it is exact."""

    def diffused(v: Array) -> Array:
        return cast(Array, scipy.fft.idstn(_sines(v) * fall, type=1))

    def reaction(v: Array, time: float) -> Array:
        return np.asarray(np.sin(v * v) * (1 + 2 * np.sin(np.pi * time / 4)) * shape)

    start = diffused(u)
    first = diffused(reaction(u, t))
    second = reaction(start + h / 2 * first, t + h / 2)
    third = reaction(start + h / 2 * second, t + h / 2)
    last = reaction(diffused(start + h * third), t + h)
    return diffused(start + h / 6 * first + h / 3 * (second + third)) + h / 6 * last


def _sines(u: Array) -> Array:
    return cast(Array, scipy.fft.dstn(u, type=1))
