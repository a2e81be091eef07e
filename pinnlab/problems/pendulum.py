"""A swinging pendulum whose damping and frequency are to be found from noisy angles: an inverse problem."""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import check_seed
from pinnlab.problems import checks
from pinnlab.problems.base import Coefficient, Numerical, Problem
from pinnlab.problems.conditions import Residual
from pinnlab.problems.observations import Observations

START = (2.0, 0.0)
"""Angle and velocity at time 0: far from where the sine is its argument."""


class NoisyPendulum(Problem):
    """The pendulum  a'' + damping a' + stiffness sin a = 0  on [0, 5], its angle a measured with noise.

    Damping and stiffness are the coefficients to find; the angle at the start, 2, and the velocity there, 0, are not
    given either. Errors are those against the true motion, without noise.

    Args:
        noise: the standard deviation of a measurement, in radians; 0 for none.
        count: how many measurements there are, at equal distances.
        seed: of the noise.
        damping: the true value.
        stiffness: the true value; gravity over length.

    Raises:
        ConfigurationError: the noise is negative, there is no measurement, or a true value is not positive.
    """

    def __init__(
        self, noise: float = 0.05, count: int = 60, seed: int = 0, damping: float = 0.3, stiffness: float = 4.0
    ) -> None:
        self.noise, self.count = checks.non_negative("noise", noise), checks.integer("count", count)
        check_seed("problem", seed)
        self.damping, self.stiffness = checks.positive("damping", damping), checks.positive("stiffness", stiffness)
        t = Interval("t", 0, 5)
        times = torch.linspace(0, 5, count, dtype=torch.float64)
        drawn = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        angles = torch.from_numpy(self._angle(times.numpy())) + self.noise * drawn
        super().__init__(
            domain=t,
            unknowns=("a",),
            conditions={
                "motion": Residual(t, self.motion),
                "data": Observations(times[:, None], a=angles),
            },
            coefficients={
                "damping": Coefficient(initial=1.0, bounds=(0.0, 5.0)),
                "stiffness": Coefficient(initial=2.0, bounds=(0.0, 20.0)),
            },
        )

    def motion(self, a: AbstractField, damping: Tensor, stiffness: Tensor) -> Tensor:
        """The residual of the equation of motion."""
        return a.tt + damping * a.t + stiffness * torch.sin(a.value)

    def reference(self) -> Numerical:
        """The true motion, by an explicit method of order 8."""
        return Numerical(lambda points: self._angle(points[:, 0]), accuracy=1e-11)

    def _angle(self, times: np.ndarray) -> np.ndarray:
        return np.asarray(_motion(self.damping, self.stiffness)(times)[0])


@functools.lru_cache(maxsize=8)
def _motion(damping: float, stiffness: float) -> functools.partial[np.ndarray]:
    """Angle and velocity `(2, n)` as a function of `(n,)` times."""

    def right(_: float, state: np.ndarray) -> tuple[float, float]:
        return state[1], -damping * state[1] - stiffness * np.sin(state[0])

    found = solve_ivp(right, (0.0, 5.0), START, "DOP853", dense_output=True, rtol=1e-13, atol=1e-14)
    return functools.partial(found.sol)
