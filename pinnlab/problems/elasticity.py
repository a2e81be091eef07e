"""Linear elasticity: a plate that is held on one side and pulled on another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual


class Elasticity(Problem):
    """A plate in plane strain, div sigma + f = 0 on the unit square, with sigma = lambda tr(e) 1 + 2 mu e.

    The unknowns are the displacements u and v along x and y, with the strain e = (grad + grad^T)/2 of them. The floor
    is clamped, u = v = 0; on the sides v = 0 and no normal traction, sigma_xx = 0; on top the traction (sigma_xy,
    sigma_yy) is given. The solution of Haghighat et al. (Comput. Methods Appl. Mech. Eng. 379, 2021) is

        u = cos(2 pi x) sin(pi y),  v = Q sin(pi x) y^4 / 4,

    and the body force f follows from it. Equations and tractions are divided by 10, which brings them to order one.

    Args:
        first: lambda, Lame's first number.
        shear: mu, Lame's second number, the shear modulus.
        load: Q, the size of the pull.
        condition_weight: the factor of the conditions in the loss.
    """

    def __init__(
        self, first: float = 1.0, shear: float = 0.5, load: float = 4.0, condition_weight: float = 10.0
    ) -> None:
        self.first, self.shear = checks.non_negative("first", first), checks.positive("shear", shear)
        self.load = checks.number("load", load)
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        conditions: dict[str, Condition] = {
            "balance": Residual(square, self.balance),
            "floor": Dirichlet(square.face(y=0.0), weight=condition_weight, u=0.0, v=0.0),
            "sides": Residual(square.boundary("x"), self.sides, weight=condition_weight),
            "traction": Residual(square.face(y=1.0), self.traction, weight=condition_weight),
        }
        super().__init__(domain=square, unknowns=("u", "v"), conditions=conditions)

    def balance(self, u: AbstractField, v: AbstractField, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The divergence of the stress and the body force, divided by 10."""
        force_x, force_y = self.force(x, y)
        stiff, mixed = self.first + 2 * self.shear, self.first + self.shear
        along_x = stiff * u.xx + self.shear * u.yy + mixed * v.xy + force_x
        along_y = stiff * v.yy + self.shear * v.xx + mixed * u.xy + force_y
        return along_x / 10, along_y / 10

    def sides(self, u: AbstractField, v: AbstractField) -> tuple[Tensor, Tensor]:
        """No vertical displacement, no normal traction."""
        return v.value, ((self.first + 2 * self.shear) * u.x + self.first * v.y) / 10

    def traction(self, u: AbstractField, v: AbstractField, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shear and normal stress on top, without what is given, divided by 10."""
        given_shear = self.shear * math.pi * (self.load / 4 * torch.cos(math.pi * x) - torch.cos(2 * math.pi * x))
        given_normal = (self.first + 2 * self.shear) * self.load * torch.sin(math.pi * x)
        shear = self.shear * (u.y + v.x)
        normal = (self.first + 2 * self.shear) * v.y + self.first * u.x
        return (shear - given_shear) / 10, (normal - given_normal) / 10

    def force(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The body force that belongs to the solution."""
        u, v = self.solution(x, y)
        stiff, mixed, square = self.first + 2 * self.shear, self.first + self.shear, math.pi**2
        v_xy = self.load * math.pi * torch.cos(math.pi * x) * y**3
        u_xy = -2 * square * torch.sin(2 * math.pi * x) * torch.cos(math.pi * y)
        v_yy = 3 * self.load * torch.sin(math.pi * x) * y**2
        return (
            4 * stiff + self.shear
        ) * square * u - mixed * v_xy, self.shear * square * v - stiff * v_yy - mixed * u_xy

    def solution(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The exact displacements."""
        u = torch.cos(2 * math.pi * x) * torch.sin(math.pi * y)
        return u, self.load / 4 * torch.sin(math.pi * x) * y**4

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
