"""Convection and reaction: first order in time, periodic in space, hard to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual

Periodicity = Literal["embedding", "loss"]


class _PeriodicInitialValue(Problem):
    """A problem on [0, 2 pi] x [0, 1] that is periodic in x and starts from a given function.

    Args:
        equation: the residual.
        start: the initial value, a function of x.
        periodic: how periodicity is imposed.
        exact_conditions: whether the initial value holds exactly.
    """

    def __init__(
        self,
        equation: Callable[..., Tensor],
        start: Callable[[Tensor], Tensor],
        periodic: Periodicity,
        exact_conditions: bool,
    ) -> None:
        checks.choice("periodic", periodic, ("embedding", "loss"))
        x, t = Interval("x", 0, 2 * math.pi), Interval("t", 0, 1)
        conditions: dict[str, Condition] = {"pde": Residual(x * t, equation)}
        if exact_conditions:
            self.ansatz = lambda u, x, t: start(x) + t * u
        else:
            conditions["start"] = Dirichlet((x * t).face(t=0.0), weight=100.0, u=start)
        if periodic == "loss":
            conditions["periodic"] = Periodic(x * t, "x", order=0, weight=100.0)
        else:
            self.periodic_coordinates = ("x",)
        super().__init__(domain=x * t, unknowns=("u",), conditions=conditions)


class Convection(_PeriodicInitialValue):
    """Convection  u_t + beta u_x = 0  on [0, 2 pi] x [0, 1], u(x, 0) = sin x, periodic in x.

    The solution is sin(x - beta t). For beta = 30 and more, plain training fails (Krishnapriyan et al., arXiv
    2109.01050; Rathore et al., arXiv 2402.01868).

    Args:
        beta: the speed.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for
            it in the loss.
        exact_conditions: whether the initial value holds exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, beta: float = 40.0, periodic: Periodicity = "embedding", exact_conditions: bool = True) -> None:
        self.beta = checks.positive("beta", beta)
        super().__init__(self.balance, self.start, periodic, exact_conditions)

    def start(self, x: Tensor) -> Tensor:
        """The initial value."""
        return torch.sin(x)

    def balance(self, u: AbstractField) -> Tensor:
        """(u_t + beta u_x) / beta, so that the residual is of order one."""
        return u.t / self.beta + u.x

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(lambda x, t: torch.sin(x - self.beta * t))


class Reaction(_PeriodicInitialValue):
    """Reaction  u_t = rho u (1 - u)  on [0, 2 pi] x [0, 1], u(x, 0) = exp(-(x - pi)^2 / (2 (pi/4)^2)), periodic in x.

    From Krishnapriyan et al. (arXiv 2109.01050); the solution is h e^(rho t) / (h e^(rho t) + 1 - h) with the
    initial value h.

    Args:
        rho: the rate.
        periodic: as for `Convection`; in the loss by default, because only values agree at the ends, not slopes.
        exact_conditions: whether the initial value holds exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, rho: float = 5.0, periodic: Periodicity = "loss", exact_conditions: bool = True) -> None:
        self.rho = checks.positive("rho", rho)
        super().__init__(self.balance, self.start, periodic, exact_conditions)

    def start(self, x: Tensor) -> Tensor:
        """The initial value."""
        return torch.exp(-((x - math.pi) ** 2) / (2 * (math.pi / 4) ** 2))

    def balance(self, u: AbstractField) -> Tensor:
        """u_t - rho u (1 - u)."""
        return u.t - self.rho * u * (1 - u)

    def reference(self) -> Exact:
        """The exact solution."""

        def solution(x: Tensor, t: Tensor) -> Tensor:
            grown = self.start(x) * torch.exp(self.rho * t)
            return grown / (grown + 1 - self.start(x))

        return Exact(solution)
