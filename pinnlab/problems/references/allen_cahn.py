"""The Allen-Cahn benchmark by a cosine Galerkin method and exponential time differencing.

`u_t = D u_xx + 5 u - 5 u^3` on the periodic interval [-1, 1] from `u(x, 0) = x^2 cos(pi x)`. The solution is
even, so cosines suffice. The initial slope jumps by 4 across the periodic boundary: its coefficients decay
like k^-2 only, and no affordable number of modes resolves the kink before diffusion has rounded it. The heat
flow of the kink is known, though, and near it, where u = -1, the reaction damps disturbances like exp(-10 t).
So u is evaluated as

    u = (cosine series of u - exp(-10 t) v) + exp(-10 t) v,    v the heat flow of the initial value,

where the series converges fast at all times.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.exponential import advance, etdrk4
from pinnlab.problems.references.points import Array, chunks, space_time

REACTION = 5.0
KINK_DAMPING = 2 * REACTION
"""-(5u - 5u^3)' at u = -1, the value at the kink."""
FEWEST_MODES = 32
"""With fewer, `heat_flow` would be asked for times at which its kernel reaches two kinks."""


class AllenCahn:
    """Reference solution of the Allen-Cahn benchmark at arbitrary points.

    Galerkin projection on cosines (products without aliasing on twice as many points), ETDRK4 with the
    contour coefficients of Kassam and Trefethen (SIAM J. Sci. Comput. 26, 2005) in time, cubic Hermite
    interpolation between the time steps. The run is done at the first call and kept (16 MB with the
    defaults).

    With the defaults the relative L2 error is about 1e-11 on a grid of 201 x 101 points and the largest error
    stays below 1e-8 at points of any time, measured against twice the modes and four times the steps.

    Args:
        diffusion: D > 0; 1e-4 is the usual benchmark, 1e-3 another one. Layers are sqrt(D) wide, so a smaller
            one needs more modes.
        modes: number of cosines, k = 0 ... modes - 1.
        steps: time steps per unit of time.
        horizon: the last time that will be asked for.

    Raises:
        ConfigurationError: an argument is not positive, or there are fewer than 32 modes.
    """

    def __init__(self, diffusion: float = 1e-4, modes: int = 1024, steps: int = 1000, horizon: float = 1.0) -> None:
        values = {"diffusion": diffusion, "modes": modes, "steps": steps, "horizon": horizon}
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name}: must be positive and finite, got {value}")
        if modes < FEWEST_MODES:
            raise ConfigurationError(f"modes: must be at least {FEWEST_MODES}, got {modes}")
        self.diffusion = diffusion
        self.modes = modes
        self.steps = steps
        self.horizon = horizon
        self._frequencies = np.pi * np.arange(modes)
        self._decay = diffusion * self._frequencies**2

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u `(n,)` at points `(n, 2)` with columns x (any real, periodic) and t in [0, horizon].

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        x, t = space_time(points)
        if t.size and t.max() > self.horizon:
            raise ConfigurationError(
                f"points: t must be <= horizon = {self.horizon:g}, got {t.max():g}; set a larger horizon"
            )
        u = np.empty(len(x))
        # In the order of time a chunk holds few distinct times, and coefficients are needed once for each.
        order = np.argsort(t, kind="stable")
        for part in chunks(len(x), self.modes):
            rows = order[part]
            u[rows] = self._evaluate(x[rows], t[rows])
        return u

    def _evaluate(self, x: Array, t: Array) -> Array:
        times, which = np.unique(t, return_inverse=True)
        coefficients = self._interpolate(times)
        # Modes beyond the last one are alive as long as that one is: only then there is a kink to mend.
        young = np.exp(-self._decay[-1] * times) > 1e-17
        damping = np.where(young, np.exp(-KINK_DAMPING * times), 0.0)
        heat = np.exp(-np.outer(times[young], self._decay)) * kink_coefficients(self.modes)
        coefficients[young] -= damping[young, None] * heat
        u = np.einsum("ik,ik->i", np.cos(np.outer(x, self._frequencies)), coefficients[which])
        early = young[which]
        u[early] += damping[which[early]] * heat_flow(x[early], t[early], self.diffusion)
        return u

    def _interpolate(self, times: Array) -> Array:
        """Coefficients `(len(times), modes)`: exact at the time steps, fourth order between them.

        What is interpolated is `exp(rate s) u_k`, which varies slowly although u_k decays fast. The rate is
        bounded for very stiff modes, whose value between two steps is negligible, so that nothing overflows.
        """
        states, slopes = self._trajectory
        step = 1 / self.steps
        first = np.minimum((times * self.steps).astype(int), len(states) - 2)
        s = (times * self.steps - first)[:, None]
        rate = np.minimum(self._decay * step, 4.0)
        left, right = states[first], states[first + 1]
        left_slope = step * slopes[first] + rate * left
        right_slope = step * slopes[first + 1] + rate * right
        start = (1 + 2 * s) * (1 - s) ** 2 * left + s * (1 - s) ** 2 * left_slope
        end = s**2 * (3 - 2 * s) * right + s**2 * (s - 1) * right_slope
        return np.exp(-rate * s) * start + np.exp(rate * (1 - s)) * end

    @cached_property
    def _trajectory(self) -> tuple[Array, Array]:
        """Coefficients and their time derivatives at all time steps, each `(steps + 1, modes)`."""
        count = max(1, math.ceil(self.horizon * self.steps - 1e-9))
        states, reactions = np.empty((2, count + 1, self.modes))
        scheme = etdrk4(-self._decay, 1 / self.steps)
        state = kink_coefficients(self.modes)
        for k in range(count + 1):
            states[k], reactions[k] = state, _reaction(state)
            state = advance(state, reactions[k], _reaction, scheme)
        reactions -= self._decay * states
        return states, reactions


