"""Two materials that touch: one unknown for each, and what couples them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual


class Interface(Problem):
    """Steady heat in two materials, -k Delta T = f in each, that touch along a line with a source of heat on it.

    The plate is [-1, 1] x [0, 1], its materials meet at x = 0. Across that line the temperature is continuous, and its
    slope is not: one smooth network would have to bend there. So each material has an unknown of its own, `left` and
    `right`, and both are functions of the distance s = |x| from the line and of y: the plate is folded. On the line

        left = right,    k_left left_s + k_right right_s + q sin(pi y) = 0,

    and T = 0 around the plate. The solution is sin(pi y) (cos(pi s / 2) + a sin(pi s)), with a = (1 - q / (2 pi)) /
    k_left on the left and -(1 + q / (2 pi)) / k_right on the right. Equations and flux are divided by 10.

    Args:
        left: k_left, the conductivity for x < 0.
        right: k_right, that for x > 0.
        source: q, the heat that the line gives; 0 for a continuous flux.
        condition_weight: the factor of the conditions in the loss.
    """

    def __init__(
        self, left: float = 1.0, right: float = 10.0, source: float = 4.0, condition_weight: float = 10.0
    ) -> None:
        self.left, self.right = checks.positive("left", left), checks.positive("right", right)
        self.source = checks.number("source", source)
        half = Interval("s", 0, 1) * Interval("y", 0, 1)
        line = half.face(s=0.0)
        conditions: dict[str, Condition] = {
            "heat": Residual(half, self.balance),
            "line": Residual(line, self.jumps, weight=condition_weight),
            "end": Dirichlet(half.face(s=1.0), weight=condition_weight, left=0.0, right=0.0),
            "edges": Dirichlet(half.boundary("y"), weight=condition_weight, left=0.0, right=0.0),
        }
        super().__init__(domain=half, unknowns=("left", "right"), conditions=conditions)

    def balance(self, left: AbstractField, right: AbstractField, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """K Delta T + f in both materials, divided by 10."""
        f_left, f_right = self.heating(s, y)
        return (self.left * left.laplacian() + f_left) / 10, (self.right * right.laplacian() + f_right) / 10

    def jumps(self, left: AbstractField, right: AbstractField, y: Tensor) -> tuple[Tensor, Tensor]:
        """Of temperature and of flux across the line; the latter without the source, divided by 10."""
        flux = self.left * left.s + self.right * right.s + self.source * torch.sin(math.pi * y)
        return left - right, flux / 10

    def heating(self, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The source f of each material that belongs to the solution."""
        common = 1.25 * math.pi**2 * torch.cos(math.pi * s / 2) * torch.sin(math.pi * y)
        bent = 2 * math.pi**2 * torch.sin(math.pi * s) * torch.sin(math.pi * y)
        a, b = self._slopes()
        return self.left * (common + a * bent), self.right * (common + b * bent)

    def solution(self, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The exact temperatures."""
        a, b = self._slopes()
        common, bent, across = torch.cos(math.pi * s / 2), torch.sin(math.pi * s), torch.sin(math.pi * y)
        return across * (common + a * bent), across * (common + b * bent)

    def _slopes(self) -> tuple[float, float]:
        """The slopes at the line, divided by pi: k_left a + k_right b = -q / pi."""
        shared = self.source / (2 * math.pi)
        return (1 - shared) / self.left, -(1 + shared) / self.right

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
