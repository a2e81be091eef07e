"""Poisson's equation with waves of many lengths at once."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Domain, Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class MultiscalePoisson(Problem):
    """Poisson's equation  -Delta u = f  on the unit cube, with frequencies 1, 2, 4, ... at once, u = 0 around.

    The solution is the mean over k = 0, ..., octaves of prod_i sin(2^k pi x_i), as in Dolean, Heinlein, Mishra and
    Moseley (arXiv 2306.05486, section 4.2), there in two dimensions and from k = 1. The residual is divided by the size
    of f's highest frequency.

    Args:
        dim: the number of coordinates: x, (x, y) or (x, y, z).
        octaves: the highest frequency is 2^octaves.
        boundary_weight: the factor of the boundary values in the loss.
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(
        self, dim: int = 1, octaves: int = 6, boundary_weight: float = 100.0, exact_conditions: bool = False
    ) -> None:
        self.octaves = checks.integer("octaves", octaves, most=12)
        names = "xyz"[: checks.integer("dim", dim, most=3)]
        cube: Domain = Interval(names[0], 0, 1)
        for name in names[1:]:
            cube = cube * Interval(name, 0, 1)
        conditions = {
            "pde": Residual(cube, self.balance),
            "boundary": Dirichlet(cube.boundary(), weight=boundary_weight, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, points: _product(4 * points * (1 - points)) * u
            del conditions["boundary"]
        super().__init__(domain=cube, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """(Delta u + f) over the size of f's highest frequency."""
        squares = 4.0 ** torch.arange(self.octaves + 1, dtype=points.dtype, device=points.device)
        source = (self._waves(points) * squares).sum(-1) * len(self.coordinates) * math.pi**2
        highest = len(self.coordinates) * math.pi**2 * 4.0**self.octaves
        return (u.laplacian() + source / (self.octaves + 1)) * ((self.octaves + 1) / highest)

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution."""
        return self._waves(points).mean(-1)

    def _waves(self, points: Tensor) -> Tensor:
        """`(n, octaves + 1)`: the product of the sines of each frequency."""
        frequencies = 2.0 ** torch.arange(self.octaves + 1, dtype=points.dtype, device=points.device)
        return _product(torch.sin(math.pi * points.unsqueeze(-2) * frequencies.unsqueeze(-1)))

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


def _product(factors: Tensor) -> Tensor:
    """The product over the last axis, also of what carries derivatives."""
    return reduce(lambda a, b: a * b, factors.unbind(-1))
