"""A picture of a problem: where it lives, some points of each condition, and the reference."""

from __future__ import annotations

import functools
from io import BytesIO
from typing import Any

import numpy as np
from torch import Tensor

from pinnlab.problems.unknowns import with_reference

RESOLUTION = 10_000
"""Places at which a reference is drawn."""


def picture(problem: Any, points: int) -> Any:
    """Shows the points of each condition, and the reference of each unknown beside them, if there is one.

    One coordinate: a row of points for each condition, curves. Two: points in the plane, maps. Three or more: points
    seen along all but the first two coordinates, no reference.

    Args:
        problem: the `Problem`.
        points: how many to draw for each condition; of those that bring their own, as many at most.

    Returns:
        A `matplotlib.figure.Figure`, made without pyplot: a notebook shows it, `savefig` saves it.
    """
    from matplotlib.figure import Figure  # here, as matplotlib is for who draws

    coordinates, columns = problem.coordinates, len(problem.coordinates)
    places = problem.evaluation_points(RESOLUTION)
    values = problem.reference_values(places) if columns < 3 else None
    drawn = [] if values is None else with_reference(problem.unknowns, values)
    maps = min(len(drawn), 1) if columns == 1 else len(drawn)
    figure = Figure(figsize=(4.5 * (1 + maps), 3.8), layout="constrained")
    geometry, *others = figure.subplots(1, 1 + maps, squeeze=False)[0]
    projected = f" (on {coordinates[0]}, {coordinates[1]})" if columns > 2 else ""
    figure.suptitle(f"{problem.name}: {', '.join(problem.unknowns)} on {problem.domain!r}{projected}", wrap=True)
    _draw_points(geometry, problem, points)
    if values is not None and columns == 1:
        order = places[:, 0].argsort()
        for name, column in drawn:
            others[0].plot(places[order, 0].numpy(), values[order, column].numpy(), label=name)
        others[0].set(xlabel=coordinates[0], title="reference")
        others[0].legend(frameon=False)
    elif values is not None:
        for axes, (name, column) in zip(others, drawn, strict=True):
            x, y, grid = _on_grid(places, values[:, column])
            figure.colorbar(axes.pcolormesh(x, y, grid, shading="nearest", cmap="viridis"), ax=axes)
            axes.set(xlabel=coordinates[0], ylabel=coordinates[1], title=f"reference {name}")
    return shown(figure)


def shown(figure: Any) -> Any:
    """Has a notebook show a figure that pyplot does not know of: it looks for `_repr_png_`; returns the figure."""
    figure._repr_png_ = functools.partial(_png, figure)
    return figure


def _draw_points(axes: Any, problem: Any, count: int) -> None:
    """A colour for each condition; those with many points inside come first, so that boundaries lie above them."""
    flat = len(problem.coordinates) == 1
    for k, (name, condition) in enumerate(problem.conditions.items()):
        points = condition.some_points(count, seed=0)
        x = points[:count, 0].numpy()
        y = np.full(len(x), -k) if flat else points[:count, 1].numpy()
        axes.plot(x, y, ".", markersize=4, color=f"C{k}", label=name)
    axes.set(xlabel=problem.coordinates[0], title="points")
    if flat:
        axes.set_yticks(range(0, -len(problem.conditions), -1), list(problem.conditions))
        axes.set_ylim(-len(problem.conditions) + 0.5, 0.5)
    else:
        axes.set_ylabel(problem.coordinates[1])
        if "t" not in problem.coordinates[:2]:
            axes.set_aspect("equal", adjustable="datalim")  # lengths share a scale: a disk looks round
        axes.legend(fontsize="small")


def _on_grid(places: Tensor, values: Tensor) -> tuple[Any, Any, Any]:
    """Values `(n,)` at places `(n, 2)` of a grid as a matrix, NaN at places that are not among them."""
    (x, column), (y, row) = (np.unique(axis, return_inverse=True) for axis in places.T.numpy())
    grid = np.full((len(y), len(x)), np.nan)
    grid[row, column] = values.numpy()
    return x, y, grid


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
