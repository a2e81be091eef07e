"""The wave equation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Residual


class Wave1D(Problem):
    """The wave equation  u_tt = c^2 u_xx  on [0, 1] x [0, 1], at rest at t = 0, u = 0 at both ends.

    u(x, 0) = sin(pi x) + 1/2 sin(k pi x); the solution is the sum of standing waves (Rathore et al., arXiv
    2402.01868, there with k = 5; 3 is in use too).

    Args:
        speed: c.
        frequency: k.
        pde_weight: the factor of the equation in the loss; its residual is of order (c k pi)^2.
        condition_weight: the factor of the initial and boundary values in the loss.
        exact_conditions: whether initial value, velocity and boundary values hold exactly, by an ansatz, instead of
            entering the loss. Off by default: the loss would start at 1e5, and optimizers stall.
    """

    def __init__(
        self,
        speed: float = 2.0,
        frequency: int = 5,
        pde_weight: float = 0.01,
        condition_weight: float = 100.0,
        exact_conditions: bool = False,
    ) -> None:
        self.speed = checks.positive("speed", speed)
        self.frequency = checks.integer("frequency", frequency)
        x, t = Interval("x", 0, 1), Interval("t", 0, 1)
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
