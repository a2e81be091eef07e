"""Where collocation points are: those of all conditions, and those of one with its residual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pinnlab.reporting.figures.solution import checked_points, checked_values, error_scale, share_scales
from pinnlab.reporting.figures.style import PALETTE, colour_of, marker_of, new_figure
from pinnlab.reporting.figures.surface import Array

POINTS_PER_BIN = 10
"""Of uniform points in the mean: enough to tell the density from noise."""


def points_figure(points: Mapping[str, ArrayLike], coordinates: Sequence[str]) -> Figure:
    """Shows where collocation points lie, one colour and marker for each named set.

    One coordinate: a histogram over a rug. Two: the points. Three or more: the first two coordinates, and the
    title says so.

    Args:
        points: for each name points `(n, d)`; n may be 0.
        coordinates: the d names for the axes.

    Raises:
        ConfigurationError: a shape does not fit the number of names.
    """
    sets = {name: checked_points(values, coordinates, f"points[{name!r}]") for name, values in points.items()}
    flat = len(coordinates) == 1
    figure = new_figure(7.0, 4.2 if flat else 5.0)
    if flat:
        histogram, cloud = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        histogram.set_ylabel("points per bin")
    else:
        cloud = figure.subplots()
    everything = np.concatenate([np.empty((0, len(coordinates))), *sets.values()])
    for k, (name, values) in enumerate(sets.items()):
        height = np.full(len(values), -float(k)) if flat else values[:, 1]
        label = f"{name} ({len(values):,})"
        size = float(np.clip(4000 / max(len(values), 1), 2, 25))
        style: dict[str, Any] = {"marker": "|", "s": 60, "linewidths": 1.2}
        if not flat:
            style = {"marker": marker_of(k), "s": size, "linewidths": 0}
        cloud.scatter(values[:, 0], height, color=colour_of(k), alpha=0.75, label=label, **style)
        if flat and len(values):
            bins = np.histogram_bin_edges(everything[:, 0], bins=40)
            histogram.hist(values[:, 0], bins=bins, histtype="step", color=colour_of(k), linewidth=1.6)
    cloud.set_xlabel(coordinates[0])
    if flat:
        cloud.set_yticks([-float(k) for k in range(len(sets))], list(sets))
        cloud.margins(y=0.3)
    else:
        cloud.set_ylabel(coordinates[1])
        share_scales(cloud, everything, coordinates)
    if sets:
        legend = figure.legend(loc="outside right upper", frameon=False)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([36])
    figure.suptitle(_counted(everything, coordinates), fontsize=13)
    return figure


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
    places = checked_points(points, coordinates, "points")
    size = np.abs(checked_values(residual, len(places), "residual"))
    places, size = places[np.isfinite(size)], size[np.isfinite(size)]
    flat = len(coordinates) == 1
    figure = new_figure(9.0, 4.2, layout="compressed")
    figure.suptitle(f"{name}: {_counted(places, coordinates)}", fontsize=13)
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
            places[order, 0], places[order, 1], c=size[order], s=9, linewidths=0, cmap="magma", norm=error_scale(size)
        )
        figure.colorbar(marks, ax=cloud, label="|residual|")
        spread.set_ylabel(coordinates[1])
        for axes in (spread, cloud):
            share_scales(axes, places, coordinates)
    for axes in (spread, cloud):
        axes.set_xlabel(coordinates[0])
    return figure


def _counted(places: Array, coordinates: Sequence[str]) -> str:
    """How many points there are, and on which coordinates they are seen, if not on all."""
    projected = f" (projected on {coordinates[0]}, {coordinates[1]})" if len(coordinates) > 2 else ""
    return f"{len(places):,} points{projected}"
