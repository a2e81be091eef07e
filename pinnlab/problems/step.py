"""Flow over a backward step: a channel that widens at once."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Polygon
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.navier_stokes import steady_navier_stokes
from pinnlab.problems.references.step import Step

_solution = functools.lru_cache(maxsize=2)(Step)
"""Solved once for all problems with the same numbers."""

CORNERS = ((0, 0), (4, 0), (4, 2), (2, 2), (2, 1), (0, 1))
EDGE = 0.1
"""The distance from the step's edge from which on errors are measured."""
NEAR, NEARER = 0.3, 0.06
"""Half the sides of two squares around the edge, where conditions have points of their own."""
REACH = 0.2
"""The distance from the edge below which the equations weigh less."""
LEAST_VISCOSITY = 0.005
"""The smallest for which the reference was tried."""


class BackwardStep(Problem):
    """Steady flow over a backward step: the Navier-Stokes equations for velocity u, v and pressure p.

    [0, 4] x [0, 2] without [0, 2] x [1, 2]. At the inlet x = 0 u = 4 y (1 - y), v = 0; walls are at rest; at the outlet
    x = 4 p = 0 and v = 0. What PINNacle (arXiv 2306.08827) calls NS2d-CG; it has p = 0 alone there, which leaves the
    flow open, and v = 0 is what its data show, too. They do not show p = 0: where the flow comes back in, the solver
    behind them has lowered the pressure to -0.024, and their u differs by 3.5 % from the solution here.

    v falls to 0 within about 0.03 of the outlet; the condition `outlet` holds the equations there once more, with
    points of its own. At the step's edge, (2, 1), velocities are like r^0.54 and pressure like r^-0.46 at a distance r
    (Moffatt, J. Fluid Mech. 18, 1964), so that errors are measured from a distance of 0.1 on. `edge` and `tip` hold
    the equations there once more, `edge_walls` and `tip_walls` the walls. The equations would weigh without bound near
    the edge: momentum is multiplied by s^2 and continuity by s, s = r / sqrt(r^2 + 0.2^2).

    Args:
        viscosity: nu, at least 0.005.
        condition_weight: the factor of the conditions in the loss.
    """

    def __init__(self, viscosity: float = 0.01, condition_weight: float = 10.0) -> None:
        self.viscosity = checks.positive("viscosity", viscosity)
        checks.positive("condition_weight", condition_weight)
        if viscosity < LEAST_VISCOSITY:
            raise ConfigurationError(f"problem.viscosity: must be at least {LEAST_VISCOSITY}, got {viscosity}")
        self._solution = _solution(viscosity)
        channel = Polygon(["x", "y"], vertices=CORNERS)
        edge, tip = (_around(half) for half in (NEAR, NEARER))
        conditions: dict[str, Condition] = {
            "pde": Residual(channel, self.balance),
            "outlet": Residual(Box(["x", "y"], [3.9, 0], [4, 2]), self.balance),
            "edge": Residual(edge, self.balance),
            "tip": Residual(tip, self.balance),
            "walls": Dirichlet(channel.boundary(where=_on_wall), weight=condition_weight, u=0.0, v=0.0),
            "edge_walls": Dirichlet(edge.boundary(where=_on_step), weight=condition_weight, u=0.0, v=0.0),
            "tip_walls": Dirichlet(tip.boundary(where=_on_step), weight=condition_weight, u=0.0, v=0.0),
            "inlet": Dirichlet(channel.boundary(where=lambda x: x < 1e-9), weight=condition_weight, u=_profile, v=0.0),
            "outflow": Dirichlet(channel.boundary(where=lambda x: x > 4 - 1e-9), weight=condition_weight, v=0.0, p=0.0),
        }
        super().__init__(domain=channel, unknowns=("u", "v", "p"), conditions=conditions)

    def balance(
        self, u: AbstractField, v: AbstractField, p: AbstractField, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Momentum times s^2 and continuity times s."""
        along_x, along_y, continuity = steady_navier_stokes(u, v, p, self.viscosity)
        square = (x - 2) ** 2 + (y - 1) ** 2
        share = square / (square + REACH**2)
        return share * along_x, share * along_y, torch.sqrt(share) * continuity

    def reference(self) -> Numerical:
        """Spectral elements."""
        return Numerical(self._solution, where=_away, accuracy=5e-4)


def _profile(y: Tensor) -> Tensor:
    return 4 * y * (1 - y)


def _on_wall(x: Tensor) -> Tensor:
    return (x > 1e-9) & (x < 4 - 1e-9)


def _around(half: float) -> Polygon:
    """What of a square around the edge is in the fluid."""
    left, right, below, above = 2 - half, 2 + half, 1 - half, 1 + half
    corners = ((left, below), (right, below), (right, above), (2, above), (2, 1), (left, 1))
    return Polygon(["x", "y"], vertices=corners)


def _on_step(x: Tensor, y: Tensor) -> Tensor:
    """The sides of such a part along x = 2 and y = 1."""
    return (x <= 2 + 1e-9) & (y >= 1 - 1e-9)


def _away(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x - 2, y - 1) > EDGE
