"""A solution beside its reference, and where they differ.

Colours are perceptually uniform (viridis, magma) or from the colour-blind safe palette of Okabe and Ito (2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure, FigureBase
from numpy.typing import ArrayLike

from pinnlab.analysis.metrics import mean_relative_l2
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures.style import PALETTE, empty_figure, new_figure
from pinnlab.reporting.figures.surface import Array, Surface, with_gaps

REFERENCE: Mapping[str, Any] = {"color": "0.25", "linewidth": 3.5, "alpha": 0.45, "solid_capstyle": "round"}
PREDICTION: Mapping[str, Any] = {"color": "#D55E00", "linewidth": 1.4, "linestyle": (0, (5, 2))}
FRACTIONS = (0.1, 0.4, 0.7, 1.0)
INNERMOST = 0.95
"""Irregular points hardly ever lie at the very end of the time span: the last profile stays inside."""
DECADES = 5
"""Errors are shown over at most so many powers of ten below the largest one; less is round-off to the eye."""


def solution_figure(
    points: ArrayLike,
    prediction: ArrayLike,
    reference: ArrayLike | None,
    coordinates: Sequence[str],
    unknown: str,
    slices: Sequence[float] | None = None,
    function: ArrayLike | None = None,
) -> Figure:
    """Shows a solution, its reference and the error; the title states the relative L2 error.

    One coordinate: lines, the error below. Two: heat maps (a grid as a mesh, left open where it has no points; any
    other points triangulated, holes left open), with profiles at some times below them when the last coordinate is `t`.
    Three or more: prediction against reference and the distribution of the error. Points with a value that
    is not finite are left out, but the error in the title counts them.

    Args:
        points: `(n, d)`, in the order of `coordinates`, n >= 1.
        prediction: `(n,)`.
        reference: `(n,)`, or None when there is none.
        coordinates: the d names for the axes.
        unknown: the name of the quantity.
        slices: times of the profiles, `(x, t)` only. Default: at 10, 40, 70 and 100 (irregular points: 95)
            per cent of the time span. On a grid the nearest time of the grid is taken, between other points
            values are interpolated.
        function: `(n,)` the number of each point's function, of an operator: its error is the mean over them.

    Raises:
        ConfigurationError: shapes or the number of names do not fit together.
    """
    places, u, exact, error = finite_values(points, prediction, reference, coordinates, function)
    title = unknown if error is None else f"{unknown}: {error}"
    if not len(places):
        return empty_figure(f"{title}\nno finite values to show")
    if len(coordinates) == 1:
        figure = _lines(places[:, 0], u, exact, coordinates[0], unknown)
    elif len(coordinates) == 2:
        figure = _maps(places, u, exact, coordinates, unknown, slices)
    else:
        figure = agreement_figure(u, exact, unknown)
    figure.suptitle(title, fontsize=13)
    return figure


def finite_values(
    points: ArrayLike,
    prediction: ArrayLike,
    reference: ArrayLike | None,
    coordinates: Sequence[str],
    function: ArrayLike | None = None,
) -> tuple[Array, Array, Array | None, str | None]:
    """What a figure of a solution shows: where all values are finite; and the error of all in words.

    Args:
        points: `(n, d)`.
        prediction: `(n,)`.
        reference: `(n,)`, or None when there is none.
        coordinates: the d names.
        function: `(n,)` the number of each point's function, of an operator; None else.

    Returns:
        Points, prediction, reference, and the relative L2 error; the last two are None without a reference.

    Raises:
        ConfigurationError: shapes or the number of names do not fit together.
    """
    places = checked_points(points, coordinates, "points")
    u = checked_values(prediction, len(places), "prediction")
    exact = None if reference is None else checked_values(reference, len(places), "reference")
    finite = np.isfinite(u) & np.isfinite(places).all(axis=1)
    if exact is None:
        return places[finite], u[finite], None, None
    error = _error_text(u, exact, function)
    finite &= np.isfinite(exact)
    return places[finite], u[finite], exact[finite], error


def _lines(x: Array, u: Array, exact: Array | None, coordinate: str, unknown: str) -> Figure:
    if exact is None:
        x, u = with_gaps(x, u)
        figure = new_figure(7.0, 3.6)
        top = bottom = figure.subplots()
    else:
        x, u, exact = with_gaps(x, u, exact)
        figure = new_figure(7.0, 5.2)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        top.plot(x, exact, label="reference", **REFERENCE)
        draw_error(bottom, x, np.abs(u - exact))
        bottom.set_ylabel("|error|")
    top.plot(x, u, label="prediction", **_prediction_style(exact))
    top.set_ylabel(unknown)
    top.legend(frameon=False)
    bottom.set_xlabel(coordinate)
    return figure


def _maps(
    places: Array,
    u: Array,
    exact: Array | None,
    coordinates: Sequence[str],
    unknown: str,
    slices: Sequence[float] | None,
) -> Figure:
    """Heat maps of two coordinates and, over time, profiles below them."""
    panels: dict[str, tuple[Array, Normalize, str]] = {}
    both = u if exact is None else np.concatenate([u, exact])
    # One scale for both, or equal colours would not mean equal values.
    scale = Normalize(both.min(), both.max())
    panels["prediction"] = (u, scale, "viridis")
    if exact is not None:
        panels["reference"] = (exact, scale, "viridis")
        error = np.abs(u - exact)
        panels["|error|"] = (error, error_scale(error), "magma")
    surface = Surface(places)
    times = _slice_times(places[:, 1], slices, surface.grid is not None) if coordinates[-1] == "t" else []
    width = max(4.2 * len(panels), 2.6 * len(times), 5.5)
    figure = new_figure(width, 6.2) if times else new_figure(width, 4.3, layout="compressed")
    upper: FigureBase = figure
    lower: FigureBase | None = None
    if times:
        upper, lower = np.ravel(figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 2)))
    row = upper.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, (values, norm, cmap)) in zip(row, panels.items(), strict=True):
        artist = surface.draw(axes, values, cmap=cmap, norm=norm, rasterized=True)
        figure.colorbar(artist, ax=axes, extend="min" if isinstance(norm, LogNorm) else "neither")
        axes.set_title(name if name == "|error|" else f"{name} {unknown}", fontsize=11)
        axes.set(xlabel=coordinates[0], ylabel=coordinates[1])
        axes.label_outer()
        share_scales(axes, places, coordinates)
    if lower is not None:
        _profiles(lower.subplots(1, len(times), sharey=True, squeeze=False)[0], surface, u, exact, times)
        lower.supylabel(unknown, fontsize=10)
        lower.supxlabel(coordinates[0], fontsize=10)
    return figure


def _profiles(row: Sequence[Axes], surface: Surface, u: Array, exact: Array | None, times: Sequence[float]) -> None:
    for axes, time in zip(row, times, strict=True):
        if exact is not None:
            axes.plot(*surface.profile(exact, time), label="reference", **REFERENCE)
        axes.plot(*surface.profile(u, time), label="prediction", **_prediction_style(exact))
        axes.set_title(f"t = {time:.3g}", fontsize=11)
    row[0].legend(frameon=False, fontsize=9)


def _prediction_style(exact: Array | None) -> Mapping[str, Any]:
    """Dashed over a reference, so that both are seen; solid when alone."""
    return PREDICTION if exact is not None else {**PREDICTION, "linestyle": "-"}


def agreement_figure(u: Array, exact: Array | None, unknown: str) -> Figure:
    """For three and more coordinates: prediction against reference, and the distribution of the error."""
    if exact is None:
        figure = new_figure(6.0, 4.0)
        axes = figure.subplots()
        axes.hist(u, bins=60, color=PALETTE[0])
        axes.set(xlabel=f"prediction {unknown}", ylabel="points")
        return figure
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    left.axline((float(exact[0]), float(exact[0])), slope=1, color="0.25", linewidth=1, label="equal")
    size = float(np.clip(8000 / len(u), 2, 25))
    left.scatter(exact, u, s=size, linewidths=0, alpha=0.5, color=PALETTE[1], rasterized=True)
    left.set(xlabel=f"reference {unknown}", ylabel=f"prediction {unknown}")
    low, high = min(u.min(), exact.min()), max(u.max(), exact.max())
    margin = 0.05 * (high - low) or 1.0
    left.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), box_aspect=1)
    left.legend(frameon=False)
    error = np.abs(u - exact)
    scale = error_scale(error)
    logarithmic = isinstance(scale, LogNorm)
    low, high = float(scale.vmin or 0), float(scale.vmax or 1)
    bins = np.geomspace(low, high, 51) if logarithmic else np.linspace(low, high, 51)
    # Errors below the scale belong to the first bin: the bars must add up to all points.
    right.hist(np.clip(error, low, high), bins=bins, color=PALETTE[0])
    right.set(xlabel="|error|", ylabel="points", xscale="log" if logarithmic else "linear")
    return figure


def _slice_times(t: Array, wanted: Sequence[float] | None, on_grid: bool) -> list[float]:
    fractions = np.array(FRACTIONS) if on_grid else np.minimum(FRACTIONS, INNERMOST)
    chosen = t.min() + np.ptp(t) * fractions if wanted is None else np.asarray(wanted, dtype=np.float64)
    if on_grid:
        times = np.unique(t)
        chosen = times[np.abs(times - chosen[:, None]).argmin(axis=1)]
    return [float(time) for time in np.unique(chosen)]


def error_scale(error: Array) -> Normalize:
    """A logarithmic colour scale of at most five decades; a linear one if the error is zero everywhere."""
    largest = float(error.max())
    if largest == 0:
        return Normalize(0, 1)
    smallest = float(np.quantile(error, 0.01))
    low = min(max(smallest, largest * 10.0**-DECADES), largest / 10)
    return LogNorm(low, largest, clip=True)


def draw_error(axes: Axes, x: Array, error: Array) -> None:
    """An error over one coordinate, on a logarithmic scale of at most five decades."""
    positive = error > 0
    axes.plot(x, np.where(positive, error, np.nan), color=PALETTE[0], linewidth=1.2)
    if positive.any():
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(error[positive].min(), error[positive].max() * 10.0**-DECADES) / 2)


def share_scales(axes: Axes, places: Array, coordinates: Sequence[str]) -> None:
    """Lets a disk look round: lengths share a scale, but time and a very long domain do not."""
    if "t" in coordinates[:2] or not len(places):
        return
    span = np.ptp(places[:, :2], axis=0)
    if span.min() > 0 and span.max() / span.min() <= 4:
        axes.set_aspect("equal", adjustable="box")


def _error_text(u: Array, exact: Array, function: ArrayLike | None) -> str:
    number = None if function is None else torch.as_tensor(function)
    error = float(mean_relative_l2(torch.from_numpy(u), torch.from_numpy(exact), number))
    if exact.any():
        return f"relative L2 error {error:.2e}"
    return f"root mean square error {error:.2e} (the reference is zero)"


def checked_points(points: ArrayLike, coordinates: Sequence[str], key: str) -> Array:
    """Points `(n, d)`, with a column for each coordinate."""
    array = np.asarray(points, dtype=np.float64)
    if not coordinates or array.ndim != 2 or array.shape[1] != len(coordinates):
        raise ConfigurationError(
            f"{key}: expected shape (n, {len(coordinates)}) for coordinates {', '.join(coordinates)}; got {array.shape}"
        )
    return array


def checked_values(values: ArrayLike, count: int, key: str) -> Array:
    """Values `(n,)`, one for each point."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise ConfigurationError(f"{key}: expected ({count},), one value for each point, got {array.shape}")
    return array
