"""Laplace's equation in a square with round holes."""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Disk, Domain, distance
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual
from pinnlab.problems.references.multipoles import HarmonicFunction

RADIUS, CENTERS = 0.1, ((-0.3, -0.3), (-0.3, 0.3), (0.3, -0.3), (0.3, 0.3))
_MIRRORED = (-0.7, -0.3, 0.3, 0.7)
IMAGES = tuple((x, y) for x in _MIRRORED for y in _MIRRORED if (x, y) not in CENTERS)
"""The centers mirrored at the square's sides, beyond which the solution goes on with the other sign."""


class PerforatedLaplace(Problem):
    """Laplace's equation on [-0.5, 0.5]^2 without four disks of radius 0.1, with centers at (+-0.3, +-0.3).

    u = 1 on the square, 0 on the circles: what PINNacle (arXiv 2306.08827) calls Poisson2d-C.

    Args:
        weight: the factor of the boundary values in the loss.
        exact_circles: whether the values on the circles hold exactly, by an ansatz with a smooth distance, instead of
            entering the loss. Those on the square do not: it has corners, where second derivatives of such a distance
            grow without bound.
    """

    def __init__(self, weight: float = 100.0, exact_circles: bool = False) -> None:
        checks.positive("weight", weight)
        square: Domain = Box(["x", "y"], [-0.5, -0.5], [0.5, 0.5])
        holes = [Disk(["x", "y"], center=center, radius=RADIUS) for center in CENTERS]
        domain = functools.reduce(lambda left, hole: left - hole, holes, square)
        circles = domain.boundary(on=holes)
        conditions = {
            "pde": Residual(domain, self.balance),
            "square": Dirichlet(domain.boundary(on=square), weight=weight, u=1.0),
            "circles": Dirichlet(circles, weight=weight, u=0.0),
        }
        if exact_circles:
            away = distance(circles)
            self.ansatz = lambda u, x, y: away(x, y) * u
            del conditions["circles"]
        super().__init__(domain=domain, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField) -> Tensor:
        """Delta u."""
        return u.laplacian()

    def reference(self) -> Numerical:
        """Multipoles and powers, fitted to the boundary values."""
        return Numerical(_solution(), accuracy=1e-12)


@functools.lru_cache(maxsize=1)
def _solution() -> HarmonicFunction:
    side = (np.arange(200) + 0.5) / 200 - 0.5
    ends = np.full_like(side, 0.5)
    square = [np.stack(pair, 1) for end in (ends, -ends) for pair in ((side, end), (end, side))]
    angles = 2 * np.pi * np.arange(100) / 100
    circle = RADIUS * np.stack([np.cos(angles), np.sin(angles)], 1)
    boundary = np.concatenate([*square, *(circle + center for center in CENTERS)])
    values = np.concatenate([np.ones(4 * len(side)), np.zeros(len(CENTERS) * len(circle))])
    return HarmonicFunction(boundary, values, (*CENTERS, *IMAGES), RADIUS, size=0.5**0.5)