def kink_coefficients(modes: int) -> Array:
    """Exact cosine coefficients of `x^2 cos(pi x)` on [-1, 1], `(modes,)`.

    Those of `x^2`, `4 (-1)^k / (k pi)^2` and 1/3 for k = 0, shifted by one to both sides by the factor
    `cos(pi x)`.
    """
    k = np.arange(-1, modes + 1)
    square = np.full(modes + 2, 1 / 3)
    square[k != 0] = 2 * (-1.0) ** k[k != 0] / (np.pi * k[k != 0]) ** 2
    shifted = square[:-2] + square[2:]
    shifted[0] /= 2
    return shifted


def heat_flow(x: Array, t: Array, diffusion: float) -> Array:
    """The solution of `v_t = D v_xx` from the periodic `x^2 cos(pi x)`, where `12 sqrt(D t) < 1`; `(n,)`.

    Gauss-Legendre quadrature of the convolution with the heat kernel, split at the kink at odd x, and cut off
    where the kernel is below 1e-15.
    """
    width = np.sqrt(4 * diffusion * t)
    x = np.mod(x, 2.0)  # the kink lies at 1, and the initial value is even about it
    cut = 6.0
    kink = np.clip(np.divide(1 - x, width, out=np.full_like(x, cut), where=width > 0), -cut, cut)
    nodes, weights = leggauss(32)
    v = np.zeros_like(x)
    for low, high in ((np.full_like(kink, -cut), kink), (kink, np.full_like(kink, cut))):
        half = (high - low) / 2
        z = (high + low)[:, None] / 2 + half[:, None] * nodes
        y = np.mod(x[:, None] + width[:, None] * z + 1, 2.0) - 1
        v += half * ((y**2 * np.cos(np.pi * y) * np.exp(-(z**2))) @ weights)
    return v / math.sqrt(math.pi)


def _reaction(coefficients: Array) -> Array:
    """Cosine coefficients of `5 u - 5 u^3`; twice as many points as modes keep the cube free of aliasing."""
    modes = len(coefficients)
    padded = np.zeros(2 * modes)
    padded[0] = coefficients[0]
    padded[1:modes] = coefficients[1:] / 2
    u = scipy.fft.dct(padded, type=3)
    result = scipy.fft.dct(REACTION * (u - u**3), type=2)[:modes] / (2 * modes)
    result[0] /= 2
    return result
