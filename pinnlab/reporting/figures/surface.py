"""Values over one or two coordinates that need not fill a rectangle: what is drawn, and what is left open."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.tri import LinearTriInterpolator, Triangulation
from numpy.typing import NDArray
from scipy.spatial import QhullError, cKDTree

Array = NDArray[np.float64]

LEAST_FILLED = 0.25
"""The share of a grid that has points at least."""


def with_gaps(x: Array, *columns: Array) -> list[Array]:
    """Places and values in rising order, with numbers that are none where a line must not be drawn on.

    That is where an evenly spaced grid has a gap.
    """
    order = np.argsort(x, kind="stable")
    steps = np.diff(x[order])
    usual = float(np.median(steps)) if len(steps) else 0.0
    wide = steps > 1.5 * usual
    even = usual > 0 and np.allclose(steps[~wide], usual, rtol=1e-3) and wide.mean() < 0.1
    breaks = np.flatnonzero(wide & even) + 1
    return [np.insert(values[order], breaks, np.nan) for values in (x, *columns)]


class Surface:
    """Values over two coordinates: a mesh where the points are those of a grid in a domain, else a triangulation.

    Args:
        places: `(n, 2)`.

    Attributes:
        grid: `(nx, ny)` the number of the point at each place of the grid, -1 outside of the domain; None without one.
    """

    def __init__(self, places: Array) -> None:
        self.places = places
        self.grid = _grid_order(places)
        self.triangles = None if self.grid is not None else _triangulate(places)

    def draw(self, axes: Axes, values: Array, **style: Any) -> Any:
        """Draws values `(n,)` and returns the artist for a colour bar."""
        if self.grid is not None:
            x, y = (np.unique(column) for column in self.places.T)
            return axes.pcolormesh(x, y, self._on_grid(values).T, shading="nearest", **style)
        if self.triangles is not None:
            return axes.tripcolor(self.triangles, values, shading="gouraud", **style)
        return axes.scatter(self.places[:, 0], self.places[:, 1], c=values, s=12, **style)

    def profile(self, values: Array, time: float) -> tuple[Array, Array]:
        """Returns the positions and the values `(k,)` at one value of the second coordinate."""
        x, t = self.places.T
        if self.grid is not None:
            times = np.unique(t)
            return np.unique(x), self._on_grid(values)[:, np.abs(times - time).argmin()].filled(np.nan)
        line = np.linspace(x.min(), x.max(), 201)
        if self.triangles is None:
            return line, np.full_like(line, np.nan)
        interpolated = LinearTriInterpolator(self.triangles, values)(line, np.full_like(line, time))
        return line, interpolated.filled(np.nan)

    def _on_grid(self, values: Array) -> np.ma.MaskedArray[Any, Any]:
        """Values `(n,)` as `(nx, ny)`, masked where there is no point."""
        assert self.grid is not None  # those who ask saw to it
        return np.ma.masked_array(values[self.grid], mask=self.grid < 0)


def _grid_order(places: Array) -> NDArray[np.intp] | None:
    """Row numbers `(nx, ny)` of a grid in rising order, -1 where there is no point; None when it is no such grid.

    Points in a domain of another shape fill a good part of the grid around it; scattered points next to none.
    """
    (x, row), (y, column) = (np.unique(values, return_inverse=True) for values in places.T)
    if min(len(x), len(y)) < 2 or not LEAST_FILLED * len(x) * len(y) <= len(places) <= len(x) * len(y):
        return None
    order = np.full((len(x), len(y)), -1, dtype=np.intp)
    order[row, column] = np.arange(len(places))
    return order if (order >= 0).sum() == len(places) else None


def _triangulate(places: Array) -> Triangulation | None:
    """Delaunay triangles without those that bridge a hole or a notch; None when all points lie on a line.

    A triangle bridges when an edge is far longer than the way from both its ends to their sixth neighbours.
    """
    span = np.ptp(places, axis=0)
    if len(places) < 3 or not span.all():
        return None
    try:
        triangles = Triangulation(*places.T)
    except (RuntimeError, ValueError, QhullError):
        return None
    scaled = places / span
    near = cKDTree(scaled).query(scaled, k=min(7, len(places)))[0][:, -1]
    corners = triangles.triangles
    ends = np.roll(corners, 1, axis=1)
    length = np.linalg.norm(scaled[corners] - scaled[ends], axis=2)
    bridges = (length > 5 * np.maximum(near[corners], near[ends])).any(axis=1)
    if not bridges.all():
        triangles.set_mask(bridges)
    return triangles
