"""The Allen-Cahn equation: sharp fronts between two phases."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.references.allen_cahn import AllenCahn as SpectralSolution


class AllenCahn(Problem):
    """The Allen-Cahn equation  u_t = D u_xx + 5 u - 5 u^3  on [-1, 1] x [0, 1], periodic in x.

    u(x, 0) = x^2 cos(pi x), the benchmark of Raissi, Perdikaris and Karniadakis (2019) with D = 1e-4.

    Args:
        diffusion: D; 1e-3 is another, easier benchmark.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for
            it in the loss.
        exact_conditions: whether the initial value holds exactly. Off by default: x^2 cos(pi x) has a kink across
            the periodic boundary, which an exact ansatz would carry through all times.
        condition_weight: the factor of the soft conditions in the loss.
        discount: k, the rate of the factor exp(-k t) on the equation. Near the unstable value u = 0 an error grows
            like exp(5 t), so that an early residual costs more than a late one. Default: none, the benchmark's
            usual loss.
    """

    def __init__(
        self,
        diffusion: float = 1e-4,
        periodic: Literal["embedding", "loss"] = "embedding",
        exact_conditions: bool = False,
        condition_weight: float = 100.0,
        discount: float = 0.0,
    ) -> None:
        self.diffusion = checks.positive("diffusion", diffusion)
        self.discount = checks.non_negative("discount", discount)
        checks.choice("periodic", periodic, ("embedding", "loss"))
        self._solution = SpectralSolution(diffusion)
        x, t = Interval("x", -1, 1), Interval("t", 0, 1)
        conditions: dict[str, Condition] = {"pde": Residual(x * t, self.balance)}
        if exact_conditions:
            self.ansatz = lambda u, x, t: self.start(x) + t * u
        else:
            conditions["start"] = Dirichlet((x * t).face(t=0.0), weight=condition_weight, u=self.start)
        if periodic == "loss":
            conditions["periodic"] = Periodic(x * t, "x", weight=condition_weight)
        else:
            self.periodic_coordinates = ("x",)
        super().__init__(domain=x * t, unknowns=("u",), conditions=conditions)

    def start(self, x: Tensor) -> Tensor:
        """The initial value."""
        return x * x * torch.cos(math.pi * x)

    def balance(self, u: AbstractField, t: Tensor) -> Tensor:
        """u_t - D u_xx + 5 (u^3 - u), discounted."""
        balance = u.t - self.diffusion * u.xx + 5 * (u**3 - u)
        return balance * torch.exp(-self.discount * t) if self.discount else balance

    def reference(self) -> Numerical:
        """A converged spectral solution."""
        return Numerical(self._solution)
