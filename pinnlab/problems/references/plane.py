"""Systems of evolution equations on a periodic square by a Fourier method and exponential time differencing.

`u_t = L u + N(u)` for two unknowns: the linear part is exact, N goes by ETDRK4, with products on a grid that is fine
enough for their degree. Between the steps a polynomial through six of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from pinnlab.problems.references.exponential import advance, etdrk4
from pinnlab.problems.references.points import Array, between_states, even_steps, up_to_horizon

Spectrum = NDArray[Any]


class PeriodicPlane(ABC):
    """Two unknowns at arbitrary points of a square and times. The run is done at the first call and kept.

    A subclass gives the equations and their initial values.

    Args:
        low: the lower left corner of the square is (low, low).
        side: its length.
        horizon: the last time that will be asked for.
        modes: the highest wave number kept in each direction, in waves per side.
        step: the time step, about.
    """

    degree = 2
    """Of the polynomial N."""

    def __init__(self, low: float, side: float, horizon: float, modes: int, step: float) -> None:
        self.low, self.side, self.horizon, self.modes = low, side, horizon, modes
        self.steps = even_steps(horizon, step)
        self.grid = int(scipy.fft.next_fast_len((self.degree + 1) * modes + 1, real=True))
        self.along_x = 2 * np.pi / side * scipy.fft.fftfreq(2 * modes + 1, 1 / (2 * modes + 1))
        self.along_y = 2 * np.pi / side * np.arange(modes + 1.0)

    @abstractmethod
    def linear(self, square: Array) -> Array:
        """L for each unknown, `(2, ...)`, from the squares of the angular wave numbers."""

    @abstractmethod
    def start(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The initial values."""

    @abstractmethod
    def change(self, state: Spectrum) -> Spectrum:
        """N from and to coefficients, `(2, 2 modes + 1, modes + 1)`."""

    def __call__(self, points: ArrayLike) -> Array:
        """Returns the unknowns `(n, 2)` at points `(n, 3)` with columns x, y (any real) and t in [0, horizon].

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        at = up_to_horizon(points, "x, y, t", self.horizon)
        x, y, t = at.T
        found = np.empty((len(at), 2))
        for rows, states, weights in between_states(t, self.horizon, self._trajectory):
            in_x = np.exp(1j * np.outer(x[rows] - self.low, self.along_x))
            in_y = np.exp(1j * np.outer(y[rows] - self.low, self.along_y)) * np.where(self.along_y > 0, 2, 1)
            for i in range(2):
                lines = np.tensordot(in_x, states[:, i], axes=(1, 1))  # (rows, stencil, modes along y)
                found[rows, i] = np.einsum("rs,rsl,rl->r", weights, lines, in_y).real
        return found

    @cached_property
    def _trajectory(self) -> Spectrum:
        """Fourier coefficients at all steps, `(steps + 1, 2, 2 modes + 1, modes + 1)`.

        Kept in single precision, which is far below what the modes leave out: 163 MB for 400 steps of 112 modes.
        """
        linear = self.linear(self.along_x[:, None] ** 2 + self.along_y**2)
        scheme = etdrk4(linear, self.horizon / self.steps)
        s = self.low + self.side * np.arange(self.grid) / self.grid
        state = np.stack([self.spectrum(u) for u in self.start(*np.meshgrid(s, s, indexing="ij"))])
        states = np.empty((self.steps + 1, *state.shape), np.complex64)
        for k in range(self.steps + 1):
            states[k] = state
            state = advance(state, self.change(state), self.change, scheme)
        return states

    def values(self, state: Spectrum) -> Array:
        """Values on the grid from coefficients of any number of functions."""
        n = self.modes
        padded = np.zeros((len(state), self.grid, n + 1), complex)
        padded[:, : n + 1], padded[:, -n:] = state[:, : n + 1], state[:, -n:]
        return np.asarray(scipy.fft.irfft2(padded, (self.grid, self.grid), norm="forward"))

    def spectrum(self, values: Array) -> Spectrum:
        """The coefficients that are kept, from values on the grid."""
        spectrum = scipy.fft.rfft2(values, norm="forward")[:, : self.modes + 1]
        return np.concatenate([spectrum[: self.modes + 1], spectrum[-self.modes :]])


class PlaneBurgers(PeriodicPlane):
    """`u_t + u u_x + v u_y = nu Delta u` and the same for v, on [0, 4]^2.

    Args:
        viscosity: nu.
        initial: u and v at the start: takes points `(n, 2)`, returns `(n, 2)`.
        horizon: the last time.
        modes: see `PeriodicPlane`.
        step: likewise.
    """

    def __init__(self, viscosity: float, initial: Any, horizon: float, modes: int = 128, step: float = 4e-3) -> None:
        self.viscosity, self.initial = viscosity, initial
        super().__init__(0.0, 4.0, horizon, modes, step)

    def linear(self, square: Array) -> Array:
        """Diffusion."""
        return np.stack([-self.viscosity * square] * 2)

    def start(self, x: Array, y: Array) -> tuple[Array, Array]:
        """What was given."""
        u, v = self.initial(np.stack([x.ravel(), y.ravel()], axis=1)).T
        return u.reshape(x.shape), v.reshape(x.shape)

    def change(self, state: Spectrum) -> Spectrum:
        """What is carried along."""
        u, v = self.values(state)
        in_x, in_y = self.values(1j * self.along_x[:, None] * state), self.values(1j * self.along_y * state)
        return -np.stack([self.spectrum(u * in_x[i] + v * in_y[i]) for i in range(2)])
