"""Lorenz' equations by Taylor series, which are their own interpolation between the steps.

The coefficients of a quadratic system follow from each other: with x = sum x_k s^k, `(k + 1) x_{k+1}` is the k-th
coefficient of the right side, a convolution of those found before (Moore, Interval Analysis, 1966, chapter 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from pinnlab.problems.references.points import Array, up_to_horizon

ORDER = 24
"""Of a series; with steps of 1/100 what it leaves out is below round-off, as its radius is about 0.1."""


class Lorenz:
    """Solution of Lorenz' equations at arbitrary times.

    Nearby solutions part like exp(0.9 t) in the chaotic regime, and so do round-off errors: with the usual numbers
    1.5e-13 at t = 3, 1.3e-10 at 10 and 1e-6 at 20.

    Args:
        sigma: Prandtl's number.
        rho: Rayleigh's number, relative to the critical one.
        beta: the aspect ratio.
        start: x, y and z at t = 0.
        horizon: the last time that will be asked for.
        steps: steps per unit of time.
    """

    def __init__(
        self, sigma: float, rho: float, beta: float, start: Sequence[float], horizon: float, steps: int = 100
    ) -> None:
        self.sigma, self.rho, self.beta = sigma, rho, beta
        self.start, self.horizon, self.steps = tuple(start), horizon, steps

    def __call__(self, points: ArrayLike) -> Array:
        """Returns x, y, z `(n, 3)` at times `(n, 1)` in [0, horizon].

        Raises:
            ConfigurationError: the shape is wrong or a time lies outside [0, horizon].
        """
        t = up_to_horizon(points, "t", self.horizon)[:, 0]
        step = np.minimum((t * self.steps).astype(int), len(self._series) - 1)
        powers = (t - step / self.steps)[:, None] ** np.arange(ORDER + 1)
        return np.asarray(np.einsum("ik,ikj->ij", powers, self._series[step]))

    @cached_property
    def _series(self) -> Array:
        """The Taylor coefficients at each step, `(steps, ORDER + 1, 3)`."""
        count = max(1, int(np.ceil(self.horizon * self.steps - 1e-9)))
        series = np.empty((count, ORDER + 1, 3))
        powers = (1 / self.steps) ** np.arange(ORDER + 1)
        state = np.array(self.start, dtype=np.float64)
        for number in range(count):
            series[number] = self._expand(state)
            state = powers @ series[number]
        return series

    def _expand(self, state: Array) -> Array:
        c = np.zeros((ORDER + 1, 3))
        c[0] = state
        for k in range(ORDER):
            x, y, z = c[k]
            x_with = c[k::-1, 0]  # x_k ... x_0, to be convolved with y_0 ... y_k and z_0 ... z_k
            xy, xz = x_with @ c[: k + 1, 1], x_with @ c[: k + 1, 2]
            c[k + 1] = np.array([self.sigma * (y - x), self.rho * x - xz - y, xy - self.beta * z]) / (k + 1)
        return c
