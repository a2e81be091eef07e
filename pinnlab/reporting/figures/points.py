"""How the points of one condition are spread, and where its residual is large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pinnlab.reporting.figures.solution import PALETTE, _equal_scales, _error_scale, _figure, _points, _values

POINTS_PER_BIN = 10
"""Of uniform points in the mean: enough to tell the density from noise."""


def residual_figure(points: ArrayLike, residual: ArrayLike, coordinates: Sequence[str], name: str) -> Figure:
    """Shows the density of points beside the points themselves, coloured by the residual.

    One coordinate: a histogram, and the residual over the coordinate. Two: a histogram of the plane. Three or more: the
    first two coordinates, and the title says so. Points whose residual is not finite are left out.

    Args:
        points: `(n, d)`.
        residual: `(n,)` its size at the points.
        coordinates: the d names for the axes.
        name: the condition's.

    Raises:
        ConfigurationError: shapes do not fit together.
    """
    places = _points(points, coordinates, "points")
    size = np.abs(_values(residual, len(places), "residual"))
    places, size = places[np.isfinite(size)], size[np.isfinite(size)]
    flat = len(coordinates) == 1
    figure = _figure(9.0, 4.2)
    projected = f" (projected on {coordinates[0]}, {coordinates[1]})" if len(coordinates) > 2 else ""
    figure.suptitle(f"{name}: {len(places):,} points{projected}", fontsize=13)
    if not len(places):
        return figure
    spread, cloud = figure.subplots(1, 2, sharex=True, sharey=not flat)
    bins = int(np.clip((len(places) / POINTS_PER_BIN) ** (1 if flat else 0.5), 5, 40))
    if flat:
        spread.hist(places[:, 0], bins=bins, color=PALETTE[0])
        spread.set_ylabel("points per bin")
        cloud.scatter(places[:, 0], np.where(size > 0, size, np.nan), s=9, color=PALETTE[1])
        cloud.set_ylabel("|residual|")
        if size.any():
            cloud.set_yscale("log")
    else:
        counts = spread.hist2d(places[:, 0], places[:, 1], bins=bins, cmap="viridis")[3]
        figure.colorbar(counts, ax=spread, label="points per bin")
        # The largest residuals are drawn last: they are what one looks for.
        order = np.argsort(size, kind="stable")
        marks = cloud.scatter(
            places[order, 0], places[order, 1], c=size[order], s=9, linewidths=0, cmap="magma", norm=_error_scale(size)
        )
        figure.colorbar(marks, ax=cloud, label="|residual|")
        spread.set_ylabel(coordinates[1])
        for axes in (spread, cloud):
            _equal_scales(axes, places, coordinates)
    for axes in (spread, cloud):
        axes.set_xlabel(coordinates[0])
    return figure
