"""Poisson's equation with a steep internal layer: what adaptive points are for."""

from __future__ import annotations

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual

CENTER, RADIUS = (1.5, 0.25), 0.92
"""The circle that the layer lies on: that of Mitchell's asymmetric wave front (Appl. Math. Comput. 220, 2013)."""


class Front2D(Problem):
    """Poisson's equation  -Delta u = f  on the unit square with a steep layer on an arc, u = 0 on the boundary.

    The solution is u = 16 x (1 - x) y (1 - y) tanh(s (r - 0.92)), r the distance from (1.5, 0.25): a layer of width
    1 / s along an arc that crosses the square and has none of its symmetries. The size of f is s^2 in the layer and
    its mean square about s^3, nearly all of it in the layer: few uniform points see it. The residual is divided by
    s^(3/2), which makes f of order one in mean square.

    Args:
        steepness: s; 50 is steep, 5 hardly a layer.
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, steepness: float = 50.0, exact_conditions: bool = False) -> None:
        self.steepness = checks.positive("steepness", steepness)
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        conditions = {
            "pde": Residual(square, self.balance),
            "boundary": Dirichlet(square.boundary(), u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x, y: _bubble(x, y) * u
            del conditions["boundary"]
        super().__init__(domain=square, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """(Delta u + f) / s^(3/2)."""
        return (u.laplacian() + self.source(x, y)) / self.steepness**1.5

    def source(self, x: Tensor, y: Tensor) -> Tensor:
        """F = -Delta(b w) = -(b Delta w + 2 grad b . grad w + w Delta b), of the bubble b and the layer w."""
        s, dx, dy = self.steepness, x - CENTER[0], y - CENTER[1]
        r = torch.sqrt(dx**2 + dy**2)
        layer = torch.tanh(s * (r - RADIUS))
        slope = s * (1 - layer**2)  # dw/dr; the second derivative is -2 s w dw/dr
        across = 16 * ((1 - 2 * x) * y * (1 - y) * dx + x * (1 - x) * (1 - 2 * y) * dy) / r  # grad b . grad r
        bend = -32 * (x * (1 - x) + y * (1 - y))
        return -(_bubble(x, y) * slope * (1 / r - 2 * s * layer) + 2 * across * slope + layer * bend)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        r = torch.sqrt((x - CENTER[0]) ** 2 + (y - CENTER[1]) ** 2)
        return _bubble(x, y) * torch.tanh(self.steepness * (r - RADIUS))

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


def _bubble(x: Tensor, y: Tensor) -> Tensor:
    return 16 * x * (1 - x) * y * (1 - y)
