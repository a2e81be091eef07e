"""The nonlinear Schroedinger equation: a complex unknown, as its real and its imaginary part."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.references.spectral import Schroedinger as SpectralSolution

_solution = functools.lru_cache(maxsize=1)(SpectralSolution)
"""Solved once for all problems with the same numbers."""

SLOPE = 2 * math.tanh(5) / math.cosh(5)
"""Of the start at the left end; at the right end it is the opposite."""
TINY = 1e-24
"""Keeps derivatives of a square root finite at the boundary at t = 0."""


class Schroedinger(Problem):
    """The Schroedinger equation  i h_t + h_xx / 2 + |h|^2 h = 0  on [-5, 5] x [0, pi/2], periodic in x.

    The unknowns are the parts of h = u + i v, which starts at 2 / cosh x: the benchmark of Raissi, Perdikaris and
    Karniadakis (2019), a wave that contracts to twice its height and back. The slope of the start jumps by 0.05 across
    the periodic boundary, and the equation does not smooth that but spreads it as fine waves of size 1e-3.

    Args:
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for it in
            the loss.
        exact_conditions: whether the start holds exactly, by an ansatz, instead of entering the loss.
        condition_weight: the factor of the conditions in the loss.
    """

    def __init__(
        self,
        periodic: Literal["embedding", "loss"] = "embedding",
        exact_conditions: bool = True,
        condition_weight: float = 100.0,
    ) -> None:
        checks.choice("periodic", periodic, ("embedding", "loss"))
        x, t = Interval("x", -5, 5), Interval("t", 0, math.pi / 2)
        self._solution = _solution()
        conditions: dict[str, Condition] = {"pde": Residual(x * t, self.balance)}
        if exact_conditions:
            self.ansatz = self.from_start
        else:
            conditions["start"] = Dirichlet((x * t).face(t=0.0), weight=condition_weight, u=self.start, v=0.0)
        if periodic == "loss":
            conditions["periodic"] = Periodic(x * t, "x", weight=condition_weight)
        else:
            self.periodic_coordinates = ("x",)
        super().__init__(domain=x * t, unknowns=("u", "v"), conditions=conditions)

    def start(self, x: Tensor) -> Tensor:
        """The initial value of u."""
        return 2 / torch.cosh(x)

    def from_start(self, u: Tensor, v: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The start, whose kink at the boundary is smoothed as the equation does it in first order, and t N.

        Free waves make sqrt(2 i t / pi) out of |s| at s = 0, so that |s| becomes sqrt(s^2 + 2 i t / pi). Carried along
        as it is, the kink would cost an error of 5e-3.
        """
        s = 10 / math.pi * torch.cos(math.pi * x / 10)  # the distance from the boundary, for small ones
        spread = 2 / math.pi * t
        real = torch.sqrt((torch.sqrt(s**4 + spread**2 + TINY) + s**2) / 2)
        return self.start(x) + SLOPE * (real - s) + t * u, SLOPE * spread / (2 * real) + t * v

    def balance(self, u: AbstractField, v: AbstractField) -> tuple[Tensor, Tensor]:
        """The imaginary and the real part of the equation."""
        density = u**2 + v**2
        return u.t + 0.5 * v.xx + density * v, v.t - 0.5 * u.xx - density * u

    def reference(self) -> Numerical:
        """A spectral solution; what it leaves out of the kink is its error."""
        return Numerical(self._solution, accuracy=1e-5)
