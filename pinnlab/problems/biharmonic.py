"""The biharmonic equation of plates and beams: fourth order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class Biharmonic1D(Problem):
    """A simply supported beam  u'''' = pi^4 sin(pi x)  on [0, 1], u = u'' = 0 at both ends.

    The solution is sin(pi x). The equation is divided by pi^4 and the moments by pi^2, so that all residuals are of
    order one.

    Args:
        exact_conditions: whether u = 0 holds exactly at the ends, by an ansatz, instead of entering the loss.
    """

    def __init__(self, exact_conditions: bool = False) -> None:
        x = Interval("x", 0, 1)
        conditions = {
            "pde": Residual(x, self.balance),
            "ends": Dirichlet(x.boundary(), weight=10.0, u=0.0),
            "moments": Residual(x.boundary(), lambda u: u.xx / math.pi**2, weight=10.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x: x * (1 - x) * u
            del conditions["ends"]
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """U'''' / pi^4 - sin(pi x)."""
        return u.xxxx / math.pi**4 - torch.sin(math.pi * x)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(lambda x: torch.sin(math.pi * x))


class Biharmonic2D(Problem):
    """A simply supported plate  Delta^2 u = 4 pi^4 sin(pi x) sin(pi y)  on the unit square, u = Delta u = 0 around it.

    The solution is sin(pi x) sin(pi y); equation and moments are scaled to order one.
    """

    def __init__(self) -> None:
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        edge = square.boundary()
        super().__init__(
            domain=square,
            unknowns=("u",),
            conditions={
                "pde": Residual(square, self.balance),
                "edge": Dirichlet(edge, weight=10.0, u=0.0),
                "moments": Residual(edge, lambda u: u.laplacian() / (2 * math.pi**2), weight=10.0),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta^2 u / (4 pi^4) - sin(pi x) sin(pi y)."""
        return (u.xxxx + 2 * u.xxyy + u.yyyy) / (4 * math.pi**4) - self.solution(x, y)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(math.pi * x) * torch.sin(math.pi * y)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
