"""The Allen-Cahn equation: sharp fronts between two phases."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.references.allen_cahn import AllenCahn as SpectralSolution

_solution = functools.lru_cache(maxsize=2)(SpectralSolution)
"""Solved once for all problems with the same numbers."""

DIFFUSIVE = 1e-2
"""The largest diffusion with which the kink, diffused, stays away from the middle of the interval."""


class AllenCahn(Problem):
    """The Allen-Cahn equation  u_t = D u_xx + 5 u - 5 u^3  on [-1, 1] x [0, 1], periodic in x.

    u(x, 0) = x^2 cos(pi x), the benchmark of Raissi, Perdikaris and Karniadakis (2019) with D = 1e-4.

    Args:
        diffusion: D; 1e-3 is another, easier benchmark.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for
            it in the loss.
        exact_conditions: whether the initial value holds exactly (at the kink to 1e-8).
        kink: what the exact ansatz does with the initial value's kink across the periodic boundary, where its slope
            jumps by 4. `diffused` lets it decay as the linearised equation does, so that the network has a smooth rest
            to learn: errors of 1e-5 and below. `kept` is the usual u(x, 0) + t N, which carries it through all times
            and stalls at 4e-4.
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
        kink: Literal["diffused", "kept"] = "diffused",
        condition_weight: float = 100.0,
        discount: float = 0.0,
    ) -> None:
        self.diffusion = checks.positive("diffusion", diffusion)
        self.discount = checks.non_negative("discount", discount)
        checks.choice("periodic", periodic, ("embedding", "loss"))
        checks.choice("kink", kink, ("diffused", "kept"))
        self._solution = _solution(diffusion)
        x, t = Interval("x", -1, 1), Interval("t", 0, 1)
        conditions: dict[str, Condition] = {"pde": Residual(x * t, self.balance)}
        if exact_conditions:
            if kink == "diffused" and diffusion > DIFFUSIVE:
                raise ConfigurationError(f"problem.kink: 'diffused' needs a diffusion <= {DIFFUSIVE}; use 'kept'")
            self.ansatz = self.from_diffused_start if kink == "diffused" else self.from_start
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

    def from_start(self, u: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """u(x, 0) + t N."""
        return self.start(x) + t * u

    def from_diffused_start(self, u: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """exp(-10 t) (u(x, 0) + 1 + k) - 1 + t N, with the heat flow k of the kink that u(x, 0) lacks to be smooth.

        At the kink u = -1, and small disturbances of that value diffuse and decay like exp(-10 t). In s = |x| - 1 the
        kink is 4 max(s, 0); its heat flow is the mean of 4 max(s + y, 0) over a normal y of variance 2 D t.
        """
        spread = torch.sqrt(2 * self.diffusion * (t + 1e-14))  # not 0: its reciprocal is needed
        s = torch.abs(x) - 1
        z = s / spread
        density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        kink = 4 * (spread * density + 0.5 * s * (1 + torch.erf(z / math.sqrt(2))))
        return torch.exp(-10 * t) * (self.start(x) + 1 + kink) - 1 + t * u

    def balance(self, u: AbstractField, t: Tensor) -> Tensor:
        """u_t - D u_xx + 5 (u^3 - u), discounted."""
        balance = u.t - self.diffusion * u.xx + 5 * (u**3 - u)
        return balance * torch.exp(-self.discount * t) if self.discount else balance

    def reference(self) -> Numerical:
        """A converged spectral solution."""
        return Numerical(self._solution, accuracy=2e-11)
