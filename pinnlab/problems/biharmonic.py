"""The biharmonic equation of plates and beams: fourth order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Domain, Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Neumann, Residual

Support = Literal["simple", "clamped"]


class Biharmonic1D(Problem):
    """A beam  u'''' = f  on [0, 1], simply supported (u = u'' = 0) or clamped (u = u' = 0) at both ends.

    The solution is sin(pi x) for simple support, f = pi^4 sin(pi x), and sin^2(pi x) for clamped ends,
    f = -8 pi^4 cos(2 pi x). The equation is divided by the size of f and the moments by pi^2, so that all residuals
    are of order one.

    Args:
        exact_conditions: whether the conditions at the ends hold exactly, by an ansatz, instead of entering the loss;
            of simple support only u = 0 does, the moments stay in the loss.
        support: `simple` or `clamped`.
    """

    def __init__(self, exact_conditions: bool = False, support: Support = "simple") -> None:
        x = Interval("x", 0, 1)
        self.clamped = checks.choice("support", support, ("simple", "clamped")) == "clamped"
        if exact_conditions:
            self.ansatz = self._ansatz
        conditions = {
            "pde": Residual(x, self.balance),
            **_support(x, "ends", self.clamped, exact_conditions, lambda u: u.xx / math.pi**2),
        }
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """U'''' - f, divided by the size of f."""
        if self.clamped:
            return u.xxxx / (8 * math.pi**4) + torch.cos(2 * math.pi * x)
        return u.xxxx / math.pi**4 - torch.sin(math.pi * x)

    def _ansatz(self, u: Tensor, x: Tensor) -> Tensor:
        bubble = 4 * x * (1 - x)
        return bubble**2 * u if self.clamped else bubble * u

    def solution(self, x: Tensor) -> Tensor:
        """The exact solution."""
        return _mode(x, self.clamped)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class Biharmonic2D(Problem):
    """A plate  Delta^2 u = f  on the unit square, simply supported (u = Delta u = 0) or clamped (u = du/dn = 0).

    The solution is sin(pi x) sin(pi y) for simple support, f = 4 pi^4 u, and its square for clamped edges,
    f = 8 pi^4 (c(x) c(y) - c(x) s(y) - s(x) c(y)) with c(x) = cos(2 pi x), s(x) = sin^2(pi x). Equation and moments
    are scaled to order one.

    Args:
        exact_conditions: as for `Biharmonic1D`.
        support: `simple` or `clamped`.
    """

    def __init__(self, exact_conditions: bool = False, support: Support = "simple") -> None:
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        self.clamped = checks.choice("support", support, ("simple", "clamped")) == "clamped"
        if exact_conditions:
            self.ansatz = self._ansatz
        conditions = {
            "pde": Residual(square, self.balance),
            **_support(square, "edge", self.clamped, exact_conditions, lambda u: u.laplacian() / (2 * math.pi**2)),
        }
        super().__init__(domain=square, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta^2 u - f, divided by the size of f."""
        bilaplacian = u.xxxx + 2 * u.xxyy + u.yyyy
        if not self.clamped:
            return bilaplacian / (4 * math.pi**4) - self.solution(x, y)
        cos_x, cos_y = torch.cos(2 * math.pi * x), torch.cos(2 * math.pi * y)
        source = cos_x * cos_y - cos_x * _mode(y, True) - _mode(x, True) * cos_y
        return bilaplacian / (8 * math.pi**4) - source

    def _ansatz(self, u: Tensor, x: Tensor, y: Tensor) -> Tensor:
        bubble = 16 * x * (1 - x) * y * (1 - y)
        return bubble**2 * u if self.clamped else bubble * u

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return _mode(x, self.clamped) * _mode(y, self.clamped)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


def _mode(x: Tensor, clamped: bool) -> Tensor:
    wave = torch.sin(math.pi * x)
    return wave * wave if clamped else wave


def _support(
    domain: Domain, where: str, clamped: bool, exact: bool, moment: Callable[[AbstractField], Tensor]
) -> dict[str, Condition]:
    """The conditions around a beam or plate that the ansatz leaves to the loss."""
    boundary = domain.boundary()
    values: dict[str, Condition] = {} if exact else {where: Dirichlet(boundary, weight=10.0, u=0.0)}
    if not clamped:
        return {**values, "moments": Residual(boundary, moment, weight=10.0)}
    # Slopes are of order pi; the weight takes that out, as the division by pi^2 does for the moments.
    return values if exact else {**values, "slopes": Neumann(boundary, weight=10.0 / math.pi**2, u=0.0)}
