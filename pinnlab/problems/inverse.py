"""A coefficient of an equation that varies in space, to be found from noisy values of the solution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import check_seed
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.observations import Observations
from pinnlab.problems.unknowns import Unknown


class PoissonInverse(Problem):
    """The equation  div(a grad u) = -f  on the unit square: a is sought, u was measured with noise.

    Problem PInv of the benchmark PINNacle (arXiv 2306.08827). The source f is that of u = sin(pi x) sin(pi y) and
    a = 1 / (1 + x^2 + y^2 + (x - 1)^2 + (y - 1)^2). Given are u on a grid of 50 x 50 points, with noise, and a on the
    boundary; values of u there are not given. The noise limits how exactly both can
    be found.

    Args:
        noise: the standard deviation of a measurement; 0 for none.
        count: how many measurements there are in a row of the grid.
        seed: of the noise.
        strictness: the factor of the equation's residual; the data have 1. The equation is exact and the data are not,
            so it should be far above 1 in the end, and training begins easier with less: a `Continuation` raises it.
        exact_conditions: whether a is made of its values on the boundary (True) or they are in the loss.

    Raises:
        ConfigurationError: the noise is negative, the strictness not positive, or there is no measurement.
    """

    def __init__(
        self,
        noise: float = 0.1,
        count: int = 50,
        seed: int = 0,
        strictness: float = 1.0,
        exact_conditions: bool = False,
    ) -> None:
        self.noise, self.count = checks.non_negative("noise", noise), checks.integer("count", count)
        self.strictness = checks.positive("strictness", strictness)
        generator = _generator(seed)
        square = Box(("x", "y"), low=0, high=1)
        side = torch.linspace(0, 1, count, dtype=torch.float64)
        places = torch.cartesian_prod(side, side)
        values = _state(places[:, 0], places[:, 1]) + _noise(len(places), self.noise, generator)
        conditions: dict[str, Condition] = {
            "pde": Residual(square, self.balance),
            "data": Observations(places, u=values),
        }
        if exact_conditions:
            self.ansatz = self.exact_edge
        else:
            conditions["edge"] = Dirichlet(square.boundary(), a=self.coefficient)
        super().__init__(domain=square, unknowns={"u": Unknown(), "a": Unknown()}, conditions=conditions)

    def balance(self, u: AbstractField, a: AbstractField, x: Tensor, y: Tensor) -> Tensor:
        """The residual of the equation times the strictness, the derivative of the flux written out."""
        return self.strictness * (a * u.laplacian() + a.x * u.x + a.y * u.y + self.source(x, y))

    @staticmethod
    def coefficient(x: Tensor, y: Tensor) -> Tensor:
        """The coefficient that is to be found."""
        return 1 / (1 + x**2 + y**2 + (x - 1) ** 2 + (y - 1) ** 2)

    def source(self, x: Tensor, y: Tensor) -> Tensor:
        """The source f of the exact solution."""
        a = self.coefficient(x, y)
        slope_x, slope_y = -2 * a**2 * (2 * x - 1), -2 * a**2 * (2 * y - 1)
        return -_divergence(a, slope_x, slope_y, x, y)

    def exact_edge(self, u: Tensor, a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficient equal to what is given on the boundary: blended from there (Coons), and free inside."""
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        given = self.coefficient
        across = (1 - x) * given(zero, y) + x * given(one, y) + (1 - y) * given(x, zero) + y * given(x, one)
        corner = given(zero, zero)  # the same at all four
        return u, across - corner + x * (1 - x) * y * (1 - y) * a

    def reference(self) -> Exact:
        """The solution and the coefficient."""
        return Exact(lambda x, y: (_state(x, y), self.coefficient(x, y)))


