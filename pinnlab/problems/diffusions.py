"""What random processes in many dimensions lead to: the density of one, and the best control of another."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval, RadialBall
from pinnlab.errors import ConfigurationError, check_seed
from pinnlab.numerics.constants import constant_like
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Residual


class FokkerPlanck(Problem):
    """The logarithm of a density that spreads unlike in d directions: dX = s dW from a standard normal X, 0 <= t <= 1.

    The density p obeys p_t = tr(A H(p)) / 2 with A = s s' and the Hessian H. In many dimensions p is below any number
    that a computer has; q = log p + d log(2 pi) / 2 is not (arXiv 2402.07465), and
    q_t = tr(A H(q)) / 2 + |s' grad q|^2 / 2. A has random eigenvectors, s = Q diag(l)^(1/2), and X is normal with
    covariance C = I + t A: q = -(x' C^-1 x + log det C) / 2. The ansatz has what spreads alike in all directions and
    the initial values, q = -(|x|^2 / (1 + t) + d log(1 + t)) / 2 + d^(1/2) t N, with the network N. The residual is
    divided by the root of d. Points have a uniform distance from the center, up to the root of 2 d, about the distance
    of X at the end. At the rim nothing is prescribed: probability flows out.

    Args:
        dim: d, from 2 to 1,000.
        sample: how many random directions the trace is estimated from at each step; None computes it from all of them,
            which takes d/sample times as long and as much memory.
        anisotropy: the largest eigenvalue of A over the smallest one, >= 1; they are spread evenly by ratios around 1.
        seed: of the eigenvectors.
    """

    def __init__(self, dim: int = 100, sample: int | None = 16, anisotropy: float = 4.0, seed: int = 0) -> None:
        self.dim = checks.integer("dim", dim, most=1000, least=2)
        self.sample = checks.sample(sample, dim)
        self.anisotropy = checks.number("anisotropy", anisotropy)
        if self.anisotropy < 1:
            raise ConfigurationError(f"problem.anisotropy: must be at least 1, got {anisotropy!r}")
        check_seed("problem", seed)
        generator = torch.Generator().manual_seed(seed)
        self.directions = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
        self.rates = self.anisotropy ** torch.linspace(-0.5, 0.5, dim, dtype=torch.float64)
        self.spread = self.directions * self.rates.sqrt()
        ball = RadialBall([f"x{k}" for k in range(1, dim + 1)], radius=math.sqrt(2 * dim))
        domain = ball * Interval("t", 0, 1)
        super().__init__(domain=domain, unknowns=("q",), conditions={"pde": Residual(domain, self.balance)})

    def ansatz(self, q: Any, points: Any) -> Any:
        """What spreads alike in all directions, and the difference to it, zero at t = 0."""
        t, square = points[:, -1], (points[:, :-1] ** 2).sum(-1)
        alike = (square / (1 + t) + self.dim * torch.log(1 + t)) / 2
        return math.sqrt(self.dim) * t * q - alike

    def balance(self, q: AbstractField) -> Tensor:
        """(q_t - tr(A H) / 2 - |s' grad q|^2 / 2) / d^(1/2)."""
        slopes = q.gradient(*self.coordinates[:-1]) @ constant_like(self.spread, q.value)
        spreading = q.trace_hessian(self.spread, sample=self.sample) + slopes.square().sum(-1)
        return (q.t - spreading / 2) / math.sqrt(self.dim)

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution, in the coordinates in which A is diagonal."""
        rates, directions = (constant_like(t, points) for t in (self.rates, self.directions))
        variances = 1 + points[:, -1:] * rates
        places = points[:, :-1] @ directions
        return -(places.square() / variances + torch.log(variances)).sum(-1) / 2

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class HamiltonJacobiBellman(Problem):
    """The least cost of steering a Brownian motion in d dimensions (Han, Jentzen and E, arXiv 1707.02568).

    u_t = Delta u - |grad u|^2 from u = g = log((1 + |x|^2) / 2), where t is the time that is left, 0 <= t <= 1: from x,
    dX = 2 m dt + 2^(1/2) dW with the control m that makes the mean of g(X) at the end plus the integral of |m|^2 least.
    By Cole and Hopf exp(-u) is the mean of exp(-g) over normal numbers around x; u at the center is the paper's 4.5901
    for d = 100. Points have a uniform distance from the center, up to the root of 2 d, as far as the motion gets. What
    is prescribed on the rim is the solution itself, as the motion brings it from outside. The initial values hold
    exactly, u = g + log(1 + 2 d t / (1 + |x|^2)) N with the network N; N = 1 would be the logarithm of the mean place.
    The residual is divided by 2 d / (1 + |x|^2 + 2 d t), the size of its terms.

    Args:
        dim: d, from 2 to 1,000.
        sample: how many coordinates the Laplacian is estimated from at each step; None computes it from all of them,
            which takes d/sample times as long and as much memory.
        rim_weight: the factor of the values on the rim in the loss.
    """

    def __init__(self, dim: int = 100, sample: int | None = 16, rim_weight: float = 10.0) -> None:
        self.dim = checks.integer("dim", dim, most=1000, least=2)
        self.sample = checks.sample(sample, dim)
        ball = RadialBall([f"x{k}" for k in range(1, dim + 1)], radius=math.sqrt(2 * dim))
        domain = ball * Interval("t", 0, 1)
        super().__init__(
            domain=domain,
            unknowns=("u",),
            conditions={
                "pde": Residual(domain, self.balance),
                "rim": Dirichlet(domain.boundary(*ball.coordinates), weight=rim_weight, u=self.solution),
            },
        )

    def ansatz(self, u: Any, points: Any) -> Any:
        """The cost g of staying, and a multiple of what it grows by if the end is as far away as it is in the mean."""
        t, square = points[:, -1], (points[:, :-1] ** 2).sum(-1)
        return torch.log((1 + square) / 2) + u * torch.log(1 + 2 * self.dim * t / (1 + square))

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """(u_t - Delta u + |grad u|^2) (1 + |x|^2 + 2 d t) / (2 d)."""
        slopes = u.gradient(*self.coordinates[:-1])
        size = 2 * self.dim / (1 + points[:, :-1].square().sum(-1) + 2 * self.dim * points[:, -1])
        return (u.t - u.laplacian(sample=self.sample) + slopes.square().sum(-1)) / size

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution, by one integral.

        1 / (1 + Y) is the integral of exp(-s (1 + Y)) over s > 0; for Y = |x + (2t)^(1/2) Z|^2 exp(-s Y) has a known
        mean. With s = exp(w) over a typical rate of decay, the trapezoidal rule in w is exact to round-off.
        """
        t, square = points[:, -1:], points[:, :-1].square().sum(-1, keepdim=True)
        w = torch.arange(-37.0, 10.0, 0.25, dtype=points.dtype, device=points.device)
        s = torch.exp(w) / (1 + square + 2 * self.dim * t)
        widened = 1 + 4 * s * t
        exponents = -s - s * square / widened - self.dim / 2 * torch.log(widened) + torch.log(s)
        return -torch.logsumexp(exponents, -1) - math.log(2 * 0.25)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
