"""Poisson's equation in one, two and many dimensions."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Residual
from pinnlab.problems.integrals import Mean


class Poisson1D(Problem):
    """Poisson's equation  -u'' = f  on [0, 1] with a low and a high frequency, u(0) = u(1) = 0.

    The solution is u = sin(pi x) + a sin(k pi x), as in Wang, Wang and Perdikaris (arXiv 2012.10047), there with
    wave numbers 2 and 50. The residual is divided by pi^2, so that its low frequency is of order one.

    Args:
        frequency: k, the high wave number.
        amplitude: a, its size.
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, frequency: int = 10, amplitude: float = 0.1, exact_conditions: bool = False) -> None:
        self.frequency = checks.integer("frequency", frequency)
        self.amplitude = checks.number("amplitude", amplitude)
        x = Interval("x", 0, 1)
        conditions = {
            "pde": Residual(x, self.balance),
            "boundary": Dirichlet(x.boundary(), weight=100.0, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x: x * (1 - x) * u
            del conditions["boundary"]
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """(u'' + f) / pi^2."""
        k = self.frequency
        source = torch.sin(math.pi * x) + self.amplitude * k**2 * torch.sin(k * math.pi * x)
        return u.xx / math.pi**2 + source

    def solution(self, x: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(math.pi * x) + self.amplitude * torch.sin(self.frequency * math.pi * x)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class Poisson2D(Problem):
    """Poisson's equation  -Delta u = 2 pi^2 sin(pi x) sin(pi y)  on the unit square, u = 0 on its boundary.

    The solution is sin(pi x) sin(pi y); the benchmark of Mueller and Zeinhofer (arXiv 2302.13163).

    Args:
        exact_conditions: whether the boundary values hold exactly, by an ansatz, instead of entering the loss.
    """

    def __init__(self, exact_conditions: bool = False) -> None:
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        conditions = {
            "pde": Residual(square, self.balance),
            "boundary": Dirichlet(square.boundary(), weight=100.0, u=0.0),
        }
        if exact_conditions:
            self.ansatz = lambda u, x, y: 16 * x * (1 - x) * y * (1 - y) * u
            del conditions["boundary"]
        super().__init__(domain=square, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta u + f."""
        return u.laplacian() + 2 * math.pi**2 * self.solution(x, y)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return torch.sin(math.pi * x) * torch.sin(math.pi * y)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class NeumannPoisson2D(Problem):
    """Poisson's equation  -Delta u = 2 pi^2 cos(pi x) cos(pi y)  on the unit square with no flux across its boundary.

    Equation and boundary leave a constant open; the mean of u fixes it. The solution is cos(pi x) cos(pi y) + mean.

    Args:
        mean: of u over the square.
        boundary_weight: the factor of the flux in the loss.
        mean_weight: the factor of the mean in the loss.
    """

    def __init__(self, mean: float = 0.0, boundary_weight: float = 10.0, mean_weight: float = 10.0) -> None:
        self.mean = checks.number("mean", mean)
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        super().__init__(
            domain=square,
            unknowns=("u",),
            conditions={
                "pde": Residual(square, self.balance),
                "boundary": Neumann(square.boundary(), weight=boundary_weight, u=0.0),
                "mean": Mean(square, lambda u: u, value=mean, weight=mean_weight),
            },
        )

    def balance(self, u: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """Delta u + f."""
        return u.laplacian() + 2 * math.pi**2 * torch.cos(math.pi * x) * torch.cos(math.pi * y)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact solution."""
        return torch.cos(math.pi * x) * torch.cos(math.pi * y) + self.mean

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class Poisson(Problem):
    """Poisson's equation  -Delta u = f  on the unit cube of any dimension, with the solution prescribed around it.

    With `exact` = `cosines` u = sum of cos(pi x_i) and f = pi^2 u (Dangel, Mueller and Zeinhofer, arXiv 2405.15603,
    there in five dimensions); with `sines` u = sum of sin(pi x_i / 2) and f = pi^2 u / 4 (in five dimensions what
    PINNacle, arXiv 2306.08827, calls PNd); with `harmonic` u = x1 x2 + x3 x4 + ... and f = 0 (arXiv 2505.12149,
    appendices A.3 and A.4, there in 10 and 100 dimensions).

    Args:
        dim: the number of coordinates x1, x2, ...; up to 1,000.
        boundary_weight: the factor of the boundary values in the loss.
        exact: the solution, `cosines`, `sines` or `harmonic`; the last needs an even dimension.
        sample: how many coordinates the Laplacian is estimated from at each step; default: it is computed from all.
    """

    def __init__(
        self,
        dim: int = 5,
        boundary_weight: float = 100.0,
        exact: Literal["cosines", "sines", "harmonic"] = "cosines",
        sample: int | None = None,
    ) -> None:
        checks.integer("dim", dim, most=1000)
        self.sample = checks.sample(sample, dim)
        self.exact = checks.choice("exact", exact, ("cosines", "sines", "harmonic"))
        if self.exact == "harmonic" and dim % 2:
            raise ConfigurationError(f"problem.dim: the harmonic solution needs an even dimension, got {dim}")
        cube = Box.cube("x", dim, 0.0, 1.0)
        super().__init__(
            domain=cube,
            unknowns=("u",),
            conditions={
                "pde": Residual(cube, self.balance),
                "boundary": Dirichlet(cube.boundary(), weight=boundary_weight, u=self.solution),
            },
        )

    def balance(self, u: AbstractField, points: Tensor) -> Tensor:
        """Delta u + f."""
        if self.exact == "harmonic":
            return u.laplacian(sample=self.sample)
        return u.laplacian(sample=self.sample) + self._wave_number**2 * self.solution(points)

    def solution(self, points: Tensor) -> Tensor:
        """The exact solution."""
        if self.exact == "harmonic":
            return torch.sum(points[:, 0::2] * points[:, 1::2], -1)
        wave = torch.cos if self.exact == "cosines" else torch.sin
        return torch.sum(wave(self._wave_number * points), -1)

    @property
    def _wave_number(self) -> float:
        return math.pi if self.exact == "cosines" else math.pi / 2

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
