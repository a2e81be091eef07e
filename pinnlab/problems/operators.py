"""Operators: problems that are solved for all functions of a space at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Fourier, FunctionSpace, Interval, KarhunenLoeve
from pinnlab.numerics.constants import constant_like
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.operator_data import OperatorData
from pinnlab.problems.references.families import DiffusionReaction, Functions, PeriodicBurgers
from pinnlab.samplers import Sobol, UniformRandom

_NODES, _WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(40))


class Antiderivative(Problem):
    """The antiderivative of a random function:  u' = a  on [0, 1], u(0) = 0, for all a of a Gaussian random field.

    The first example of Lu et al. (2021), and the only linear one here: a `DeepONet` without layers in its branch can
    be exact in the function.

    Args:
        modes: how many Karhunen-Loeve coefficients a function has.
        length: the field's correlation length.
        exact_conditions: whether u(0) = 0 holds exactly, by the ansatz x N.
    """

    def __init__(self, modes: int = 10, length: float = 0.2, exact_conditions: bool = True) -> None:
        x = Interval("x", 0, 1)
        self.space = FunctionSpace("a", KarhunenLoeve(x, checks.integer("modes", modes), length))
        domain = x * self.space
        conditions: dict[str, Condition] = {"pde": Residual(domain, self.balance)}
        if exact_conditions:
            self.ansatz = lambda u, x: x * u
        else:
            conditions["start"] = Dirichlet(domain.face(x=0.0), u=0.0)
        super().__init__(domain, ["u"], conditions)

    def balance(self, u: AbstractField, a: AbstractField) -> Tensor:
        """U' - a."""
        return u.x - a

    def solution(self, points: Tensor) -> Tensor:
        """The integral from 0 to x, by 40 Gauss-Legendre nodes: exact to round-off for these smooth functions."""
        x = points[..., 0]
        nodes, weights = (constant_like(part, x) for part in (_NODES, _WEIGHTS))
        inside = x[..., None] * (0.5 * (nodes + 1))
        values = self.space.basis.functions(inside) @ points[..., 1:, None]
        return 0.5 * x * (values[..., 0] * weights).sum(-1)

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)


class DiffusionReactionOperator(Problem):
    """Diffusion and reaction with a random source,  u_t = D u_xx + k u^2 + a(x)  on [0, 1] x [0, 1].

    u = 0 at the start and at both ends, for all a of a Gaussian random field: the benchmark of Wang, Wang, Perdikaris,
    "Learning the solution operator of parametric partial differential equations with physics-informed DeepONets"
    (Science Advances 7, 2021), with its D = k = 0.01 and correlation length 0.2. Sources do not vanish at the ends, so
    that u has layers of width sqrt(D t) there.

    Args:
        diffusion: D.
        reaction: k.
        modes: how many Karhunen-Loeve coefficients a function has.
        length: the field's correlation length.
        exact_conditions: whether the zeros hold exactly, by the ansatz 4 x (1 - x) t N, instead of entering the loss.
        data: train on the solutions for so many random functions in place of the equation; 0: physics-informed.
        places: at how many places of each, spread evenly in x and t.
    """

    def __init__(
        self,
        diffusion: float = 0.01,
        reaction: float = 0.01,
        modes: int = 8,
        length: float = 0.2,
        exact_conditions: bool = True,
        data: int = 0,
        places: int = 100,
    ) -> None:
        self.diffusion = checks.positive("diffusion", diffusion)
        self.reaction = checks.non_negative("reaction", reaction)
        x, t = Interval("x", 0, 1), Interval("t", 0, 1)
        self.space = FunctionSpace("a", KarhunenLoeve(x, checks.integer("modes", modes), length))
        self._solution = DiffusionReaction(values_of(self.space), self.diffusion, self.reaction)
        domain = x * t * self.space
        conditions: dict[str, Condition] = {"pde": Residual(domain, self.balance)}
        if data:
            conditions = {"data": solved(self.space, self._solution, data, places)}
        if exact_conditions:
            self.ansatz = lambda u, x, t: 4 * x * (1 - x) * t * u
        else:
            conditions["wall"] = Dirichlet(domain.boundary("x"), u=0.0)
            conditions["start"] = Dirichlet(domain.face(t=0.0), u=0.0)
        super().__init__(domain, ["u"], conditions)

    def balance(self, u: AbstractField, a: AbstractField) -> Tensor:
        """u_t - D u_xx - k u^2 - a."""
        return u.t - self.diffusion * u.xx - self.reaction * u**2 - a

    def reference(self) -> Numerical:
        """A Chebyshev method for all functions at once."""
        return Numerical(self._solution, accuracy=1e-5)


