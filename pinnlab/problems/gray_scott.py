"""Gray and Scott's reaction: two substances that diffuse, react and form patterns."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.references.gray_scott import GrayScott as SpectralSolution

_solution = functools.lru_cache(maxsize=1)(SpectralSolution)
"""Solved once for all problems with the same numbers."""

SHARPNESS = 80.0
"""Of the two Gaussian spots at the start."""


class GrayScott(Problem):
    """Gray and Scott's reaction on [-1, 1]^2 x [0, horizon], periodic in x and y.

        u_t = 1e-5 Delta u + F (1 - u) - u v^2,    v_t = 5e-6 Delta v - K v + u v^2.

    PINNacle's problem (arXiv 2306.08827): u starts at 1 with a hole, v with a spot beside it, both Gaussians of width
    0.08. The spot feeds on u, becomes a ring, and moves outwards as a front of width 0.01; it has not reached the
    boundary at t = 200, so that PINNacle has no conditions there. The residuals are divided by F.

    Args:
        feed: F.
        decay: K.
        horizon: the last time; 200 is the benchmark's.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of columns 0 and 1), `loss` to ask
            for it in the loss.
        exact_conditions: whether the start holds exactly, by an ansatz, instead of entering the loss.
        condition_weight: the factor of the conditions in the loss.
    """

    def __init__(
        self,
        feed: float = 0.04,
        decay: float = 0.1,
        horizon: float = 200.0,
        periodic: Literal["embedding", "loss"] = "embedding",
        exact_conditions: bool = True,
        condition_weight: float = 100.0,
    ) -> None:
        checks.choice("periodic", periodic, ("embedding", "loss"))
        self.feed, self.decay = checks.positive("feed", feed), checks.positive("decay", decay)
        self.diffusion = (1e-5, 5e-6)
        domain = Interval("x", -1, 1) * Interval("y", -1, 1) * Interval("t", 0, checks.positive("horizon", horizon))
        self._solution = _solution(self.diffusion, feed, decay, horizon)
        conditions: dict[str, Condition] = {"pde": Residual(domain, self.balance)}
        if exact_conditions:
            self.ansatz = self.from_start
        else:
            conditions["start"] = Dirichlet(domain.face(t=0.0), weight=condition_weight, u=self.hole, v=self.spot)
        if periodic == "loss":
            for name in ("x", "y"):
                conditions[f"periodic_{name}"] = Periodic(domain, name, weight=condition_weight)
        else:
            self.periodic_coordinates = ("x", "y")
        super().__init__(domain=domain, unknowns=("u", "v"), conditions=conditions)

    def hole(self, x: Tensor, y: Tensor) -> Tensor:
        """The initial value of u."""
        return 1 - torch.exp(-SHARPNESS * ((x + 0.05) ** 2 + (y + 0.02) ** 2))

    def spot(self, x: Tensor, y: Tensor) -> Tensor:
        """The initial value of v."""
        return torch.exp(-SHARPNESS * ((x - 0.05) ** 2 + (y - 0.02) ** 2))

    def from_start(self, u: Tensor, v: Tensor, x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The start, and (1 - exp(-K t)) N: the change is grown when the reaction is over."""
        grown = 1 - torch.exp(-self.decay * t)
        return self.hole(x, y) + grown * u, self.spot(x, y) + grown * v

    def balance(self, u: AbstractField, v: AbstractField) -> tuple[Tensor, Tensor]:
        """What the two equations lack, divided by F."""
        gain = u * v**2
        of_u = u.t - self.diffusion[0] * u.laplacian() - self.feed * (1 - u) + gain
        of_v = v.t - self.diffusion[1] * v.laplacian() + self.decay * v - gain
        return of_u / self.feed, of_v / self.feed

    def reference(self) -> Numerical:
        """A spectral solution."""
        # Against 160 modes: u 3.4e-5, v 9.9e-4 up to t = 200, 2.3e-4 up to t = 10. It lives in the thin front.
        return Numerical(self._solution, accuracy=2e-3)
