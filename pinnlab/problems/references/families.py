"""Solutions of evolution equations for many functions at once: what an operator is measured against.

`u' = L u + N(u)` with a diagonal L, in one array for all functions: spectral in space, ETDRK4 in time, and between the
steps cubic Hermite interpolation of `exp(-L s) u`, as in `PeriodicEvolution`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.chebyshev import differentiation, interpolation
from pinnlab.problems.references.exponential import advance, etdrk4
from pinnlab.problems.references.points import Array, chunks

States = NDArray[Any]
Functions = Callable[[Array, Array], Array]
"""The values of functions `(f, k)`, their coefficients, at places `(s,)`: `(f, s)`."""

_TOGETHER = 128
"""Functions that are solved for at a time: their trajectories take tens of megabytes."""


class Family(ABC):
    """The solutions for all functions of a space at points `(n, 2 + k)`: x, t and the function's coefficients.

    Args:
        functions: what the coefficients mean.
        horizon: the last time.
        steps: time steps in all.
    """

    linear: NDArray[Any]
    """L, `(m,)`."""

    def __init__(self, functions: Functions, horizon: float, steps: int) -> None:
        self.functions, self.horizon, self.steps = functions, horizon, steps

    @abstractmethod
    def start(self, coefficients: Array) -> States:
        """The states `(f, m)` at t = 0 for `(f, k)` coefficients."""

    @abstractmethod
    def nonlinear(self, coefficients: Array) -> Callable[[States], States]:
        """N, from `(f, m)` to `(f, m)`."""

    @abstractmethod
    def at(self, x: Array) -> States:
        """The rows `(n, m)` by which states are multiplied for u at `(n,)` places; its real part is u."""

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u at points, `(n,)`.

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        array = np.asarray(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] < 3:
            raise ConfigurationError(f"points: expected columns x, t and coefficients, got shape {array.shape}")
        t = array[:, 1]
        if not ((t >= 0) & (t <= self.horizon * (1 + 1e-12))).all():
            raise ConfigurationError(f"points: every t must be in [0, {self.horizon:g}], the horizon")
        functions, which = np.unique(array[:, 2:], axis=0, return_inverse=True)
        which, found = which.reshape(-1), np.empty(len(array))
        for first in range(0, len(functions), _TOGETHER):
            rows = np.flatnonzero((which >= first) & (which < first + _TOGETHER))
            states, slopes = self._trajectories(functions[first : first + _TOGETHER])
            for part in chunks(len(rows), 4 * len(self.linear)):
                own = rows[part]
                state = self._between(states, slopes, which[own] - first, t[own])
                found[own] = np.einsum("im,im->i", state, self.at(array[own, 0])).real
        return found

    def _trajectories(self, coefficients: Array) -> tuple[States, States]:
        """States and their time derivatives at all steps, each `(steps + 1, f, m)`."""
        state, nonlinear = self.start(coefficients), self.nonlinear(coefficients)
        scheme = etdrk4(self.linear, self.horizon / self.steps)
        states, slopes = np.empty((2, self.steps + 1, *state.shape), state.dtype)
        for k in range(self.steps + 1):
            now = nonlinear(state)
            states[k], slopes[k] = state, self.linear * state + now
            state = advance(state, now, nonlinear, scheme)
        return states, slopes

    def _between(self, states: States, slopes: States, function: NDArray[np.intp], times: Array) -> States:
        """The states `(n, m)` of functions at times, by Hermite's formula."""
        step = self.horizon / self.steps
        first = np.clip((times / step).astype(int), 0, self.steps - 1)
        s = (times / step - first)[:, None]
        rate = np.clip(step * self.linear, -4, 4)  # stiff modes are slaved to the others, and must not overflow
        back = np.exp(-rate)
        left, right = states[first, function], states[first + 1, function] * back
        left_slope = step * slopes[first, function] - rate * left
        right_slope = step * slopes[first + 1, function] * back - rate * right
        rest = (1 + 2 * s) * (1 - s) ** 2 * left + s * (1 - s) ** 2 * left_slope
        rest += s**2 * (3 - 2 * s) * right + s**2 * (s - 1) * right_slope
        return np.asarray(np.exp(rate * s) * rest)


class PeriodicBurgers(Family):
    """`u_t + u u_x = nu u_xx` on [0, 1], periodic, from each function: Fourier-Galerkin, free of aliasing.

    Args:
        functions: the initial values.
        viscosity: nu.
        horizon: the last time.
        modes: the highest wave number kept.
        steps: time steps in all.
    """

    def __init__(
        self, functions: Functions, viscosity: float, horizon: float = 1.0, modes: int = 96, steps: int = 400
    ) -> None:
        super().__init__(functions, horizon, steps)
        self.modes = modes
        self.waves = 2 * np.pi * np.arange(modes + 1)
        self.linear = -viscosity * self.waves**2
        self.grid = int(scipy.fft.next_fast_len(3 * modes + 1))

    def start(self, coefficients: Array) -> States:
        """The Fourier coefficients of the functions."""
        count = 4 * self.grid
        values = self.functions(coefficients, np.arange(count) / count)
        return np.asarray(scipy.fft.rfft(values, norm="forward")[:, : self.modes + 1])

    def nonlinear(self, coefficients: Array) -> Callable[[States], States]:
        """-(u^2 / 2)_x."""

        def evaluate(state: States) -> States:
            u = scipy.fft.irfft(state, self.grid, norm="forward")
            return np.asarray(-0.5j * self.waves * scipy.fft.rfft(u * u, norm="forward")[:, : self.modes + 1])

        return evaluate

    def at(self, x: Array) -> States:
        """Harmonics, twice for their conjugate partners."""
        return np.asarray(np.exp(1j * np.outer(x, self.waves)) * np.where(self.waves > 0, 2, 1))


class DiffusionReaction(Family):
    """`u_t = d u_xx + k u^2 + a` on [0, 1], u = 0 at both ends and at the start: Chebyshev collocation.

    The second derivative at the inner nodes is diagonalised, so that the stiff part is integrated exactly.

    Args:
        functions: the sources a.
        diffusion: d.
        reaction: k.
        horizon: the last time.
        nodes: intervals between Chebyshev points.
        steps: time steps in all.
    """

    def __init__(
        self,
        functions: Functions,
        diffusion: float,
        reaction: float,
        horizon: float = 1.0,
        nodes: int = 48,
        steps: int = 800,
    ) -> None:
        super().__init__(functions, horizon, steps)
        self.reaction = reaction
        self.x, first = differentiation(nodes)
        values, self._vectors = np.linalg.eig((first @ first)[1:-1, 1:-1])
        # They are real and negative (Gottlieb and Lustman, SIAM J. Numer. Anal. 20, 1983).
        self.linear, self._vectors = diffusion * values.real, self._vectors.real
        self._inverse = np.linalg.inv(self._vectors)

    def start(self, coefficients: Array) -> States:
        """Zero."""
        return np.zeros((len(coefficients), len(self.linear)))

    def nonlinear(self, coefficients: Array) -> Callable[[States], States]:
        """K u^2 + a."""
        source = self.functions(coefficients, self.x[1:-1])

        def evaluate(state: States) -> States:
            return np.asarray((self.reaction * (state @ self._vectors.T) ** 2 + source) @ self._inverse.T)

        return evaluate

    def at(self, x: Array) -> States:
        """What the inner nodes' values, in the eigenvectors' coordinates, give between the nodes."""
        return np.asarray(interpolation(self.x, x)[:, 1:-1] @ self._vectors)
