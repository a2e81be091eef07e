"""The heat equation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class Heat1D(Problem):
    """The heat equation  u_t = k u_xx  on [0, 1] x [0, 1], u(x, 0) = sin(pi x), u = 0 at both ends.

    The solution is exp(-k pi^2 t) sin(pi x).

    Args:
        diffusivity: k > 0; 1/4 by default, where the solution falls to a twelfth within unit time.
        exact_conditions: whether the initial and boundary values hold exactly, by an ansatz, instead of entering
            the loss.
    """

    def __init__(self, diffusivity: float = 0.25, exact_conditions: bool = False) -> None:
        self.diffusivity = checks.positive("diffusivity", diffusivity)
        x, t = Interval("x", 0, 1), Interval("t", 0, 1)
        conditions = {
            "pde": Residual(x * t, self.balance),
            "wall": Dirichlet((x * t).boundary("x"), weight=10.0, u=0.0),
            "start": Dirichlet((x * t).face(t=0.0), weight=10.0, u=lambda x: torch.sin(math.pi * x)),
        }
        if exact_conditions:
            self.ansatz = lambda u, x, t: torch.sin(math.pi * x) + t * x * (1 - x) * u
            del conditions["wall"], conditions["start"]
        super().__init__(domain=x * t, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField) -> Tensor:
        """u_t - k u_xx."""
        return u.t - self.diffusivity * u.xx

    def solution(self, x: Tensor, t: Tensor) -> Tensor:
        """The exact solution."""
        return torch.exp(-self.diffusivity * math.pi**2 * t) * torch.sin(math.pi * x)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
