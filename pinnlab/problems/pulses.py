"""Flow in pulses through a channel, in time."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.navier_stokes import steady_navier_stokes
from pinnlab.problems.references.pulses import Pulses

_solution = functools.lru_cache(maxsize=2)(Pulses)
"""Solved once for all problems with the same numbers."""

LENGTH, NEAR = 2.0, 0.1
"""Of the channel, and the width of the parts along its edges where the equations have points of their own."""
LEAST_VISCOSITY = 0.01
"""The smallest for which the reference was tried."""
FORCE = 30.0
"""The size of the forces: momentum is divided by it."""


class PulsedChannel(Problem):
    """Flow through a channel whose inlet sucks and blows: the Navier-Stokes equations for velocity u, v and pressure p.

    [0, 2] x [0, 1] and times up to the horizon, at rest at first. At the inlet x = 0
    u = sin(pi y) (sin pi t + sin 3 pi t + sin 5 pi t), v = 0; walls are at rest; at the outlet x = 2 p = 0 and v = 0; a
    force -sin(pi x) sin(pi y) sin(pi t) along y. What PINNacle (arXiv 2306.08827) calls NS2d-LT; it has p = 0 alone at
    the outlet, which leaves the flow open, as in `BackwardStep`.

    Where fluid leaves, at the outlet or, while it is sucked back, at the inlet, velocities change within about nu / u,
    0.01; along the walls layers have a width of about 0.04. `inlet_layer`, `outlet_layer`, `floor_layer` and
    `ceiling_layer` hold the equations there once more, with points of their own.

    Args:
        viscosity: nu, at least 0.01.
        horizon: the last time, at most 5.
        condition_weight: the factor of conditions in the loss.
    """

    def __init__(self, viscosity: float = 0.01, horizon: float = 5.0, condition_weight: float = 100.0) -> None:
        self.viscosity = checks.positive("viscosity", viscosity)
        checks.positive("condition_weight", condition_weight)
        if viscosity < LEAST_VISCOSITY:
            raise ConfigurationError(f"problem.viscosity: must be at least {LEAST_VISCOSITY}, got {viscosity}")
        if not checks.positive("horizon", horizon) <= 5:
            raise ConfigurationError(f"problem.horizon: must be at most 5, got {horizon}")
        self._solution = _solution(viscosity, horizon)
        time, across = Interval("t", 0, horizon), Interval("y", 0, 1)
        channel = Box(["x", "y"], [0, 0], [LENGTH, 1]) * time
        weight = condition_weight
        conditions: dict[str, Condition] = {
            "pde": Residual(channel, self.balance),
            "inlet_layer": Residual(Interval("x", 0, NEAR) * across * time, self.balance),
            "outlet_layer": Residual(Interval("x", LENGTH - NEAR, LENGTH) * across * time, self.balance),
            "floor_layer": Residual(Box(["x", "y"], [0, 0], [LENGTH, NEAR]) * time, self.balance),
            "ceiling_layer": Residual(Box(["x", "y"], [0, 1 - NEAR], [LENGTH, 1]) * time, self.balance),
            "walls": Dirichlet(channel.boundary("y"), weight=weight, u=0.0, v=0.0),
            "inlet": Dirichlet(channel.face(x=0.0), weight=weight, u=pulse, v=0.0),
            "outflow": Dirichlet(channel.face(x=LENGTH), weight=weight, v=0.0, p=0.0),
            "start": Dirichlet(channel.face(t=0.0), weight=weight, u=0.0, v=0.0),
        }
        super().__init__(domain=channel, unknowns=("u", "v", "p"), conditions=conditions)

    def balance(
        self, u: AbstractField, v: AbstractField, p: AbstractField, x: Tensor, y: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Momentum over the size of the forces, and continuity."""
        along_x, along_y, continuity = steady_navier_stokes(u, v, p, self.viscosity)
        force = -torch.sin(math.pi * x) * torch.sin(math.pi * y) * torch.sin(math.pi * t)
        return (along_x + u.t) / FORCE, (along_y + v.t - force) / FORCE, continuity

    def reference(self) -> Numerical:
        """Spectral elements, and steps of third order in time."""
        return Numerical(self._solution, accuracy=1e-3)


def pulse(y: Tensor, t: Tensor) -> Tensor:
    """The velocity at the inlet."""
    beat = torch.sin(math.pi * t) + torch.sin(3 * math.pi * t) + torch.sin(5 * math.pi * t)
    return torch.sin(math.pi * y) * beat
