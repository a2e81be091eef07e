"""The wave equation, in one and two dimensions of space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Residual


class Wave1D(Problem):
    """The wave equation  u_tt = c^2 u_xx  on [0, 1] x [0, horizon], at rest at t = 0, u = 0 at both ends.

    u(x, 0) = sin(pi x) + 1/2 sin(k pi x); the solution is the sum of standing waves (Rathore et al., arXiv
    2402.01868, there with k = 5; 3 is in use too).

    Args:
        speed: c.
        frequency: k.
        pde_weight: the factor of the equation in the loss; its residual is of order (c k pi)^2.
        condition_weight: the factor of the initial and boundary values in the loss.
        exact_conditions: whether initial value, velocity and boundary values hold exactly, by an ansatz, instead of
            entering the loss. Off by default: the loss would start at 1e5, and optimizers stall.
        horizon: the last time; the slower wave has a period of 2 / c. For more than one of them in windows of time.
    """

    def __init__(
        self,
        speed: float = 2.0,
        frequency: int = 5,
        pde_weight: float = 0.01,
        condition_weight: float = 100.0,
        exact_conditions: bool = False,
        horizon: float = 1.0,
    ) -> None:
        self.speed = checks.positive("speed", speed)
        self.frequency = checks.integer("frequency", frequency)
        x, t = Interval("x", 0, 1), Interval("t", 0, checks.positive("horizon", horizon))
        start = (x * t).face(t=0.0)
        soft = {
            "wall": Dirichlet((x * t).boundary("x"), weight=condition_weight, u=0.0),
            "start": Dirichlet(start, weight=condition_weight, u=self.initial),
            "rest": Neumann(start, weight=1.0, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x, t: self.initial(x) + t * t * x * (1 - x) * u
        super().__init__(
            domain=x * t,
            unknowns=("u",),
            conditions={
                "pde": Residual(x * t, self.balance, weight=pde_weight),
                **({} if exact_conditions else soft),
            },
        )

    def initial(self, x: Tensor) -> Tensor:
        """The initial value."""
        return torch.sin(math.pi * x) + 0.5 * torch.sin(self.frequency * math.pi * x)

    def balance(self, u: AbstractField) -> Tensor:
        """u_tt - c^2 u_xx."""
        return u.tt - self.speed**2 * u.xx

    def reference(self) -> Exact:
        """The standing waves."""

        def solution(x: Tensor, t: Tensor) -> Tensor:
            slow, fast = math.pi, self.frequency * math.pi
            first = torch.sin(slow * x) * torch.cos(self.speed * slow * t)
            return first + 0.5 * torch.sin(fast * x) * torch.cos(self.speed * fast * t)

        return Exact(solution)


class Wave2D(Problem):
    """Waves that are faster along y:  u_tt = u_xx + a u_yy  on the unit square, at rest at t = 0, u = 0 at all walls.

    u(x, y, 0) = sin(pi x) sin(pi y), and the solution is the standing wave sin(pi x) sin(pi y) cos(sqrt(1 + a) pi t).
    With a = 2, for times up to 100, it is PINNacle's Wave2d-MS (arXiv 2306.08827) as it can be posed: what is published
    there as the solution has u_tt = -pi^2 u, where the right side is +pi^2 u.

    Args:
        ratio: a.
        horizon: the last time.
        condition_weight: the factor of the conditions in the loss; those on values have pi^4 times as much, because the
            equation's terms are second derivatives.
    """

    def __init__(self, ratio: float = 2.0, horizon: float = 100.0, condition_weight: float = 1.0) -> None:
        self.ratio = checks.positive("ratio", ratio)
        square, t = Box(["x", "y"], [0, 0], [1, 1]), Interval("t", 0, checks.positive("horizon", horizon))
        domain, on_values = square * t, math.pi**4 * checks.positive("condition_weight", condition_weight)
        start = domain.face(t=0.0)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "wall": Dirichlet(domain.boundary("x", "y"), weight=on_values, u=0.0),
                "start": Dirichlet(start, weight=on_values, u=self.initial),
                "rest": Neumann(start, weight=math.pi**2 * condition_weight, u=0.0),
            },
        )

    def initial(self, x: Tensor, y: Tensor) -> Tensor:
        """The initial value."""
        return torch.sin(math.pi * x) * torch.sin(math.pi * y)

    def balance(self, u: AbstractField) -> Tensor:
        """u_tt - u_xx - a u_yy."""
        return u.tt - u.xx - self.ratio * u.yy

    def reference(self) -> Exact:
        """The standing wave."""
        pace = math.pi * math.sqrt(1 + self.ratio)
        return Exact(lambda x, y, t: self.initial(x, y) * torch.cos(pace * t))
