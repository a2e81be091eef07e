"""Domains in the plane by their names: polygons with holes, triangles, ellipses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pinnlab.domains.base import checked_names, checked_vector
from pinnlab.domains.crossings import CLOSE, crossings
from pinnlab.domains.curves import Curves
from pinnlab.domains.domain import Domain, Planar
from pinnlab.domains.outline import Outline
from pinnlab.errors import ConfigurationError


class Polygon(Planar):
    """A polygon, perhaps with holes.

    Args:
        coordinates: the names of the two coordinates.
        vertices: `(n, 2)` its corners in order, in either sense; the last is joined to the first.
        holes: what is cut out: corners of polygons, or domains in the plane, such as disks.

    Raises:
        ConfigurationError: a polygon has fewer than three corners or crosses itself, a hole lies outside, or nothing is
            left.

    >>> Polygon(["x", "y"], [[0, 0], [2, 0], [2, 2], [0, 2]], holes=[[[1, 1], [1.5, 1], [1, 1.5]]]).measure
    3.875
    """

    def __init__(self, coordinates: Sequence[str], vertices: Any, holes: Sequence[Any] = ()) -> None:
        if len(checked_names(coordinates)) != 2:
            raise ConfigurationError(f"coordinates: a polygon has two, got {len(coordinates)}")
        outline = _polygon("vertices", vertices)
        for k, hole in enumerate(holes):
            cut = hole.outline if isinstance(hole, Domain) else _polygon(f"holes[{k}]", hole)
            if cut is None:
                raise ConfigurationError(f"holes[{k}]: {hole!r} is not bounded by lines and ellipses in the plane")
            left = outline.combined("-", cut)
            if left is None:
                raise ConfigurationError(f"holes[{k}]: nothing is left of the polygon")
            if math.isclose(left.area, outline.area, rel_tol=1e-12):
                raise ConfigurationError(f"holes[{k}]: lies outside of the polygon")
            outline = left
        super().__init__(coordinates, outline)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{super().__repr__().removeprefix('Planar')}"


class Triangle(Polygon):
    """A triangle.

    Args:
        coordinates: the names of the two coordinates.
        vertices: `(3, 2)` its corners, in either sense.

    Raises:
        ConfigurationError: there are not three, or they lie on one line.
    """

    def __init__(self, coordinates: Sequence[str], vertices: Any) -> None:
        if len(vertices) != 3:
            raise ConfigurationError(f"vertices: a triangle has three, got {len(vertices)}")
        super().__init__(coordinates, vertices)


class Ellipse(Planar):
    """An ellipse.

    Args:
        coordinates: the names of the two coordinates.
        center: the center; a single number holds for both coordinates.
        radii: its half axes.
        angle: in radians, by which the first half axis is turned from the first coordinate, against the clock.

    Raises:
        ConfigurationError: a half axis is not positive, or there are not two coordinates.
    """

    def __init__(
        self,
        coordinates: Sequence[str] = ("x", "y"),
        center: float | Sequence[float] = 0.0,
        radii: float | Sequence[float] = 1.0,
        angle: float = 0.0,
    ) -> None:
        if len(checked_names(coordinates)) != 2:
            raise ConfigurationError(f"coordinates: an ellipse has two, got {len(coordinates)}")
        self.center, self.radii = checked_vector("center", center, 2), checked_vector("radii", radii, 2)
        (self.angle,) = checked_vector("angle", angle, 1)
        if min(self.radii) <= 0:
            raise ConfigurationError(f"radii: must be positive, got {radii}")
        c, s = math.cos(self.angle), math.sin(self.angle)
        matrix = np.array([[c, -s], [s, c]]) * self.radii
        super().__init__(coordinates, Outline(Curves.ellipse(self.center, matrix)))

    def __repr__(self) -> str:
        (x, y), (a, b) = self.center, self.radii
        turned = f", angle={self.angle:g}" if self.angle else ""
        return f"Ellipse({self.coordinates}, center=({x:g}, {y:g}), radii=({a:g}, {b:g}){turned})"


def _polygon(key: str, vertices: Any) -> Outline:
    """A checked polygon, against the clock."""
    try:
        corners = np.asarray(vertices).astype(np.float64)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{key}: expected the corners of a polygon, (n, 2) numbers") from None
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ConfigurationError(f"{key}: expected (n, 2) finite numbers with n >= 3, got shape {corners.shape}")
    if (corners[0] == corners[-1]).all():
        corners = corners[:-1]  # closed by its user, as in many files
    curves = Curves.polygon(corners)
    size = float(np.ptp(corners, axis=0).max())
    if not (curves.lengths() > CLOSE * size).all():
        raise ConfigurationError(f"{key}: the corner {int(curves.lengths().argmin())} is there twice")
    _check_simple(key, curves, size)
    return Outline(curves if curves.area() > 0 else curves.reversed().take(np.arange(len(curves))[::-1]))


def _check_simple(key: str, curves: Curves, size: float) -> None:
    n = len(curves)
    if np.linalg.matrix_rank(curves.along, tol=CLOSE * size) < 2:
        raise ConfigurationError(f"{key}: the corners lie on one line")
    for i, p, j, q in crossings(curves, curves, CLOSE * size):
        if i == j or (j == (i + 1) % n and (p, q) == (1.0, 0.0)) or (i == (j + 1) % n and (q, p) == (1.0, 0.0)):
            continue
        raise ConfigurationError(f"{key}: sides {min(i, j)} and {max(i, j)} meet; a polygon must not cross itself")
