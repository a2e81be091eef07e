"""Semilinear elliptic equations in very many dimensions, with interactions between neighbouring coordinates."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import RadialBall
from pinnlab.errors import check_seed
from pinnlab.numerics.constants import constant_like
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Residual


class TwoBody(Problem):
    """Delta u + h(u) = g in the unit ball of d dimensions with u = 0 on its rim, as in arXiv 2412.00088 and 2307.12306.

    The solution is u = (1 - |x|^2) s with s the sum over i < d of c_i sin(x_i + cos(x_{i+1}) + x_{i+1} cos(x_i)),
    c_i normal random numbers; g follows from it by formula. Neighbouring coordinates interact, no rotation separates
    them. The boundary value holds exactly, u = (1 - |x|^2) sqrt(d) N with the network N: s has the size of sqrt(d). The
    residual is divided by d^(3/2), which is the size of g. Points have a uniform distance from the center.

    Args:
        dim: d, from 2 to 100,000.
        sample: how many coordinates the Laplacian is estimated from at each step; None computes it from all of them,
            which takes d/sample times as long and as much memory.
        seed: of the numbers c_i.
    """

    def __init__(self, dim: int = 100, sample: int | None = 16, seed: int = 0) -> None:
        self.dim = checks.integer("dim", dim, most=100_000, least=2)
        self.sample = checks.sample(sample, dim)
        check_seed("problem", seed)
        generator = torch.Generator().manual_seed(seed)
        self.amplitudes = torch.randn(dim - 1, generator=generator, dtype=torch.float64)
        ball = RadialBall([f"x{k}" for k in range(1, dim + 1)])
        super().__init__(domain=ball, unknowns=("u",), conditions={"pde": Residual(ball, self.balance)})

    @abstractmethod
    def reaction(self, u: Any) -> Any:
        """h(u)."""

    def ansatz(self, u: Any, points: Any) -> Any:
        """Zero on the rim."""
        return math.sqrt(self.dim) * (1 - (points**2).sum(-1)) * u

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """(Delta u + h(u) - g) / d^(3/2)."""
        return (u.laplacian(sample=self.sample) + self.reaction(u.value) - self.source(points)) / self.dim**1.5

    def solution(self, points: Any) -> Any:
        """The exact solution."""
        x, y = points[:, :-1], points[:, 1:]
        terms = constant_like(self.amplitudes, points) * torch.sin(x + torch.cos(y) + y * torch.cos(x))
        return (1 - (points**2).sum(-1)) * terms.sum(-1)

    def source(self, points: Tensor) -> Tensor:
        """g, from the Laplacian (1 - |x|^2) Delta s - 4 x . grad s - 2 d s of the solution."""
        x, y = points[:, :-1], points[:, 1:]
        sin_x, cos_x, sin_y, cos_y = torch.sin(x), torch.cos(x), torch.sin(y), torch.cos(y)
        phase = x + cos_y + y * cos_x
        by_x, by_y = 1 - y * sin_x, cos_x - sin_y  # of the phase
        c = constant_like(self.amplitudes, points)
        value, slope = c * torch.sin(phase), c * torch.cos(phase)
        s = value.sum(-1)
        radial = (slope * (x * by_x + y * by_y)).sum(-1)
        laplacian = (-slope * (y * cos_x + cos_y) - value * (by_x.square() + by_y.square())).sum(-1)
        rim = 1 - points.square().sum(-1)
        return rim * laplacian - 4 * radial - 2 * self.dim * s + self.reaction(rim * s)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class AllenCahnTwoBody(TwoBody):
    """The Allen-Cahn equation Delta u + u - u^3 = g in d dimensions, see `TwoBody`.

    Args:
        dim: d, from 2 to 100,000.
        sample: how many coordinates the Laplacian is estimated from at each step; None computes it from all of them.
        seed: of the solution's random numbers.
    """

    def reaction(self, u: Any) -> Any:
        """The reaction u - u^3."""
        return u - u**3


class SineGordonTwoBody(TwoBody):
    """The sine-Gordon equation Delta u + sin(u) = g in d dimensions, see `TwoBody`.

    Args:
        dim: d, from 2 to 100,000.
        sample: how many coordinates the Laplacian is estimated from at each step; None computes it from all of them.
        seed: of the solution's random numbers.
    """

    def reaction(self, u: Any) -> Any:
        """The reaction sin(u)."""
        return torch.sin(u)
