"""Viscous Burgers' equation: a shock forms out of a sine wave."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual
from pinnlab.problems.references.cole_hopf import cole_hopf


class Burgers(Problem):
    """Viscous Burgers' equation  u_t + u u_x = nu u_xx  on [-1, 1] x [0, 1].

    u(x, 0) = -sin(pi x), u(-1, t) = u(1, t) = 0. The benchmark of Raissi, Perdikaris and Karniadakis (2019): a
    shock of width about nu forms at x = 0 near t = 1/pi.

    Args:
        viscosity: nu; 0.01/pi is the benchmark's value.
        exact_conditions: whether the initial and the boundary values hold exactly, by an ansatz, instead of
            entering the loss. On by default: nothing is left to balance.
    """

    def __init__(self, viscosity: float = 0.01 / math.pi, exact_conditions: bool = True) -> None:
        x, t = Interval("x", -1, 1), Interval("t", 0, 1)
        self.viscosity = checks.positive("viscosity", viscosity)
        self.ansatz = self._ansatz if exact_conditions else None
        soft = {
            "wall": Dirichlet((x * t).boundary("x"), u=0.0),
            "start": Dirichlet((x * t).face(t=0.0), u=lambda x: -torch.sin(math.pi * x)),
        }
        super().__init__(
            domain=x * t,
            unknowns=("u",),
            conditions={"pde": Residual(x * t, self.momentum), **({} if exact_conditions else soft)},
        )

    def momentum(self, u: AbstractField, x: Tensor, t: Tensor) -> Tensor:
        """The residual of the momentum equation."""
        return u.t + u * u.x - self.viscosity * u.xx

    def _ansatz(self, u: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return t * (1 - x * x) * u - torch.sin(math.pi * x)

    def reference(self) -> Numerical:
        """The Cole-Hopf solution, by quadrature."""
        # Against 3,000 nodes: at most 2.5e-14 up to 0.1, 2.7e-13 at 0.3, where the solution itself has decayed.
        accuracy = 1e-13 if self.viscosity <= 0.1 else 1e-12
        return Numerical(lambda points: cole_hopf(points[:, 0], points[:, 1], self.viscosity), accuracy=accuracy)
