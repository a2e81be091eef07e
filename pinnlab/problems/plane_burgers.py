"""Burgers' equations for a velocity in the plane."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Interval
from pinnlab.errors import ConfigurationError, check_seed
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Periodic, Residual
from pinnlab.problems.random_fields import RandomField
from pinnlab.problems.references.plane import PlaneBurgers as SpectralSolution

SIDE, WAVES, HEIGHT, VISCOSITY = 4.0, 4, 2.0, 1e-3
"""The square's side, waves per side at the start, its largest value, and nu."""
SMOOTH, LATEST = 0.05, 0.1
"""Times until which the reference is good to a millionth, and to a thousandth."""


class PlaneBurgers(Problem):
    """u_t + u u_x + v u_y = 0.001 Delta u, v_t + u v_x + v v_y = 0.001 Delta v on [0, 4]^2, periodic, for short times.

    u and v start from sums of all waves with up to four periods per side along x and along y, with normal amplitudes,
    scaled to a largest value of 2: what PINNacle (arXiv 2306.08827) calls Burgers2d, with amplitudes of our own,
    because its files cannot be had. From t = 0.1 on there are shocks of width 0.005 all over the square, and at the
    benchmark's last time, 1, hardly anything else. The reference ends where they begin.

    Args:
        seed: of the amplitudes.
        horizon: the last time, at most 0.1.
        periodic: `embedding` when the network is periodic, `loss` to ask for it in the loss.
        condition_weight: the factor of the conditions in the loss.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        horizon: float = 0.05,
        periodic: Literal["embedding", "loss"] = "embedding",
        condition_weight: float = 1000.0,
    ) -> None:
        check_seed("problem", seed)
        checks.choice("periodic", periodic, ("embedding", "loss"))
        checks.positive("condition_weight", condition_weight)
        if checks.positive("horizon", horizon) > LATEST:
            raise ConfigurationError(f"problem.horizon: must be at most {LATEST}, where shocks begin, got {horizon}")
        self.seed, self.horizon = seed, horizon
        self.fields = [_component(seed, k) for k in range(2)]
        domain = Box(["x", "y"], [0, 0], [SIDE, SIDE]) * Interval("t", 0, horizon)
        conditions: dict[str, Condition] = {
            "pde": Residual(domain, self.balance),
            "start": Dirichlet(
                domain.face(t=0.0),
                weight=condition_weight,
                u=lambda points: self.initial(points, 0),
                v=lambda points: self.initial(points, 1),
            ),
        }
        if periodic == "loss":
            for name in ("x", "y"):
                conditions[f"periodic_{name}"] = Periodic(domain, name, weight=condition_weight)
        else:
            self.periodic_coordinates = ("x", "y")
        super().__init__(domain=domain, unknowns=("u", "v"), conditions=conditions)

    def initial(self, points: Tensor, component: int) -> Tensor:
        """U or v at the start."""
        field, height = self.fields[component]
        return HEIGHT / height * field(points[:, :2])

    def balance(self, u: AbstractField, v: AbstractField) -> tuple[Tensor, Tensor]:
        """What the two equations lack."""
        of_u = u.t + u * u.x + v * u.y - VISCOSITY * u.laplacian("x", "y")
        of_v = v.t + u * v.x + v * v.y - VISCOSITY * v.laplacian("x", "y")
        return of_u, of_v

    def reference(self) -> Numerical:
        """A spectral solution."""
        return Numerical(_solution(self.seed, self.horizon), accuracy=1e-6 if self.horizon <= SMOOTH else 1e-3)


def _component(seed: int, component: int) -> tuple[RandomField, float]:
    """A sum of waves, and its largest value on a grid of 128 by 128."""
    field = RandomField([0, 0], [SIDE, SIDE], [seed, component], WAVES, power=0.0, shape="cube")
    grid = np.arange(128) * SIDE / 128
    x, y = np.meshgrid(grid, grid, indexing="ij")
    return field, float(np.abs(field.values(np.stack([x.ravel(), y.ravel()], axis=1))).max())


@functools.lru_cache(maxsize=2)
def _solution(seed: int, horizon: float) -> SpectralSolution:
    components = [_component(seed, k) for k in range(2)]

    def initial(points: np.ndarray) -> np.ndarray:
        return np.stack([HEIGHT / height * field.values(points) for field, height in components], axis=1)

    return SpectralSolution(VISCOSITY, initial, horizon, modes=64 if horizon <= SMOOTH else 128)
