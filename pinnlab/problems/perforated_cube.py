"""A screened Poisson equation in a cube with balls cut out, of two materials."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Ball, Box, Domain
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Neumann, Residual
from pinnlab.problems.references.cube_spheres import CubeWithoutBalls
from pinnlab.problems.references.points import Array

BALLS = ((0.4, 0.3, 0.6, 0.2), (0.6, 0.7, 0.6, 0.2), (0.2, 0.8, 0.7, 0.1), (0.6, 0.2, 0.3, 0.1))
"""x, y, z and radius of each."""
RATES = (8.0, 10.0)
"""k below z = 1/2, and above."""
SOURCES = (250, 250, 100, 100)
"""How many the reference has in each ball."""


class PerforatedCube(Problem):
    """-Delta u + k^2 u = f in the unit cube without four balls, no flux through any surface.

    k = 8 for z < 1/2 and 10 above, f = 20 exp(sin pi x + sin 10 pi y + sin 5 pi z)(s - 1)/(s + 1) + 100 sin pi x
    sin 10 pi y sin 5 pi z with s = x^2 + y^2 + z^2: what PINNacle (arXiv 2306.08827) calls Poisson3d-CG. The equation
    is divided by k^2. Second derivatives jump at z = 1/2, which cuts two of the balls.

    Args:
        weight: the factor of the fluxes in the loss.
    """

    def __init__(self, weight: float = 0.01) -> None:
        checks.positive("weight", weight)
        names = ["x", "y", "z"]
        cube: Domain = Box(names, [0, 0, 0], [1, 1, 1])
        balls = [Ball(names, center, radius) for *center, radius in BALLS]
        domain = functools.reduce(lambda left, ball: left - ball, balls, cube)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "walls": Neumann(domain.boundary(on=cube), weight=weight, u=0.0),
                "spheres": Neumann(domain.boundary(on=balls), weight=weight, u=0.0),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """U - (Delta u + f) / k^2."""
        square = torch.where(z < 0.5, RATES[0] ** 2, RATES[1] ** 2)
        return u.value - (u.laplacian() + self.source(x, y, z)) / square

    def source(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """The function f."""
        a, b, c = torch.sin(math.pi * x), torch.sin(10 * math.pi * y), torch.sin(5 * math.pi * z)
        s = x**2 + y**2 + z**2
        return 20 * torch.exp(a + b + c) * (s - 1) / (s + 1) + 100 * a * b * c

    def reference(self) -> Numerical:
        """Spectral elements for the cube, and sources in the balls fitted to what they want beside it."""
        return Numerical(_solution(), accuracy=3e-4)


@functools.lru_cache(maxsize=1)
def _solution() -> CubeWithoutBalls:
    def source(x: Array, y: Array, z: Array) -> Array:
        given = (torch.from_numpy(np.ascontiguousarray(s)) for s in (x, y, z))
        return np.asarray(problem.source(*given))

    problem = PerforatedCube()
    return CubeWithoutBalls(RATES, source, BALLS, SOURCES)
