"""A heat equation with a reaction, over long times."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual
from pinnlab.problems.references.long_heat import LongHeat as SineSolution

DIFFUSION = 0.001


class LongHeat(Problem):
    """u_t = 0.001 Delta u + 5 sin(u^2) (1 + 2 sin(pi t / 4)) sin(4 pi x) sin(2 pi y) on the unit square, t up to 100.

    u = 0 on the edge, u(x, y, 0) = sin(4 pi x) sin(3 pi y): what PINNacle (arXiv 2306.08827) calls Heat2d-LT. In a few
    units of time u is near the root of pi, or its negative, in half of the eight cells, with layers of a hundredth
    between; then it goes to and fro with the reaction's period of 8. Disturbances die out. The equation is divided
    by 5.

    Args:
        horizon: the last time; 100 is the benchmark's.
        weight: the factor of the initial and boundary values in the loss.
    """

    def __init__(self, horizon: float = 100.0, weight: float = 10.0) -> None:
        checks.positive("weight", weight)
        self.horizon = checks.positive("horizon", horizon)
        square = Box(["x", "y"], [0, 0], [1, 1])
        domain = square * Interval("t", 0, horizon)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "edge": Dirichlet(domain.boundary("x", "y"), weight=weight, u=0.0),
                "start": Dirichlet(domain.face(t=0.0), weight=weight, u=self.start),
            },
        )

    def start(self, x: Tensor, y: Tensor) -> Tensor:
        """The initial value."""
        return torch.sin(4 * math.pi * x) * torch.sin(3 * math.pi * y)

    def balance(self, u: AbstractField, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """What the equation lacks, over 5."""
        shape = torch.sin(4 * math.pi * x) * torch.sin(2 * math.pi * y)
        reaction = torch.sin(u.value**2) * (1 + 2 * torch.sin(math.pi * t / 4)) * shape
        return (u.t - DIFFUSION * u.laplacian("x", "y")) / 5 - reaction

    def reference(self) -> Numerical:
        """Sines and exact diffusion."""
        return Numerical(_solution(self.horizon), accuracy=5e-4)


@functools.lru_cache(maxsize=2)
def _solution(horizon: float) -> SineSolution:
    return SineSolution(DIFFUSION, horizon)
