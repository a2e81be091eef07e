"""The heat equation in a rectangle with many round holes."""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Box, Disk, Domain, GradedInterval, Interval
from pinnlab.numerics.constants import constant_like
from pinnlab.problems import checks
from pinnlab.problems.base import Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Residual, Robin
from pinnlab.problems.references.hole_elements import HeatAroundHoles, Hole

WIDTH, HEIGHT, HORIZON = 8.0, 12.0, 3.0
"""The rectangle is [-8, 8] x [-12, 12]."""
LARGE, SMALL = ((4, 3), (4, 9), (0, 0), (0, 6)), ((3.2, 6), (3.2, 0))
"""Centres of the holes, those with x >= 0 and y >= 0; the others are their mirror images."""
RADII, RINGS = (1.0, 0.4), (1.8, 1.2)
"""Of large and small holes, and of the disks around them in which the equation has points of its own."""
HOT, WARM, OUTSIDE = 5.0, 1.0, 0.1
"""What u tends to on the large circles, on the small ones, and on the rectangle."""
TINY = 1e-24
"""In the place of t = 0, of which no reciprocal can be had."""


class PerforatedHeat(Problem):
    """u_t = Delta u in a rectangle of 16 by 24 with eleven large and six small holes, which heat it, 0 <= t <= 3.

    u = 0 at the start; du/dn = 5 - u on the circles of radius 1, 1 - u on those of radius 0.4, 0.1 - u on the
    rectangle: what PINNacle (arXiv 2306.08827) calls Heat2d-CG. Heat sets in at once, so that there are layers of the
    width of the root of t at the start. The equation is multiplied by that root; it has points of its own in rings
    around the holes, and all conditions have more of them early.

    Args:
        layers: whether the ansatz has the early layers and u = 0 at the start: around each hole and along each side
            heat as it would spread there alone, and the root of t times what the network adds. Otherwise the start
            enters the loss.
        weight: the factor of the conditions in the loss.
    """

    def __init__(self, layers: bool = True, weight: float = 0.1) -> None:
        checks.positive("weight", weight)
        names, early = ["x", "y"], GradedInterval("t", 0, HORIZON, power=1.5)
        rectangle: Domain = Box(names, [-WIDTH, -HEIGHT], [WIDTH, HEIGHT])
        centers = [_mirrored(own) for own in (LARGE, SMALL)]
        self.centers = [torch.tensor(own, dtype=torch.float64) for own in centers]
        large, small = ([Disk(names, at, radius) for at in own] for own, radius in zip(centers, RADII, strict=True))
        plane = functools.reduce(lambda left, hole: left - hole, [*large, *small], rectangle)
        graded = plane * early
        conditions = {
            "pde": Residual(graded, self.balance),
            "around_large": Residual(_rings(large, RINGS[0], plane) * early, self.balance),
            "around_small": Residual(_rings(small, RINGS[1], plane) * early, self.balance),
            "large": Robin(graded.boundary(*names, on=large), weight=weight, u=HOT),
            "small": Robin(graded.boundary(*names, on=small), weight=weight, u=WARM),
            "rectangle": Robin(graded.boundary(*names, on=rectangle), weight=weight, u=OUTSIDE),
        }
        domain = plane * Interval("t", 0, HORIZON)
        if layers:
            self.ansatz = self.from_layers
        else:
            conditions["start"] = Dirichlet(domain.face(t=0.0), weight=weight, u=0.0)
        super().__init__(domain=domain, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, t: Tensor) -> Tensor:
        """u_t - Delta u, times the root of t."""
        return torch.sqrt(t) * (u.t - u.laplacian("x", "y"))

    def from_layers(self, u: Tensor, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """Heat from each circle and side alone, and the root of t times N.

        Along a line heat v from a half space is known. From a circle of radius R it is v sqrt(R / r) but for v / 4 r^2
        in the equation, with 1 + 1 / 2R in the place of the 1 in du/dn = g - u.
        """
        root = torch.sqrt(t + TINY)
        total = root * u
        for side, s in itertools.product((1, -1), ((x, WIDTH), (y, HEIGHT))):
            total = total + _half_space(s[1] - side * s[0], root, 1.0, OUTSIDE)
        for centers, radius, heat in zip(self.centers, RADII, (HOT, WARM), strict=True):
            to_x, to_y = constant_like(centers, x).T
            r = torch.sqrt((x[..., None] - to_x) ** 2 + (y[..., None] - to_y) ** 2)  # of each point from each hole
            heat_of_each = _half_space(r - radius, root[..., None], 1 + 1 / (2 * radius), heat)
            total = total + (torch.sqrt(radius / r) * heat_of_each).sum(-1)
        return total

    def reference(self) -> Numerical:
        """Spectral elements around the holes."""
        return Numerical(_solution(), accuracy=5e-5)


def _half_space(depth: Tensor, root: Tensor, rate: float, heat: float) -> Tensor:
    """What v_t = v_xx makes of v = 0 and -v_x = heat - rate v at x = 0; root is that of t."""
    z = depth / (2 * root)
    fall = torch.exp(-(z**2)) * torch.special.erfcx(z + rate * root)
    return heat / rate * (1 - torch.erf(z) - fall)


def _rings(holes: list[Disk], radius: float, plane: Domain) -> Domain:
    """The disks of that radius around holes, as far as they are in the plane domain."""
    disks: list[Domain] = [Disk(hole.coordinates, hole.center, radius) for hole in holes]
    return functools.reduce(lambda left, disk: left | disk, disks) & plane


def _mirrored(centers: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """All centres, those on an axis once."""
    signs = itertools.product((1, -1), repeat=2)
    return list(dict.fromkeys((a * x + 0.0, b * y + 0.0) for a, b in signs for x, y in centers))


@functools.lru_cache(maxsize=1)
def _solution() -> HeatAroundHoles:
    holes = [Hole(x, y, RADII[0], HOT) for x, y in LARGE] + [Hole(x, y, RADII[1], WARM) for x, y in SMALL]
    return HeatAroundHoles((0, 2, 6, WIDTH), (0, 1.5, 4.5, 7.5, 10.5, HEIGHT), holes, OUTSIDE, HORIZON)
