"""Heat and waves in a random medium."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import check_seed
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Residual
from pinnlab.problems.random_fields import RandomField
from pinnlab.problems.references.random_media import MediumHeat, MediumWave

STRENGTH = 200.0
"""Of the source of heat."""
RATIO = 12.0
"""By how much c is larger in the faster material."""
SHARPNESS = 2.0
"""Of the transition from one to the other: tanh(2 g)."""
CENTRE, WIDTH = (-0.5, 0.0), 0.3
"""Of the bump that the wave starts from."""


class RandomMediumHeat(Problem):
    """u_t = div(a grad u) + 200 sin(pi x) sin(5 pi y) sin(pi t) on the unit square, u = 0 on the edge and at the start.

    a = exp(g), where g is a `RandomField` of the power 2: from 0.08 to 18 for the first one. What PINNacle (arXiv
    2306.08827) calls Heat2d-VC, on a field of our own, because its file cannot be had. There the field has 256 by 256
    seeds and jumps from one to the next; here it is a sum of waves. The equation is divided by the source's size.

    Args:
        seed: of the field.
        waves: the length of its largest wave vector, in waves per side.
        horizon: the last time; 5 is the benchmark's.
        weight: the factor of the initial and boundary values in the loss.
    """

    def __init__(self, seed: int = 0, waves: int = 8, horizon: float = 5.0, weight: float = 10.0) -> None:
        checks.positive("weight", weight)
        check_seed("problem", seed)
        self.seed, self.waves = seed, checks.integer("waves", waves, most=32)
        self.horizon = checks.positive("horizon", horizon)
        self.logarithm = RandomField([0, 0], [1, 1], self.seed, self.waves)
        domain = Box(["x", "y"], [0, 0], [1, 1]) * Interval("t", 0, horizon)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "edge": Dirichlet(domain.boundary("x", "y"), weight=weight, u=0.0),
                "start": Dirichlet(domain.face(t=0.0), weight=weight, u=0.0),
            },
        )

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """What the equation lacks, over 200."""
        x, y, t = points.unbind(-1)
        logarithm, slope = self.logarithm.with_slope(points[:, :2])
        spread = torch.exp(logarithm) * (u.laplacian("x", "y") + slope[:, 0] * u.x + slope[:, 1] * u.y)
        source = torch.sin(math.pi * x) * torch.sin(5 * math.pi * y) * torch.sin(math.pi * t)
        return (u.t - spread) / STRENGTH - source

    def reference(self) -> Numerical:
        """Polynomials in space, exact in time."""
        return Numerical(_heat(self.seed, self.waves, self.horizon), accuracy=2e-4)


@functools.lru_cache(maxsize=2)
def _heat(seed: int, waves: int, horizon: float) -> MediumHeat:
    logarithm = RandomField([0, 0], [1, 1], seed, waves)
    return MediumHeat(lambda points: np.exp(logarithm.values(points)), STRENGTH, horizon)


class RandomMediumWave(Problem):
    """u_tt = c Delta u on [-1, 1]^2 for t up to 5, at rest at the start, its slope zero on the edge.

    The start is a Gaussian bump of width 0.3 around (-0.5, 0). c is 1 or 12, according to the sign of a `RandomField` g
    of the power 2, with a smooth transition: log c = log 12 (1 + tanh(2 g)) / 2. What PINNacle (arXiv 2306.08827) calls
    Wave2d-CG, on a field of our own, because its file cannot be had; there c jumps. The equation is divided by c, as it
    is there.

    Args:
        seed: of the field.
        waves: the length of its largest wave vector, in waves per side.
        horizon: the last time; 5 is the benchmark's.
        condition_weight: the factor of the conditions in the loss; those on values have a hundred times as much.
    """

    def __init__(self, seed: int = 0, waves: int = 8, horizon: float = 5.0, condition_weight: float = 10.0) -> None:
        checks.positive("condition_weight", condition_weight)
        check_seed("problem", seed)
        self.seed, self.waves = seed, checks.integer("waves", waves, most=32)
        self.horizon = checks.positive("horizon", horizon)
        self.field = RandomField([-1, -1], [1, 1], self.seed, self.waves)
        square = Box(["x", "y"], [-1, -1], [1, 1])
        domain = square * Interval("t", 0, horizon)
        start = domain.face(t=0.0)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "edge": Neumann(domain.boundary("x", "y"), weight=condition_weight, u=0.0),
                "start": Dirichlet(start, weight=100 * condition_weight, u=self.initial),
                "rest": Neumann(start, weight=condition_weight, u=0.0),
            },
        )

    def initial(self, x: Tensor, y: Tensor) -> Tensor:
        """The bump at the start."""
        return torch.exp(-((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2) / (2 * WIDTH**2))

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """Delta u - u_tt / c."""
        rise = torch.tanh(SHARPNESS * self.field(points[:, :2]))
        return u.laplacian("x", "y") - u.tt * torch.exp(-math.log(RATIO) / 2 * (1 + rise))

    def reference(self) -> Numerical:
        """Cosines at points, in steps."""
        return Numerical(_wave(self.seed, self.waves, self.horizon), accuracy=6e-4)


@functools.lru_cache(maxsize=2)
def _wave(seed: int, waves: int, horizon: float) -> MediumWave:
    field = RandomField([-1, -1], [1, 1], seed, waves)

    def square(points: np.ndarray) -> np.ndarray:
        return np.asarray(RATIO ** ((1 + np.tanh(SHARPNESS * field.values(points))) / 2))

    def bump(points: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-((points - CENTRE) ** 2).sum(1) / (2 * WIDTH**2)))

    return MediumWave(square, bump, horizon)
