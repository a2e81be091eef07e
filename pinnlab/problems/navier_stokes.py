"""The steady flow of an incompressible fluid: its equations, written once, and Kovasznay's exact solution of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual


def steady_navier_stokes(
    u: AbstractField, v: AbstractField, p: AbstractField, viscosity: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The steady Navier-Stokes equations in the plane, for a fluid of density one.

    Args:
        u: the velocity along x.
        v: the velocity along y.
        p: the pressure.
        viscosity: nu, the kinematic viscosity; 1 / Re for lengths and speeds of one.

    Returns:
        Momentum along x and along y, and continuity, each `(n,)`: u u_x + v u_y + p_x - nu Delta u,
        u v_x + v v_y + p_y - nu Delta v, and u_x + v_y.
    """
    along_x = u * u.x + v * u.y + p.x - viscosity * (u.xx + u.yy)
    along_y = u * v.x + v * v.y + p.y - viscosity * (v.xx + v.yy)
    return along_x, along_y, u.x + v.y


class Kovasznay(Problem):
    """The flow behind a grid, by the steady Navier-Stokes equations on [-0.5, 1] x [-0.5, 1.5].

    Unknowns are the velocity (u, v) and the pressure p. The solution of Kovasznay (Proc. Camb. Phil. Soc. 44, 1948) is

        u = 1 - exp(a x) cos(2 pi y),  v = a / (2 pi) exp(a x) sin(2 pi y),  p = (1 - exp(2 a x)) / 2,

    a = Re / 2 - sqrt(Re^2 / 4 + 4 pi^2). The velocity is given on the whole boundary, the pressure where the fluid
    leaves, at x = 1: the equations leave its constant open.

    Args:
        reynolds: Re, from the distance of the bars and the mean speed; 20 and 40 are the usual ones.
        condition_weight: the factor of the boundary values in the loss.
    """

    def __init__(self, reynolds: float = 20.0, condition_weight: float = 10.0) -> None:
        self.viscosity = 1 / checks.positive("reynolds", reynolds)
        self.rate = reynolds / 2 - math.hypot(reynolds / 2, 2 * math.pi)
        box = Interval("x", -0.5, 1) * Interval("y", -0.5, 1.5)
        conditions: dict[str, Condition] = {
            "pde": Residual(box, self.balance),
            "velocity": Dirichlet(
                box.boundary(),
                weight=condition_weight,
                u=lambda x, y: self.solution(x, y)[0],
                v=lambda x, y: self.solution(x, y)[1],
            ),
            "pressure": Dirichlet(box.face(x=1.0), weight=condition_weight, p=lambda x, y: self.solution(x, y)[2]),
        }
        super().__init__(domain=box, unknowns=("u", "v", "p"), conditions=conditions)

    def balance(self, u: AbstractField, v: AbstractField, p: AbstractField) -> tuple[Tensor, Tensor, Tensor]:
        """Momentum and continuity."""
        return steady_navier_stokes(u, v, p, self.viscosity)

    def solution(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The exact velocity and pressure."""
        decay, angle = torch.exp(self.rate * x), 2 * math.pi * y
        u = 1 - decay * torch.cos(angle)
        v = self.rate / (2 * math.pi) * decay * torch.sin(angle)
        return u, v, (1 - decay**2) / 2

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
