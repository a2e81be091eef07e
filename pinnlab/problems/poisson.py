"""Poisson's equation in one, two and many dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class Poisson1D(Problem):
    """Poisson's equation  -u'' = f  on [0, 1] with a low and a high frequency, u(0) = u(1) = 0.

    The solution is u = sin(pi x) + a sin(k pi x). The residual is divided by (k pi)^2 when `scaled`, so that it
    is of order one.

    Args:
        frequency: k, the high wave number.
        amplitude: a, its size.
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, frequency: int = 10, amplitude: float = 0.1, exact_conditions: bool = False) -> None:
        if frequency < 1:
            raise ConfigurationError(f"problem.frequency: must be at least 1, got {frequency}")
        self.frequency, self.amplitude = frequency, amplitude
        x = Interval("x", 0, 1)
        conditions = {
            "pde": Residual(x, self.balance),
            "boundary": Dirichlet(x.boundary(), weight=100.0, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x: x * (1 - x) * u
            del conditions["boundary"]
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """(u'' + f) / pi^2."""
        k = self.frequency
        source = torch.sin(math.pi * x) + self.amplitude * k**2 * torch.sin(k * math.pi * x)
        return u.xx / math.pi**2 + source

    def solution(self, x: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(math.pi * x) + self.amplitude * torch.sin(self.frequency * math.pi * x)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class Poisson2D(Problem):
    """Poisson's equation  -Delta u = 2 pi^2 sin(pi x) sin(pi y)  on the unit square, u = 0 on its boundary.

    The solution is sin(pi x) sin(pi y); the benchmark of Mueller and Zeinhofer (arXiv 2302.13163).

    Args:
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, exact_conditions: bool = False) -> None:
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        conditions = {
            "pde": Residual(square, self.balance),
            "boundary": Dirichlet(square.boundary(), weight=100.0, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x, y: 16 * x * (1 - x) * y * (1 - y) * u
            del conditions["boundary"]
        super().__init__(domain=square, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta u + f."""
        return u.laplacian() + 2 * math.pi**2 * self.solution(x, y)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(math.pi * x) * torch.sin(math.pi * y)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class Poisson(Problem):
    """Poisson's equation  -Delta u = pi^2 sum of cos(pi x_i)  on the unit cube of any dimension.

    The solution is u = sum of cos(pi x_i), prescribed on the boundary (Dangel, Mueller and Zeinhofer, arXiv
    2405.15603, there in five dimensions).

    Args:
        dim: the number of coordinates x1, x2, ...; up to 100.
        boundary_weight: the factor of the boundary values in the loss.
    """

    def __init__(self, dim: int = 5, boundary_weight: float = 100.0) -> None:
        if not 1 <= dim <= 100:
            raise ConfigurationError(f"problem.dim: must be between 1 and 100, got {dim}")
        cube = Box.cube("x", dim, 0.0, 1.0)
        super().__init__(
            domain=cube,
            unknowns=("u",),
            conditions={
                "pde": Residual(cube, self.balance),
                "boundary": Dirichlet(cube.boundary(), weight=boundary_weight, u=self.solution),
            },
        )

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """Delta u + f."""
        return u.laplacian() + math.pi**2 * self.solution(points)

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sum(torch.cos(math.pi * points), -1)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
