"""One solution from equations of different order: what the order of an equation does to its training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual

CENTER = 0.4
ORDERS = {0: 1.0, 1: 4 / 3, 2: 16 / 15, 4: 256 / 15}
"""The orders p, and the integral of the squared p-th derivative of tanh; 1 for 0, the square of tanh off the layer."""


class Layer1D(Problem):
    """The equation  d^p u / dx^p = f  on [0, 1] whose solution is a layer, u = tanh(s (x - 0.4)), for p = 0, 1, 2, 4.

    Order 0 is a regression, 1 has its value at x = 0 given, 2 the values at both ends, 4 (a beam) the values and second
    derivatives at both ends. The equation is divided by the root mean square of f, which grows like s^(p - 1/2), and
    the second derivatives at the ends by s^2.

    Args:
        order: p.
        steepness: s; the layer is 1 / s wide.

    Raises:
        ConfigurationError: there is no such order, or the steepness is not positive.
    """

    def __init__(self, order: int = 2, steepness: float = 10.0) -> None:
        if not isinstance(order, int) or order not in ORDERS:
            raise ConfigurationError(f"problem.order: must be 0, 1, 2 or 4, got {order!r}")
        self.order, self.steepness = order, checks.positive("steepness", steepness)
        x = Interval("x", 0, 1)
        conditions: dict[str, Condition] = {"pde": Residual(x, self.balance)}
        if order > 0:
            ends = x.face(x=0.0) if order == 1 else x.boundary()
            conditions["ends"] = Dirichlet(ends, weight=10.0, u=self.solution)
        if order == 4:
            conditions["moments"] = Residual(x.boundary(), self.moment, weight=10.0)
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """d^p u / dx^p - f, divided by the root mean square of f."""
        derivative = u.d(*("x",) * self.order) if self.order else u
        size = math.sqrt(ORDERS[self.order] * self.steepness ** max(2 * self.order - 1, 0))
        return (derivative - self.derivative(x, self.order)) / size

    def moment(self, u: AbstractField, x: Tensor) -> Tensor:
        """What the second derivative lacks, divided by s^2."""
        return (u.xx - self.derivative(x, 2)) / self.steepness**2

    def derivative(self, x: Tensor, order: int) -> Tensor:
        """The solution's derivative of order 0, 1, 2 or 4: polynomials in w = tanh, as w' = 1 - w^2."""
        w = torch.tanh(self.steepness * (x - CENTER))
        slope = 1 - w**2
        return self.steepness**order * {0: w, 1: slope, 2: -2 * w * slope, 4: (16 * w - 24 * w**3) * slope}[order]

    def solution(self, x: Tensor) -> Tensor:
        """The exact solution."""
        return self.derivative(x, 0)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