class BurgersOperator(Problem):
    """Burgers' equation from a random start,  u_t + u u_x = nu u_xx  on [0, 1] x [0, 1], periodic in x.

    For all u(x, 0) = a(x) of the periodic Gaussian random field of Li et al., "Fourier neural operator" (2021), of mean
    zero. The network must be periodic (a `PeriodicEmbedding` of column 0 in the trunk).

    Args:
        viscosity: nu. Waves of size one steepen in about a sixth of unit time; from 0.1 (that of Li et al.) to 0.01
            solutions get fronts, and the operator harder.
        modes: how many sines and cosines a function has.
        exact_conditions: whether the start holds exactly, by an ansatz, instead of entering the loss: the start as the
            linear equation lets it decay, wave by wave, and t N, so that the network has the nonlinear rest to learn.
        data: train on the solutions for so many random functions in place of the equation; 0: physics-informed.
        places: at how many places of each, spread evenly in x and t.
    """

    def __init__(
        self,
        viscosity: float = 0.1,
        modes: int = 6,
        exact_conditions: bool = True,
        data: int = 0,
        places: int = 100,
    ) -> None:
        self.viscosity = checks.positive("viscosity", viscosity)
        x, t = Interval("x", 0, 1), Interval("t", 0, 1)
        self.basis = Fourier(x, checks.integer("modes", modes))
        self.space = FunctionSpace("a", self.basis)
        self._solution = PeriodicBurgers(values_of(self.space), self.viscosity)
        domain = x * t * self.space
        conditions: dict[str, Condition] = {"pde": Residual(domain, self.momentum)}
        if data:
            conditions = {"data": solved(self.space, self._solution, data, places)}
        if exact_conditions:
            self.ansatz = lambda u, points: self.diffused(points) + points[..., 1] * u
        else:
            conditions["start"] = Dirichlet(domain.face(t=0.0), weight=10.0, u=lambda a: a.value)
        self.periodic_coordinates = ("x",)
        super().__init__(domain, ["u"], conditions)

    def diffused(self, points: Any) -> Any:
        """The start under diffusion alone, `(n,)`; `points` may be a jet."""
        x, t, function = points[..., 0], points[..., 1], points[..., 2:]
        waves = constant_like(self.basis.waves, points, torch.float64)
        rates = (self.viscosity * waves**2).to(points.dtype)
        decayed = torch.exp(-t.unsqueeze(-1) * rates) * self.basis.functions(x)
        return (decayed * function).sum(-1)

    def momentum(self, u: AbstractField) -> Tensor:
        """The residual of the momentum equation."""
        return u.t + u * u.x - self.viscosity * u.xx

    def reference(self) -> Numerical:
        """A Fourier method for all functions at once."""
        return Numerical(self._solution, accuracy=1e-6 if self.viscosity >= 0.05 else 1e-4)


def values_of(space: FunctionSpace) -> Functions:
    """The functions of a space for the solvers, which know numpy only."""
    return lambda functions, x: space.values(torch.from_numpy(functions), torch.from_numpy(x)).numpy()


def solved(
    space: FunctionSpace,
    solution: Callable[[Any], NDArray[np.float64]],
    count: int,
    places: int,
    coordinates: Sequence[str] = ("x", "t"),
) -> OperatorData:
    """The solutions for random functions of a space, never those that errors are measured on.

    Args:
        space: of the functions.
        solution: the solver.
        count: how many functions.
        places: how many in the unit square, spread evenly.
        coordinates: of the places.
    """
    checks.integer("data", count)
    functions = UniformRandom().sample(space, count, seed=1)
    # Scattered: the few lines of a coarse grid would tell waves in x or t apart from none between them.
    grid = Sobol().sample(Box(coordinates, 0, 1), checks.integer("places", places), seed=1)
    rows = torch.cat([grid.repeat(count, 1), functions.repeat_interleave(len(grid), 0)], 1)
    return OperatorData(functions, solution(rows.numpy()).reshape(count, -1), grid)
