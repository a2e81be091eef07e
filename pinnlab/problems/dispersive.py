"""Waves that steepen: the Korteweg-de Vries and the Kuramoto-Sivashinsky equation, of third and fourth order."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.references import spectral

_waves = functools.lru_cache(maxsize=2)(spectral.KortewegDeVries)
_chaos = functools.lru_cache(maxsize=2)(spectral.KuramotoSivashinsky)
"""Solved once for all problems with the same numbers."""

Periodicity = Literal["embedding", "loss"]


class _PeriodicWave(Problem):
    """A problem in one unknown of x and t, periodic in x, that starts from a given function.

    Args:
        interval: the domain of x.
        horizon: the last time.
        equation: the residual.
        order: the order of the equation in x; derivatives below it are periodic.
        start: the initial value, a function of x.
        periodic: how periodicity is imposed.
        exact_conditions: whether the initial value holds exactly.
    """

    def __init__(
        self,
        interval: Interval,
        horizon: float,
        equation: Callable[..., Tensor],
        order: int,
        start: Callable[[Tensor], Tensor],
        periodic: Periodicity,
        exact_conditions: bool,
    ) -> None:
        checks.choice("periodic", periodic, ("embedding", "loss"))
        domain = interval * Interval("t", 0, horizon)
        conditions: dict[str, Condition] = {"pde": Residual(domain, equation)}
        if exact_conditions:
            self.ansatz = lambda u, x, t: start(x) + t * u
        else:
            conditions["start"] = Dirichlet(domain.face(t=0.0), weight=100.0, u=start)
        if periodic == "loss":
            conditions["periodic"] = Periodic(domain, "x", order=order - 1)
        else:
            self.periodic_coordinates = ("x",)
        super().__init__(domain=domain, unknowns=("u",), conditions=conditions)


class KortewegDeVries(_PeriodicWave):
    """The Korteweg-de Vries equation  u_t + u u_x + d u_xxx = 0  on [-1, 1] x [0, 1], periodic in x.

    The wave u(x, 0) = cos(pi x) steepens until dispersion breaks it up into solitons (Zabusky and Kruskal, 1965).
    With d = 0.0025 the benchmark of Raissi, Perdikaris and Karniadakis (2019).

    Args:
        dispersion: d.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for it in
            the loss, up to the second derivative.
        exact_conditions: whether the initial value holds exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(
        self, dispersion: float = 0.0025, periodic: Periodicity = "embedding", exact_conditions: bool = True
    ) -> None:
        self.dispersion = checks.positive("dispersion", dispersion)
        self._solution = _waves(dispersion)
        super().__init__(Interval("x", -1, 1), 1.0, self.balance, 3, self.start, periodic, exact_conditions)

    def start(self, x: Tensor) -> Tensor:
        """The initial value."""
        return torch.cos(math.pi * x)

    def balance(self, u: AbstractField) -> Tensor:
        """u_t + u u_x + d u_xxx."""
        return u.t + u * u.x + self.dispersion * u.xxx

    def reference(self) -> Numerical:
        """A converged spectral solution."""
        return Numerical(self._solution, accuracy=1e-9)


class KuramotoSivashinsky(_PeriodicWave):
    """The Kuramoto-Sivashinsky equation  u_t + a u u_x + b u_xx + c u_xxxx = 0  on [0, 2 pi], periodic in x.

    It starts at cos x (1 + sin x). The numbers a = 100/16, b = 100/16^2 and c = 100/16^4 are those of PINNacle (arXiv
    2306.08827): an interval of 32 pi and a time of 100 in the usual units. Waves appear at t = 0.4 and are chaotic
    afterwards.

    Args:
        convection: a.
        growth: b.
        damping: c.
        horizon: the last time; 1 is the benchmark's.
        periodic: `embedding` when the network is periodic (a `PeriodicEmbedding` of column 0), `loss` to ask for it in
            the loss, up to the third derivative.
        exact_conditions: whether the initial value holds exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(
        self,
        convection: float = 100 / 16,
        growth: float = 100 / 16**2,
        damping: float = 100 / 16**4,
        horizon: float = 1.0,
        periodic: Periodicity = "embedding",
        exact_conditions: bool = True,
    ) -> None:
        self.convection, self.growth = checks.number("convection", convection), checks.number("growth", growth)
        self.damping, self.horizon = checks.positive("damping", damping), checks.positive("horizon", horizon)
        steps = math.ceil(24_000 * horizon)
        self._solution = _chaos(convection, growth, damping, horizon, steps=steps)
        super().__init__(
            Interval("x", 0, 2 * math.pi), horizon, self.balance, 4, self.start, periodic, exact_conditions
        )

    def start(self, x: Tensor) -> Tensor:
        """The initial value."""
        return torch.cos(x) * (1 + torch.sin(x))

    def balance(self, u: AbstractField) -> Tensor:
        """The equation, divided by a, which is what u_t is in size."""
        return (u.t + self.growth * u.xx + self.damping * u.d("x", "x", "x", "x")) / self.convection + u * u.x

    def reference(self) -> Numerical:
        """A converged spectral solution."""
        # At its steps, against 160 modes in steps half and a quarter as long: 2e-11 up to t = 0.3, 9e-9 at t = 1, by
        # chaos. Between steps a cubic: 2.7e-7 over all times.
        return Numerical(self._solution, accuracy=4e-7)
