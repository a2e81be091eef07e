"""Gray and Scott's reaction by a Fourier method in two dimensions and exponential time differencing.

    u_t = D_u Delta u + F (1 - u) - u v^2,    v_t = D_v Delta v - K v + u v^2

on the periodic square [-1, 1]^2. The linear part is exact, the reaction goes by ETDRK4, with products on a grid of four
points for each mode, which is fine enough for a cubic term. Between the steps a polynomial through six of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from pinnlab.problems.references.exponential import advance, etdrk4
from pinnlab.problems.references.points import Array, lagrange, up_to_horizon

Spectrum = NDArray[Any]
STENCIL = 6
"""Steps of an interpolation in time."""


class GrayScott:
    """Concentrations u and v at arbitrary points of space and time. The run is done at the first call and kept.

    Args:
        diffusion: D_u and D_v.
        feed: F.
        decay: K.
        horizon: the last time that will be asked for.
        modes: the highest wave number kept in each direction, in waves per side of the square.
        step: the time step.
    """

    def __init__(
        self,
        diffusion: tuple[float, float],
        feed: float,
        decay: float,
        horizon: float,
        modes: int = 112,
        step: float = 0.5,
    ) -> None:
        self.diffusion, self.feed, self.decay, self.horizon = diffusion, feed, decay, horizon
        self.modes, self.steps = modes, max(STENCIL, int(np.ceil(horizon / step - 1e-9)))
        self.grid = int(scipy.fft.next_fast_len(4 * modes + 1, real=True))
        self.along_x = scipy.fft.fftfreq(2 * modes + 1, 1 / (2 * modes + 1))
        self.along_y = np.arange(modes + 1.0)

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u, v `(n, 2)` at points `(n, 3)` with columns x, y (any real) and t in [0, horizon].

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        x, y, t = at.T
        place = t * self.steps / self.horizon
        first = np.clip(place.astype(int) - STENCIL // 2 + 1, 0, self.steps + 1 - STENCIL)
        found = np.empty((len(at), 2))
        # Point by point this would read all modes for each; the points of one step share them.
        for start in np.unique(first):
            rows = np.flatnonzero(first == start)
            weights = lagrange(place[rows] - start, STENCIL)
            in_x = np.exp(1j * np.pi * np.outer(x[rows] + 1, self.along_x))
            in_y = np.exp(1j * np.pi * np.outer(y[rows] + 1, self.along_y)) * np.where(self.along_y > 0, 2, 1)
            states = self._trajectory[start : start + STENCIL]
            for i in range(2):
                lines = np.tensordot(in_x, states[:, i], axes=(1, 1))  # (rows, stencil, modes along y)
                found[rows, i] = np.einsum("rs,rsl,rl->r", weights, lines, in_y).real
        return found

    @cached_property
    def _trajectory(self) -> Spectrum:
        """Fourier coefficients at all steps, `(steps + 1, 2, 2 modes + 1, modes + 1)`.

        Kept in single precision, which is far below what the modes leave out: 163 MB for 400 steps.
        """
        square = (np.pi * self.along_x[:, None]) ** 2 + (np.pi * self.along_y) ** 2
        linear = np.stack([-self.diffusion[0] * square - self.feed, -self.diffusion[1] * square - self.decay])
        scheme = etdrk4(linear, self.horizon / self.steps)
        state = self._initial()
        states = np.empty((self.steps + 1, *state.shape), np.complex64)
        for k in range(self.steps + 1):
            states[k] = state
            state = advance(state, self._reaction(state), self._reaction, scheme)
        return states

    def _initial(self) -> Spectrum:
        s = -1 + 2 * np.arange(self.grid) / self.grid
        x, y = np.meshgrid(s, s, indexing="ij")
        u = 1 - np.exp(-80 * ((x + 0.05) ** 2 + (y + 0.02) ** 2))
        v = np.exp(-80 * ((x - 0.05) ** 2 + (y - 0.02) ** 2))
        return np.stack([self._spectrum(u), self._spectrum(v)])

    def _reaction(self, state: Spectrum) -> Spectrum:
        n = self.modes
        padded = np.zeros((2, self.grid, n + 1), complex)
        padded[:, : n + 1], padded[:, -n:] = state[:, : n + 1], state[:, -n:]
        u, v = scipy.fft.irfft2(padded, (self.grid, self.grid), norm="forward")
        gain = self._spectrum(u * v * v)
        fed = -gain
        fed[0, 0] += self.feed
        return np.stack([fed, gain])

    def _spectrum(self, values: Array) -> Spectrum:
        spectrum = scipy.fft.rfft2(values, norm="forward")[:, : self.modes + 1]
        return np.concatenate([spectrum[: self.modes + 1], spectrum[-self.modes :]])
