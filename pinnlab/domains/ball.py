"""Disks, balls and spheres."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pinnlab.domains import rules
from pinnlab.domains.base import Region, checked_names, checked_vector
from pinnlab.domains.box import Interval
from pinnlab.domains.curves import Array, Curves
from pinnlab.domains.domain import Domain
from pinnlab.domains.moved import Similarity
from pinnlab.domains.outline import Outline
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError


class Sphere(Region):
    """The set at distance `radius` from a center: the boundary of a ball in two or more dimensions.

    The boundary of an interval is the finite region `Interval.boundary()` instead.

    Args:
        coordinates: the names of the coordinates.
        center: the center; a single number holds for all coordinates.
        radius: the radius.
        polar: draw the direction from one angle instead of `dim` Gaussian numbers; two dimensions only.
    """

    def __init__(
        self,
        coordinates: Sequence[str],
        center: float | Sequence[float] = 0.0,
        radius: float = 1.0,
        polar: bool = False,
    ) -> None:
        self.coordinates = checked_names(coordinates)
        self.center = checked_vector("center", center, self.dim)
        (self.radius,) = checked_vector("radius", radius, 1)
        if self.radius <= 0:
            raise ConfigurationError(f"radius: must be positive, got {self.radius:g}")
        if polar and self.dim != 2:
            raise ConfigurationError(f"polar: needs two coordinates, got {self.dim}")
        self.polar = polar
        self.unit_dim = 1 if polar else self.dim
        self.measure = self.dim * self.ball_measure / self.radius

    @property
    def ball_measure(self) -> float:
        """The volume of the ball inside, `(sqrt(pi) r)^d / Gamma(d/2 + 1)`."""
        if self.dim <= 3:  # without the rounding of the logarithms
            return (2.0, math.pi, 4.0 * math.pi / 3.0)[self.dim - 1] * self.radius**self.dim
        return math.exp(self.dim * math.log(math.sqrt(math.pi) * self.radius) - math.lgamma(self.dim / 2 + 1))

    def offsets(self, points: Tensor) -> Tensor:
        """The points seen from the center, `(n, dim)`."""
        return points - points.new_tensor(self.center)

    def directions(self, unit: Tensor) -> Tensor:
        """Uniform unit vectors `(n, dim)` from `(n, unit_dim)` points of the cube."""
        if self.polar:
            angle = 2.0 * math.pi * unit[:, 0]
            return torch.stack([angle.cos(), angle.sin()], dim=1)
        # The inverse normal distribution function is infinite at 0 and 1.
        eps = torch.finfo(unit.dtype).eps
        return _normalised(torch.special.ndtri(unit.clamp(eps, 1.0 - eps)))

    def _from_unit(self, unit: Tensor) -> Tensor:
        return unit.new_tensor(self.center) + self.radius * self.directions(unit)

    def _quadrature(self, count: int) -> Rule:
        return self._mapped(rules.circle(count)) if self.polar else super()._quadrature(count)

    def _distance(self, points: Tensor) -> Tensor:
        return (torch.linalg.vector_norm(self.offsets(points), dim=1) - self.radius).abs()

    def _normals(self, points: Tensor) -> Tensor:
        return _normalised(self.offsets(points))

    def __repr__(self) -> str:
        return f"Sphere({_shown(self)})"


class _Round(Domain):
    """What disk and ball share; they differ in how a direction is drawn."""

    @abstractmethod
    def __init__(self, coordinates: Sequence[str], center: float | Sequence[float], radius: float) -> None: ...

    def _round(self, sphere: Sphere) -> None:
        """What a subclass's constructor ends with."""
        self._sphere = sphere
        self.coordinates = sphere.coordinates
        self.center, self.radius = sphere.center, sphere.radius
        self.low = tuple(c - self.radius for c in self.center)
        self.high = tuple(c + self.radius for c in self.center)
        self.unit_dim = 1 + sphere.unit_dim
        self.measure = sphere.ball_measure

    @property
    def outline(self) -> Outline | None:
        """The circle around a disk."""
        if self.dim != 2:
            return None
        return Outline(Curves.ellipse(self.center, self.radius * np.eye(2)))

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        """The same kind, unless it is stretched."""
        map = Similarity(matrix, offset)
        if not map.keeps_shapes:
            return super()._moved(matrix, offset)
        center = (matrix @ np.array(self.center) + offset).tolist()
        return type(self)(self.coordinates, center, self.radius * map.factor)

    def _from_unit(self, unit: Tensor) -> Tensor:
        radius = self.radius * unit[:, :1] ** (1.0 / self.dim)
        return unit.new_tensor(self.center) + radius * self._sphere.directions(unit[:, 1:])

    def _quadrature(self, count: int) -> Rule:
        if not self._sphere.polar:
            return super()._quadrature(count)
        # In r^2, in which the mean over a circle of something smooth is smooth; a circle needs more nodes than r^2.
        radii = rules.per_side(2, max(count // 2, 1))
        return self._mapped(rules.product([rules.gauss_line(radii), rules.circle(2 * radii)]))

    def _distance(self, points: Tensor) -> Tensor:
        distance = torch.linalg.vector_norm(self._sphere.offsets(points), dim=1)
        return (distance - self.radius).clamp_min(0.0)

    def _boundary(self, names: frozenset[str]) -> Region:
        if missing := [name for name in self.coordinates if name not in names]:
            raise ConfigurationError(
                f"boundary: the normal of {self!r} has all its coordinates; name {', '.join(missing)} as well"
            )
        if self.dim == 1:
            return Interval(self.coordinates[0], self.low[0], self.high[0]).boundary()
        return self._sphere

    def _face(self, name: str, value: float) -> Region:
        raise ConfigurationError(f"face: {name} has no ends of its own in {self!r}; use boundary()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shown(self)})"


class Disk(_Round):
    """The disk in the plane, in polar coordinates: `r = R sqrt(u)` makes it uniform.

    Args:
        coordinates: the names of the two coordinates.
        center: the center; a single number holds for both coordinates.
        radius: the radius.

    Raises:
        ConfigurationError: a name is unusable, there are not two of them, or `radius <= 0`.

    >>> Disk(radius=2.0).boundary().unit_dim
    1
    """

    def __init__(
        self,
        coordinates: Sequence[str] = ("x", "y"),
        center: float | Sequence[float] = 0.0,
        radius: float = 1.0,
    ) -> None:
        if len(checked_names(coordinates)) != 2:
            raise ConfigurationError(f"coordinates: a disk has two, got {len(coordinates)}; use Ball")
        self._round(Sphere(coordinates, center, radius, polar=True))


class Ball(_Round):
    """The ball in d dimensions: a Gaussian direction (Muller 1959) times the radius `R u^(1/d)`.

    Args:
        coordinates: the names of the coordinates, one or more.
        center: the center; a single number holds for all coordinates.
        radius: the radius.

    Raises:
        ConfigurationError: a name is unusable, or `radius <= 0`.

    >>> Ball(["x", "y", "z"]).unit_dim
    4
    """

    def __init__(self, coordinates: Sequence[str], center: float | Sequence[float] = 0.0, radius: float = 1.0) -> None:
        self._round(Sphere(coordinates, center, radius))


class RadialBall(Ball):
    """The ball with points whose distance from the center is uniform, as papers on many dimensions draw them.

    In d dimensions half of a ball's volume is within 0.7/d of its rim. Points that are uniform in the volume then tell
    nothing of the rest; these have as many near the center as near the rim. Integrals are those over the volume.

    Args:
        coordinates: the names of the coordinates, one or more.
        center: the center; a single number holds for all coordinates.
        radius: the radius.

    Raises:
        ConfigurationError: a name is unusable, or `radius <= 0`.
    """

    def _from_unit(self, unit: Tensor) -> Tensor:
        directions = self._sphere.directions(unit[:, 1:])
        return unit.new_tensor(self.center) + self.radius * unit[:, :1] * directions

    def spread_evenly(self) -> Ball:
        """The ball."""
        return Ball(self.coordinates, self.center, self.radius)


def _normalised(vectors: Tensor) -> Tensor:
    """Unit vectors `(n, d)`; a zero vector (the middle of a grid has one) becomes the first axis."""
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    first_axis = torch.zeros_like(vectors)
    first_axis[:, 0] = 1.0
    return torch.where(norms > 0, vectors / norms.clamp_min(torch.finfo(vectors.dtype).tiny), first_axis)


def _shown(region: Sphere | _Round) -> str:
    names = "(" + ", ".join(map(repr, region.coordinates)) + ")"
    if region.dim > 4:
        names = f"{region.coordinates[0]}..{region.coordinates[-1]}"
    center = ", ".join(f"{c:g}" for c in region.center[:4]) + (", ..." if region.dim > 4 else "")
    return f"{names}, center=({center}), radius={region.radius:g}"
