"""Flow through a random medium as an operator: from the conductivity to the pressure."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Cosines, FunctionSpace
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.operators import solved, values_of
from pinnlab.problems.references.darcy import DarcyFlow


class DarcyOperator(Problem):
    """Darcy flow through a random medium:  -div(exp(g) grad u) = 1  on the unit square, u = 0 on its edge.

    For all g of a Gaussian random field of mean zero, the logarithm of the conductivity: the operator of Li et al.,
    "Fourier neural operator" (arXiv:2010.08895), section 5.2, with a conductivity that is smooth where theirs jumps
    between 3 and 12, so that the equation has a meaning at points, too.

    Args:
        modes: how many cosines a field has.
        deviation: the standard deviation of g; at 0.7 three deviations up or down are as often seen as a factor of 4.
        exact_conditions: whether the zeros hold exactly, by the ansatz 16 x (1 - x) y (1 - y) N, instead of entering
            the loss.
        data: train on the solutions for so many random fields in place of the equation; 0: physics-informed.
        places: at how many places of each, spread evenly.
    """

    def __init__(
        self,
        modes: int = 8,
        deviation: float = 0.7,
        exact_conditions: bool = True,
        data: int = 0,
        places: int = 100,
    ) -> None:
        square = Box(["x", "y"], 0, 1)
        basis = Cosines(square, checks.integer("modes", modes), deviation=checks.positive("deviation", deviation))
        self.space = FunctionSpace("g", basis)
        self._solution = DarcyFlow(values_of(self.space))
        domain = square * self.space
        conditions: dict[str, Condition] = {"pde": Residual(domain, self.balance)}
        if data:
            conditions = {"data": solved(self.space, self._solution, data, places, ["x", "y"])}
        if exact_conditions:
            self.ansatz = lambda u, x, y: 16 * x * (1 - x) * y * (1 - y) * u
        else:
            conditions["edge"] = Dirichlet(domain.boundary("x", "y"), u=0.0)
        super().__init__(domain, ["u"], conditions)

    def balance(self, u: AbstractField, g: Any) -> Tensor:
        """div(exp(g) grad u) + 1."""
        return torch.exp(g.value) * (u.xx + u.yy + g.x * u.x + g.y * u.y) + 1

    def reference(self) -> Numerical:
        """Chebyshev collocation, for one field after another."""
        return Numerical(self._solution, accuracy=1e-5)
