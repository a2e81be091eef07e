"""The Helmholtz equation."""

from __future__ import annotations

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class Helmholtz2D(Problem):
    """The Helmholtz equation  Delta u + k^2 u = f  on the unit square, with the solution prescribed around it.

    The solution is u = sin(k x) sin(k y), f = -k^2 u, as in FastLSQ (arXiv 2602.10541), there with k = 10. The
    residual is divided by k^2. The equation is indefinite: near k^2 = pi^2 (m^2 + n^2) it has no unique solution.

    Args:
        wave_number: k.
        boundary_weight: the factor of the boundary values in the loss.
    """

    def __init__(self, wave_number: float = 10.0, boundary_weight: float = 100.0) -> None:
        self.wave_number = checks.positive("wave_number", wave_number)
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        super().__init__(
            domain=square,
            unknowns=("u",),
            conditions={
                "pde": Residual(square, self.balance),
                "boundary": Dirichlet(square.boundary(), weight=boundary_weight, u=self.solution),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """(Delta u + k^2 u - f) / k^2."""
        return u.laplacian() / self.wave_number**2 + u + self.solution(x, y)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(self.wave_number * x) * torch.sin(self.wave_number * y)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
