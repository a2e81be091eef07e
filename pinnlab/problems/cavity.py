"""The lid-driven cavity: a flow whose lid drags it around."""

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
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.navier_stokes import steady_navier_stokes
from pinnlab.problems.observations import Observations
from pinnlab.problems.references.cavity import Cavity as ChebyshevSolution

_solution = functools.lru_cache(maxsize=2)(ChebyshevSolution)
"""Solved once for all problems with the same numbers."""

CORNER = 0.1
"""The distance from the corners below a uniform lid from which on errors are measured."""
TINY = 1e-20
"""Keeps the corner itself, where no residual is evaluated, finite."""
ANCHOR = 0.1
"""The side of the square at (0, 0) in which equations have points of their own: an error there is one of all p."""
LEAST_VISCOSITY = 0.0025
"""Re = 400: the smallest at which the reference was tested."""


class Cavity(Problem):
    """The lid-driven cavity: the steady Navier-Stokes equations on the unit square, for velocity u, v and pressure p.

    The walls are at rest, the lid y = 1 moves along x. The pressure is 0 at the point (0, 0); nothing else fixes its
    constant, and its error is that of the value so fixed. With the parabolic lid it is PINNacle's NS2d-C (arXiv
    2306.08827), with the uniform one the flow of Ghia, Ghia and Shin (J. Comput. Phys. 48, 1982). In the corners below
    a uniform lid the velocity jumps and the pressure grows like 1 / r, so that errors are measured from a distance of
    0.1 on. Pressure grows like log r below the parabolic one.

    Args:
        viscosity: nu = 1 / Re, at least 0.0025.
        lid: the lid's speed: `parabolic` for 4 x (1 - x), `uniform` for 1.
        exact_conditions: whether the velocity on walls and lid holds exactly, by an ansatz that has the flow in the
            lid's corners, too, instead of entering the loss; for the parabolic lid only. The condition `anchor` then
            holds the equations near (0, 0) once more, because an error of p there is one of p everywhere.
        condition_weight: the factor of the conditions in the loss.

    Raises:
        ConfigurationError: the viscosity is too small, or exact conditions are asked of a lid that has none.
    """

    def __init__(
        self,
        viscosity: float = 0.01,
        lid: Literal["parabolic", "uniform"] = "parabolic",
        exact_conditions: bool = False,
        condition_weight: float = 10.0,
    ) -> None:
        checks.choice("lid", lid, ("parabolic", "uniform"))
        self.viscosity, self.lid = checks.positive("viscosity", viscosity), lid
        if viscosity < LEAST_VISCOSITY:
            raise ConfigurationError(f"problem.viscosity: must be at least {LEAST_VISCOSITY}, got {viscosity}")
        if exact_conditions and lid == "uniform":
            raise ConfigurationError(
                "problem.exact_conditions: the uniform lid's velocity jumps; take the parabolic lid"
            )
        self._solution = _solution(viscosity, lid)
        square = Interval("x", 0, 1) * Interval("y", 0, 1)
        conditions: dict[str, Condition] = {
            "pde": Residual(square, self.balance),
            "pressure": Observations(torch.zeros(1, 2), weight=condition_weight, p=torch.zeros(1)),
        }
        if exact_conditions:
            self.ansatz = self.with_corners
            near = Interval("x", 0, ANCHOR) * Interval("y", 0, ANCHOR)
            conditions["anchor"] = Residual(near, self.balance)
        else:
            conditions |= {
                "sides": Dirichlet(square.boundary("x"), weight=condition_weight, u=0.0, v=0.0),
                "floor": Dirichlet(square.face(y=0.0), weight=condition_weight, u=0.0, v=0.0),
                "lid": Dirichlet(square.face(y=1.0), weight=condition_weight, u=self.speed, v=0.0),
            }
        super().__init__(domain=square, unknowns=("u", "v", "p"), conditions=conditions)

    def balance(self, u: AbstractField, v: AbstractField, p: AbstractField) -> tuple[Tensor, Tensor, Tensor]:
        """Momentum and continuity."""
        return steady_navier_stokes(u, v, p, self.viscosity)

    def speed(self, x: Tensor) -> Tensor:
        """The lid's speed."""
        return torch.ones_like(x) if self.lid == "uniform" else 4 * x * (1 - x)

    def with_corners(self, u: Tensor, v: Tensor, p: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """The lid's speed where it moves, nothing on the walls, and in the corners the flow of a wedge.

        That flow (see `references.cavity`) has a pressure like log r and no one vorticity in the corner, where networks
        are smooth; it is faded out towards the other walls.
        """
        nu, bubble = self.viscosity, 16 * x * (1 - x) * y * (1 - y)
        along, across, pressure, lid = bubble * u, bubble * v, p, self.speed(x)
        for b, sign in ((x, 1.0), (1 - x, -1.0)):  # the distance from either wall
            a = 1 - y
            fade = ((1 - b**2) * (1 - a**2)) ** 2  # flat in the corner, flat and zero at the other walls
            angle = _angle(a, b)
            along = along + fade * 4 * (b - a * angle)
            across = across + sign * fade * 2 * b * (math.pi - 2 * angle)
            pressure = pressure + sign * fade * 4 * nu * torch.log(a**2 + b**2 + TINY)
            lid = lid - 4 * b * (1 - b**2) ** 2  # what this corner gives of it
        return along + lid * y**2, across, pressure

    def reference(self) -> Numerical:
        """Chebyshev collocation of the stream function, the corners' singularities apart."""
        # That of the pressure; u and v are good to 1e-6 below the parabolic lid, to 2e-4 below the uniform one.
        apart, accuracy = (CORNER, 1e-2) if self.lid == "uniform" else (0.0, 2e-4)

        def outside(x: Tensor, y: Tensor) -> Tensor:
            return torch.hypot(torch.minimum(x, 1 - x), 1 - y) > apart

        return Numerical(self._solution, where=outside, accuracy=accuracy)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle of (a, b) in the first quadrant, in operations that jets know: three half angles, then a series."""
    tangent = b / (a + torch.sqrt(a**2 + b**2 + TINY))
    for _ in range(2):
        tangent = tangent / (1 + torch.sqrt(1 + tangent**2))
    square, series = tangent**2, torch.zeros_like(b)
    for k in reversed(range(10)):  # the tangent is at most 0.2: the next term is below 1e-15
        series = 1 / (2 * k + 1) - square * series
    return 8 * tangent * series
