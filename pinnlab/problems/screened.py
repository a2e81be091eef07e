"""A screened Poisson equation in a square with round holes of different sizes."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Disk, Domain
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual
from pinnlab.problems.references.points import Array
from pinnlab.problems.references.screened import ScreenedFunction

RATE = 8.0
HOLES = ((0.5, 0.5, 0.2, 20), (0.4, -0.4, 0.4, 30), (-0.2, -0.7, 0.1, 16), (-0.6, 0.5, 0.3, 24))
"""x, y, radius of each, and how many orders the reference takes about it."""
OUTSIDE, INSIDE = 0.2, 1.0
"""The values on the square and on the circles."""


class ScreenedPoisson(Problem):
    """-Delta u + 64 u = f on [-1, 1]^2 without four disks of radius 0.1 to 0.4.

    f = 10 (17 + x^2 + y^2) sin(pi x) sin(4 pi y); u = 0.2 on the square and 1 on the circles, from which it falls
    within 1 / 8: a linear Poisson-Boltzmann equation, what PINNacle (arXiv 2306.08827) calls Poisson2d-CG. The equation
    is divided by 64.

    Args:
        weight: the factor of the boundary values in the loss.
    """

    def __init__(self, weight: float = 10.0) -> None:
        checks.positive("weight", weight)
        square: Domain = Box(["x", "y"], [-1, -1], [1, 1])
        holes = [Disk(["x", "y"], center=(x, y), radius=radius) for x, y, radius, _ in HOLES]
        domain = functools.reduce(lambda left, hole: left - hole, holes, square)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "square": Dirichlet(domain.boundary(on=square), weight=weight, u=OUTSIDE),
                "circles": Dirichlet(domain.boundary(on=holes), weight=weight, u=INSIDE),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """U - (Delta u + f) / 64."""
        source = 10 * (17 + x**2 + y**2) * torch.sin(math.pi * x) * torch.sin(4 * math.pi * y)
        return u.value - (u.laplacian() + source) / RATE**2

    def reference(self) -> Numerical:
        """A solution for f alone by formula, and Bessel functions fitted to what the boundary wants beside it."""
        return Numerical(_solution, accuracy=1e-8)


def _solution(points: Array) -> Array:
    return _particular(points) + _rest()(points)


def _particular(points: Array) -> Array:
    """A solution of the equation without conditions: sines and cosines times polynomials."""
    x, y = points.T
    a, b = np.pi, 4 * np.pi
    both, total = np.sin(a * x) * np.sin(b * y), RATE**2 + a**2 + b**2

    def of_square(s: Array, wave: float, other: Array) -> Array:  # for s^2 sin(a x) sin(b y)
        return (s**2 * both + 2 / total * both + 4 * wave / total * (s * other - 2 * wave / total * both)) / total

    along_x = of_square(x, a, np.cos(a * x) * np.sin(b * y))
    along_y = of_square(y, b, np.sin(a * x) * np.cos(b * y))
    return np.asarray(10 * (17 / total * both + along_x + along_y))


@functools.lru_cache(maxsize=1)
def _rest() -> ScreenedFunction:
    side = -np.cos(np.pi * (np.arange(300) + 0.5) / 300)  # denser at the corners
    ends = np.ones_like(side)
    square = [np.stack(pair, 1) for end in (ends, -ends) for pair in ((side, end), (end, side))]
    angles = 2 * np.pi * (np.arange(120) + 0.5) / 120
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    circles = [np.array([x, y]) + radius * circle for x, y, radius, _ in HOLES]
    boundary = np.concatenate([*square, *circles])
    values = np.repeat([OUTSIDE, INSIDE], [4 * len(side), len(HOLES) * len(circle)])
    return ScreenedFunction(RATE, HOLES, boundary, values - _particular(boundary))
