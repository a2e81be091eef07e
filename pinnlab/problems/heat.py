"""The heat equation: in one dimension, unlike in two directions, in a ball of many dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Ball, Box, Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Residual


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


class Heat2D(Problem):
    """Heat that spreads unlike in two directions,  u_t = a u_xx + b u_yy  on the unit square, 0 <= t <= 5.

    u = 0 on the edge, u(x, y, 0) = sin(m pi x) sin(n pi y); the solution is that times exp(-(a m^2 + b n^2) pi^2 t). By
    default what PINNacle (arXiv 2306.08827) calls Heat2d-MS: ten waves along x, where hardly any heat spreads.

    Args:
        diffusivities: a and b.
        waves: m and n, in half waves.
        end: the last time.
        weight: the factor of the initial and boundary values in the loss.
    """

    def __init__(
        self,
        diffusivities: tuple[float, float] = ((500 * math.pi) ** -2, math.pi**-2),
        waves: tuple[int, int] = (20, 1),
        end: float = 5.0,
        weight: float = 10.0,
    ) -> None:
        self.a, self.b = (checks.positive("diffusivities", value) for value in diffusivities)
        self.m, self.n = (checks.integer("waves", value) for value in waves)
        square, t = Box(["x", "y"], [0, 0], [1, 1]), Interval("t", 0, checks.positive("end", end))
        super().__init__(
            domain=square * t,
            unknowns=("u",),
            conditions={
                "pde": Residual(square * t, self.balance),
                "edge": Dirichlet((square * t).boundary("x", "y"), weight=weight, u=0.0),
                "start": Dirichlet((square * t).face(t=0.0), weight=weight, u=self.solution),
            },
        )

    def balance(self, u: AbstractField) -> Tensor:
        """u_t - a u_xx - b u_yy."""
        return u.t - self.a * u.xx - self.b * u.yy

    def solution(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The exact solution."""
        rate = math.pi**2 * (self.a * self.m**2 + self.b * self.n**2)
        return torch.exp(-rate * t) * torch.sin(self.m * math.pi * x) * torch.sin(self.n * math.pi * y)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class HeatBall(Problem):
    """The heat equation with a source in the unit ball of many dimensions, its flux prescribed on the sphere.

    u_t = Delta u / d - |x|^2 u / d, with the solution u = exp(|x|^2 / 2 + t) put into the source, 0 <= t <= 1. In five
    dimensions what PINNacle (arXiv 2306.08827) calls HNd.

    Args:
        dim: d, the number of coordinates x1, x2, ...
        weight: the factor of the initial values and of the flux in the loss.
    """

    def __init__(self, dim: int = 5, weight: float = 10.0) -> None:
        self.dim = checks.integer("dim", dim, most=100)
        ball, t = Ball([f"x{i + 1}" for i in range(dim)]), Interval("t", 0, 1)
        names = ball.coordinates
        super().__init__(
            domain=ball * t,
            unknowns=("u",),
            conditions={
                "pde": Residual(ball * t, self.balance),
                "flux": Neumann((ball * t).boundary(*names), weight=weight, u=self.solution),
                "start": Dirichlet((ball * t).face(t=0.0), weight=weight, u=self.solution),
            },
        )

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """u_t - Delta u / d + |x|^2 exp(|x|^2 / 2 + t) / d."""
        square = points[:, :-1].square().sum(-1)
        names = [f"x{i + 1}" for i in range(self.dim)]
        return u.t - (u.laplacian(*names) - square * self.solution(points)) / self.dim

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution, and its normal derivative on the sphere, where |x| = 1."""
        return torch.exp(points[:, :-1].square().sum(-1) / 2 + points[:, -1])

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
