"""A solution and its error in two panels whose type is large enough for TensorBoard's thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from pinnlab.reporting.figures.solution import (
    PREDICTION,
    REFERENCE,
    agreement_figure,
    draw_error,
    error_scale,
    finite_values,
)
from pinnlab.reporting.figures.style import empty_figure, enlarge, new_figure
from pinnlab.reporting.figures.surface import Array, Surface, with_gaps

SIZE = (7.2, 3.6)
"""Inches, at 100 pixels each. TensorBoard shows them on some 320 pixels."""

TITLE = 17
"""Points."""


def thumbnail(
    points: ArrayLike,
    prediction: ArrayLike,
    reference: ArrayLike | None,
    coordinates: Sequence[str],
    unknown: str,
    caption: str,
    function: ArrayLike | None = None,
) -> Figure:
    """Shows a solution beside the absolute error; the title has the caption and the relative L2 error.

    One coordinate: curves. Two: heat maps. Three or more: prediction against reference, and the distribution of the
    error. Without a reference there is the solution alone. Points with a value that is not finite are left out.

    Args:
        points: `(n, d)`, in the order of `coordinates`, n >= 1.
        prediction: `(n,)`.
        reference: `(n,)`, or None when there is none.
        coordinates: the d names for the axes.
        unknown: the name of the quantity.
        caption: when this was, such as `step 64`.
        function: `(n,)` the number of each point's function, of an operator: its error is the mean over them.

    Raises:
        ConfigurationError: shapes or the number of names do not fit together.
    """
    places, u, exact, error = finite_values(points, prediction, reference, coordinates, function)
    title = caption if error is None else f"{caption}, {error}"
    if not len(u):
        return empty_figure(f"{title}\nno finite values to show")
    if len(coordinates) > 2:
        figure = agreement_figure(u, exact, unknown)
        figure.set_size_inches(*SIZE)
    else:
        figure = new_figure(*SIZE, layout=None)
        panels = figure.subplots(1, 1 if exact is None else 2, squeeze=False)[0]
        draw = _curves if len(coordinates) == 1 else _maps
        draw(panels, places, u, exact, coordinates, unknown)
        # Margins that fit all of them: to find the best for each figure takes as long as drawing it.
        figure.subplots_adjust(left=0.11, right=0.96, bottom=0.19, top=0.79, wspace=0.38)
    figure.suptitle(title, fontsize=TITLE)
    return enlarge(figure)


def _curves(
    panels: Sequence[Axes], places: Array, u: Array, exact: Array | None, coordinates: Sequence[str], unknown: str
) -> None:
    x = places[:, 0]
    if exact is None:
        panels[0].plot(*with_gaps(x, u), color=PREDICTION["color"], linewidth=2.5)
    else:
        x, u, exact = with_gaps(x, u, exact)
        panels[0].plot(x, exact, label="reference", **{**REFERENCE, "linewidth": 5})
        panels[0].plot(x, u, label="prediction", **{**PREDICTION, "linewidth": 2.2})
        panels[0].legend(frameon=False, loc="best")
        draw_error(panels[1], x, np.abs(u - exact))
        panels[1].set_title("|error|")
        if panels[1].get_yscale() == "log":
            panels[1].yaxis.set_major_locator(LogLocator(numticks=5))
            panels[1].yaxis.set_minor_locator(NullLocator())
    panels[0].set_title(unknown)
    for axes in panels:
        axes.set_xlabel(coordinates[0])
        axes.xaxis.set_major_locator(_round())


def _maps(
    panels: Sequence[Axes], places: Array, u: Array, exact: Array | None, coordinates: Sequence[str], unknown: str
) -> None:
    surface = Surface(places)
    shown: list[tuple[str, Array, Normalize, str]] = [
        (unknown, u, Normalize(u.min(), u.max()) if exact is None else Normalize(exact.min(), exact.max()), "viridis")
    ]
    if exact is not None:
        error = np.abs(u - exact)
        shown.append(("|error|", error, error_scale(error), "magma"))
    for axes, (title, values, norm, cmap) in zip(panels, shown, strict=True):
        artist = surface.draw(axes, values, cmap=cmap, norm=norm, rasterized=True)
        bar = axes.figure.colorbar(artist, ax=axes, pad=0.03)
        bar.locator = LogLocator(numticks=5) if isinstance(norm, LogNorm) else _round()
        bar.minorticks_off()
        axes.set_title(title)
        axes.set(xlabel=coordinates[0], ylabel=coordinates[1])
        axes.xaxis.set_major_locator(_round())
        axes.yaxis.set_major_locator(_round())


def _round() -> MaxNLocator:
    """Few ticks at round numbers."""
    return MaxNLocator(4, steps=[1, 2, 5, 10])
