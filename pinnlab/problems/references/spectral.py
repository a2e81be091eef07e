"""Evolution equations on a periodic interval by a Fourier Galerkin method and exponential time differencing.

`u_t = L u + N(u)`, where L has constant coefficients and N is a polynomial: products are free of aliasing, because they
are formed on a grid that is fine enough for their degree. In time ETDRK4, and between the steps cubic Hermite
interpolation of `exp(-L s) u`, which varies slowly where u oscillates or decays fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.exponential import advance, etdrk4
from pinnlab.problems.references.points import Array, chunks, space_time

Complex = NDArray[Any]
"""Complex numbers."""


class PeriodicEvolution(ABC):
    """Solution of an evolution equation on a periodic interval at arbitrary points.

    The run is done at the first call and kept. A subclass gives the equation and its initial value.

    Args:
        low: the left end of the interval.
        high: its right end, which is the same place.
        modes: the highest wave number kept, in waves per interval.
        steps: time steps in all.
        horizon: the last time that will be asked for.
    """

    degree = 2
    """Of the polynomial N."""
    is_complex = False
    """Whether u is complex; its real and imaginary part are two unknowns then."""

    def __init__(self, low: float, high: float, modes: int, steps: int, horizon: float) -> None:
        self.low, self.high, self.modes, self.steps, self.horizon = low, high, modes, steps, horizon
        numbers = scipy.fft.fftfreq(2 * modes + 1, 1 / (2 * modes + 1)) if self.is_complex else np.arange(modes + 1)
        self.waves = 2 * np.pi / (high - low) * numbers
        self.grid = int(scipy.fft.next_fast_len((self.degree + 1) * modes + 1))

    @abstractmethod
    def linear(self) -> NDArray[Any]:
        """L for each of `waves`: k from 0 up, and of a complex u the negative ones behind."""

    @abstractmethod
    def nonlinear(self, u: NDArray[Any]) -> NDArray[Any]:
        """What N is made of at points of the grid, from u there."""

    def outside(self) -> NDArray[Any] | float:
        """The factor of `nonlinear` for each wave number, such as that of a derivative."""
        return 1.0

    @abstractmethod
    def start(self, x: Array) -> NDArray[Any]:
        """The initial value."""

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u at points `(n, 2)` with columns x (any real) and t in [0, horizon].

        Returns:
            `(n,)`; of a complex u its two parts, `(n, 2)`.

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        x, t = space_time(points)
        if t.size and t.max() > self.horizon * (1 + 1e-12):
            raise ConfigurationError(f"points: t must be <= {self.horizon:g}, the horizon, got {t.max():g}")
        places, at_place = np.unique(x, return_inverse=True)
        times, at_time = np.unique(t, return_inverse=True)
        if len(places) * len(times) <= 4 * len(x):  # a grid: each place and each time once
            u = (self._coefficients(times) @ self._harmonics(places).T)[at_time, at_place]
        else:
            u = np.empty(len(x), complex)
            for part in chunks(len(x), len(self.waves)):
                u[part] = np.einsum("ik,ik->i", self._harmonics(x[part]), self._coefficients(t[part]))
        return np.stack([u.real, u.imag], axis=-1) if self.is_complex else np.ascontiguousarray(u.real)

    def _harmonics(self, x: Array) -> Complex:
        """What each coefficient is the factor of at `(n,)` places; of a real u twice, for its conjugate partner."""
        waves = np.exp(1j * np.outer(x - self.low, self.waves))
        return waves if self.is_complex else waves * np.where(self.waves > 0, 2, 1)

    def _coefficients(self, times: Array) -> Complex:
        """Fourier coefficients `(len(times), len(waves))`: exact at the steps, fourth order between them."""
        states, slopes = self._trajectory
        step = self.horizon / self.steps
        first = np.clip((times / step).astype(int), 0, self.steps - 1)
        s = (times / step - first)[:, None]
        rate = step * np.asarray(self.linear(), complex)
        rate = np.clip(rate.real, -4, 4) + 1j * rate.imag  # stiff modes are negligible, and must not overflow
        left, right = states[first], states[first + 1] * np.exp(-rate)
        left_slope = step * slopes[first] - rate * left
        right_slope = step * slopes[first + 1] * np.exp(-rate) - rate * right
        rest = (1 + 2 * s) * (1 - s) ** 2 * left + s * (1 - s) ** 2 * left_slope
        rest += s**2 * (3 - 2 * s) * right + s**2 * (s - 1) * right_slope
        return np.exp(rate * s) * rest

    @cached_property
    def _trajectory(self) -> tuple[Complex, Complex]:
        """Fourier coefficients and their time derivatives at all steps, each `(steps + 1, len(waves))`."""
        states, slopes = np.empty((2, self.steps + 1, len(self.waves)), complex)
        linear = self.linear()
        scheme = etdrk4(linear, self.horizon / self.steps)
        state = self._initial()
        for k in range(self.steps + 1):
            now = self._nonlinear(state)
            states[k], slopes[k] = state, linear * state + now
            state = advance(state, now, self._nonlinear, scheme)
        return states, slopes

    def _initial(self) -> NDArray[Any]:
        count = scipy.fft.next_fast_len(16 * self.modes)  # far more points than modes: nothing folds back
        return self._spectrum(self.start(self.low + (self.high - self.low) * np.arange(count) / count))

    def _nonlinear(self, state: NDArray[Any]) -> NDArray[Any]:
        if self.is_complex:
            padded = np.zeros(self.grid, complex)
            padded[: self.modes + 1], padded[-self.modes :] = state[: self.modes + 1], state[-self.modes :]
            u = scipy.fft.ifft(padded, overwrite_x=True, norm="forward")
        else:
            u = scipy.fft.irfft(state, self.grid, norm="forward")
        return self._outside * self._spectrum(self.nonlinear(u))

    @cached_property
    def _outside(self) -> NDArray[Any] | float:
        return self.outside()

    def _spectrum(self, u: NDArray[Any]) -> NDArray[Any]:
        """The coefficients that are kept, from values on a grid."""
        if not self.is_complex:
            return np.asarray(scipy.fft.rfft(u, norm="forward")[: self.modes + 1])
        spectrum = scipy.fft.fft(u, norm="forward")
        return np.concatenate([spectrum[: self.modes + 1], spectrum[-self.modes :]])


class KortewegDeVries(PeriodicEvolution):
    """`u_t + u u_x + d u_xxx = 0` on [-1, 1] from cos(pi x).

    Args:
        dispersion: d.
        horizon: the last time.
        modes: see `PeriodicEvolution`.
        steps: likewise.
    """

    def __init__(self, dispersion: float, horizon: float = 1.0, modes: int = 80, steps: int = 6000) -> None:
        self.dispersion = dispersion
        super().__init__(-1.0, 1.0, modes, steps, horizon)

    def linear(self) -> Complex:
        """The symbol -d (i k)^3."""
        return 1j * self.dispersion * self.waves**3

    def nonlinear(self, u: Array) -> Array:
        """-u^2 / 2, of which the derivative is taken."""
        return -0.5 * u * u

    def outside(self) -> Complex:
        """The derivative."""
        return 1j * self.waves

    def start(self, x: Array) -> Array:
        """cos(pi x)."""
        return np.cos(np.pi * x)


class KuramotoSivashinsky(PeriodicEvolution):
    """`u_t + a u u_x + b u_xx + c u_xxxx = 0` on [0, 2 pi] from cos x (1 + sin x).

    Args:
        convection: a.
        growth: b.
        damping: c.
        horizon: the last time.
        modes: see `PeriodicEvolution`.
        steps: likewise.
    """

    def __init__(
        self,
        convection: float,
        growth: float,
        damping: float,
        horizon: float = 1.0,
        modes: int = 144,
        steps: int = 24_000,
    ) -> None:
        self.convection, self.growth, self.damping = convection, growth, damping
        super().__init__(0.0, 2 * np.pi, modes, steps, horizon)

    def linear(self) -> Array:
        """The symbol b k^2 - c k^4."""
        return np.asarray(self.growth * self.waves**2 - self.damping * self.waves**4)

    def nonlinear(self, u: Array) -> Array:
        """-a u^2 / 2, of which the derivative is taken."""
        return -0.5 * self.convection * u * u

    def outside(self) -> Complex:
        """The derivative."""
        return 1j * self.waves

    def start(self, x: Array) -> Array:
        """Cos x (1 + sin x)."""
        return np.cos(x) * (1 + np.sin(x))


class Schroedinger(PeriodicEvolution):
    """`i h_t + h_xx / 2 + |h|^2 h = 0` on [-5, 5] from 2 / cosh x.

    The slope of the initial value jumps by 0.054 across the periodic boundary. Nothing smooths that, so coefficients
    fall like the inverse square of the wave number, and the modes that are left out are the error.

    Args:
        horizon: the last time.
        modes: see `PeriodicEvolution`.
        steps: likewise.
    """

    degree = 3
    is_complex = True

    def __init__(self, horizon: float = np.pi / 2, modes: int = 256, steps: int = 3000) -> None:
        super().__init__(-5.0, 5.0, modes, steps, horizon)

    def linear(self) -> Complex:
        """The symbol -i k^2 / 2."""
        return -0.5j * self.waves**2

    def nonlinear(self, u: Complex) -> Complex:
        """I |h|^2 h."""
        return 1j * (u.real**2 + u.imag**2) * u

    def start(self, x: Array) -> Array:
        """2 / cosh x."""
        return 2 / np.cosh(x)