class HeatInverse(Problem):
    """The heat equation  u_t - div(a grad u) = f  on [-1, 1]^2, t <= 1: a(x, y) is sought, u was measured with noise.

    Problem HInv of the benchmark PINNacle (arXiv 2306.08827). The source f is that of u = exp(-t) sin(pi x) sin(pi y)
    and a = 2 + sin(pi x) sin(pi y). Given are u at 2,500 points that are spread at random, with noise, and a on the
    boundary; values of u at the start or on the boundary are not given. The points are drawn here; the benchmark has
    a file of such.

    Args:
        noise: the standard deviation of a measurement; 0 for none.
        count: how many measurements there are.
        seed: of their points and of the noise.
        strictness: the factor of the equation's residual; the data have 1. The equation is exact and the data are not,
            so it should be far above 1 in the end, and training begins easier with less: a `Continuation` raises it.
        exact_conditions: whether a is made of its values on the boundary (True) or they are in the loss.

    Raises:
        ConfigurationError: the noise is negative, the strictness not positive, or there is no measurement.
    """

    def __init__(
        self,
        noise: float = 0.1,
        count: int = 2500,
        seed: int = 0,
        strictness: float = 1.0,
        exact_conditions: bool = False,
    ) -> None:
        self.noise, self.count = checks.non_negative("noise", noise), checks.integer("count", count)
        self.strictness = checks.positive("strictness", strictness)
        generator = _generator(seed)
        square, t = Box(("x", "y"), low=-1, high=1), Interval("t", 0, 1)
        domain = square * t
        places = domain.from_unit(torch.rand(count, 3, generator=generator, dtype=torch.float64))
        x, y, times = places.unbind(-1)
        values = torch.exp(-times) * _state(x, y) + _noise(count, self.noise, generator)
        conditions: dict[str, Condition] = {
            "pde": Residual(domain, self.balance),
            "data": Observations(places, u=values),
        }
        if exact_conditions:
            self.ansatz = self.exact_edge
        else:
            conditions["edge"] = Dirichlet(domain.boundary("x", "y"), a=self.coefficient)
        unknowns = {"u": Unknown(), "a": Unknown(coordinates=("x", "y"))}
        super().__init__(domain=domain, unknowns=unknowns, conditions=conditions)

    def balance(self, u: AbstractField, a: AbstractField, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The residual of the equation times the strictness, the derivative of the flux written out."""
        return self.strictness * (u.t - (a * u.laplacian() + a.x * u.x + a.y * u.y) - self.source(x, y, t))

    @staticmethod
    def coefficient(x: Tensor, y: Tensor) -> Tensor:
        """The coefficient that is to be found."""
        return 2 + _state(x, y)

    def source(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The source f of the exact solution."""
        slope_x = math.pi * torch.cos(math.pi * x) * torch.sin(math.pi * y)
        slope_y = math.pi * torch.sin(math.pi * x) * torch.cos(math.pi * y)
        return -torch.exp(-t) * (_state(x, y) + _divergence(self.coefficient(x, y), slope_x, slope_y, x, y))

    @staticmethod
    def exact_edge(u: Tensor, a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficient equal to what is given on the boundary, 2, and free inside."""
        return u, 2 + (1 - x**2) * (1 - y**2) * a

    def reference(self) -> Exact:
        """The solution and the coefficient."""
        return Exact(lambda x, y, t: (torch.exp(-t) * _state(x, y), self.coefficient(x, y)))


def _state(x: Tensor, y: Tensor) -> Tensor:
    """The shape of both solutions."""
    return torch.sin(math.pi * x) * torch.sin(math.pi * y)


def _divergence(a: Tensor, slope_x: Tensor, slope_y: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """div(a grad s) of the shape s, from a and its slopes."""
    pi = math.pi
    along_x = slope_x * pi * torch.cos(pi * x) * torch.sin(pi * y)
    along_y = slope_y * pi * torch.sin(pi * x) * torch.cos(pi * y)
    return along_x + along_y - 2 * pi**2 * a * _state(x, y)


def _generator(seed: int) -> torch.Generator:
    """Random numbers of a seed, which is looked at."""
    check_seed("problem", seed)
    return torch.Generator().manual_seed(seed)


def _noise(count: int, size: float, generator: torch.Generator) -> Tensor:
    """So many normal numbers `(n,)` of a standard deviation."""
    return size * torch.randn(count, generator=generator, dtype=torch.float64)
