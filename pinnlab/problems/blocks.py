"""Poisson's equation in a square of many materials."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box
from pinnlab.numerics.constants import constant_like
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Residual, Robin
from pinnlab.problems.references.points import Array
from pinnlab.problems.references.robin import RobinPoisson

CONDUCTIVITY = (
    (46.11728, 0.5973282, 0.2922707, 1.262764, 0.144562),
    (12.71815, 1.469753, 82.58023, 0.2361176, 0.3212575),
    (0.9870683, 9.056933, 87.93604, 0.1319132, 66.24848),
    (6.94013, 1.714366, 1.882944, 0.4777548, 12.26776),
    (65.95316, 22.76514, 5.149506, 10.5173, 6.485008),
)
CONSTANT = (
    (-0.5391451, -0.3776799, 0.9593887, 0.2395792, 0.5298503),
    (-0.8754225, 0.9200586, 0.2302176, 0.1264191, -0.8055526),
    (0.3118254, -0.1239761, 0.7558862, -0.05690806, -0.9684977),
    (-0.4054805, 0.8928609, 0.4394579, -0.8037996, 0.50878),
    (0.635646, -0.4348196, -0.8323421, -0.7788386, 0.1785787),
)
WAVE = (
    (-0.8293751, 0.1142822, 0.5864437, -0.937095, 0.4247311),
    (0.4779174, -0.3690794, 0.3396281, 0.3241248, 0.265265),
    (0.663016, -0.07972029, -0.7603945, 0.1051315, -0.05864702),
    (0.07613802, -0.18602, 0.04905803, -0.4134108, 0.2248058),
    (-0.7825124, -0.6358456, 0.884609, 0.6774741, -0.9848308),
)
"""a, c and d in the blocks, along x and then along y: PINNacle's numbers (MIT License), to seven digits."""
LOW, SIZE, BLOCKS = -10.0, 4.0, 5


class BlockPoisson(Problem):
    """a Delta u + f = 0 on [-10, 10]^2, in 5 x 5 blocks, with du/dn = -u all around.

    In each block a is a constant, from 0.14 to 88, and f = c + d sin(pi X) sin(pi Y) with X and Y in [0, 1] in the
    block: what PINNacle (arXiv 2306.08827) calls Poisson2d-MS. The equation is divided by a, so that the second
    derivatives of u jump from block to block, and its slopes do not.

    Args:
        weight: the factor of the condition on the boundary in the loss.
    """

    def __init__(self, weight: float = 10.0) -> None:
        checks.positive("weight", weight)
        square = Box(["x", "y"], [LOW, LOW], [-LOW, -LOW])
        self.constant, self.wave = (
            torch.tensor(part, dtype=torch.float64) / torch.tensor(CONDUCTIVITY, dtype=torch.float64)
            for part in (CONSTANT, WAVE)
        )
        super().__init__(
            domain=square,
            unknowns=("u",),
            conditions={
                "pde": Residual(square, self.balance),
                "edge": Robin(square.boundary(), weight=weight, u=0.0),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta u + f / a."""
        return u.laplacian() + self.source(x, y)

    def source(self, x: Tensor, y: Tensor) -> Tensor:
        """F / a."""
        (i, in_x), (j, in_y) = _block(x), _block(y)
        constant, wave = constant_like(self.constant, x)[i, j], constant_like(self.wave, x)[i, j]
        return constant + wave * torch.sin(math.pi * in_x) * torch.sin(math.pi * in_y)

    def reference(self) -> Numerical:
        """Spectral elements, one for each block."""
        return Numerical(_solution(), accuracy=3e-7)


def _block(s: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the block in one coordinate, and where in it."""
    place = (s - LOW) / SIZE
    number = place.floor().clamp(0, BLOCKS - 1)
    return number.long(), place - number


@functools.lru_cache(maxsize=1)
def _solution() -> RobinPoisson:
    problem = BlockPoisson()

    def source(x: Array, y: Array) -> Array:
        return -np.asarray(problem.source(torch.from_numpy(x), torch.from_numpy(y)))

    return RobinPoisson(LOW, SIZE, BLOCKS, source)
