"""Lorenz' equations: three unknowns of time, and chaos."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual
from pinnlab.problems.references.lorenz import Lorenz as TaylorSolution

SIZE = 10.0
"""What x, y and z are measured in: the network gives numbers of order one."""
START = (-8.0, 7.0, 27.0)
LONGEST = 25.0
"""The longest time with digits left in the reference: errors grow like exp(0.9 t)."""


class Lorenz(Problem):
    """Lorenz' equations  x' = sigma (y - x),  y' = x (rho - z) - y,  z' = x y - beta z  on [0, horizon].

    They start at (-8, 7, 27), on the attractor of the usual numbers (J. Atmos. Sci. 20, 1963). Errors grow like
    exp(0.9 t), and a solution of small residual may be another one: long horizons are hard. The residuals are divided
    by 100, which brings them to order one.

    Args:
        sigma: Prandtl's number.
        rho: Rayleigh's number, relative to the critical one. From 24.74 on the motion is chaotic.
        beta: the aspect ratio.
        horizon: the last time, at most 25, where the reference has six digits left.
        exact_conditions: whether the start holds exactly, by an ansatz, instead of entering the loss.
        discount: k, the rate of the factor exp(-k t) on the equations. Without it training ends on a path that is one
            only in pieces: it fits all times at once, and the late ones to a beginning that is still wrong.

    Raises:
        ConfigurationError: an argument is not positive, or the horizon is too long.
    """

    def __init__(
        self,
        sigma: float = 10.0,
        rho: float = 28.0,
        beta: float = 8 / 3,
        horizon: float = 3.0,
        exact_conditions: bool = True,
        discount: float = 0.0,
    ) -> None:
        self.sigma, self.rho = checks.positive("sigma", sigma), checks.positive("rho", rho)
        self.beta, self.horizon = checks.positive("beta", beta), checks.positive("horizon", horizon)
        if horizon > LONGEST:
            raise ConfigurationError(
                f"problem.horizon: must be at most {LONGEST:g}, got {horizon:g}; chaos hides the rest"
            )
        t = Interval("t", 0, horizon)
        self.discount = checks.non_negative("discount", discount)
        start = Dirichlet(t.face(t=0.0), **dict(zip("xyz", START, strict=True)))
        self.ansatz = self.from_start if exact_conditions else None
        super().__init__(
            domain=t,
            unknowns=("x", "y", "z"),
            conditions={"ode": Residual(t, self.motion), **({} if exact_conditions else {"start": start})},
        )

    def motion(self, x: AbstractField, y: AbstractField, z: AbstractField, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the three equations lack, divided by 100 and discounted."""
        scale = torch.exp(-self.discount * t) / SIZE**2
        return (
            (x.t - self.sigma * (y - x)) * scale,
            (y.t - x * (self.rho - z) + y) * scale,
            (z.t - x * y + self.beta * z) * scale,
        )

    def from_start(self, x: Tensor, y: Tensor, z: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """The start, and 10 (1 - exp(-10 t)) N: the change has the size of the motion soon, and keeps it."""
        grown = SIZE * (1 - torch.exp(-SIZE * t))
        return tuple(value + grown * change for value, change in zip(START, (x, y, z), strict=True))

    def reference(self) -> Numerical:
        """Taylor series of order 24."""
        solution = TaylorSolution(self.sigma, self.rho, self.beta, START, self.horizon)
        # Against steps of 1/170: 1.3e-14 up to t = 3, where a value differs by 1.5e-13; 1.3e-10 at 10, 9e-7 at 20.
        return Numerical(solution, accuracy=1e-14 * math.exp(self.horizon))
