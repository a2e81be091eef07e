"""Runs to a figure: error and loss against evaluations and against time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pinnlab.reporting.figures.style import colour_of, marker_of, new_figure
from pinnlab.reporting.histories import Curve, Run

SPAN = 30
"""Where the longest run is so many times as long as the shortest, time is logarithmic, too."""


def comparison_figure(runs: Sequence[Run]) -> Figure:
    """Shows how error and loss of runs fell: against evaluations on two logarithmic axes, against seconds on one.

    A curve ends in a mark, at what the summary says. Without a reference in any run there are two panels of the loss.

    Args:
        runs: at least one.
    """
    kinds: list[tuple[str, Callable[[Run], Curve | None]]] = [("total loss", lambda run: run.loss)]
    if any(run.error is not None for run in runs):
        kinds.insert(0, ("relative L2 error", lambda run: run.error))
    legend = 0.22 * len(runs)
    figure = new_figure(10, 3.4 * len(kinds) + 0.3 + legend)
    panels = figure.subplots(len(kinds), 2, squeeze=False)
    for (left, right), (label, curve_of) in zip(panels, kinds, strict=True):
        for k, run in enumerate(runs):
            curve = curve_of(run)
            if curve is not None:
                _draw(left, curve.evaluations, curve.values, k, f"{k + 1}  {run.name}")
                _draw(right, curve.seconds, curve.values, k, None)
        left.set_ylabel(label)
        right.sharey(left)
        left.set_xscale("log")
        right.set_xscale("log" if _is_wide([run.summary["seconds"] for run in runs]) else "linear")
        for axes, name in ((left, "evaluations of the loss"), (right, "seconds of training")):
            axes.set_yscale("log")
            axes.set_xlabel(name)
            axes.grid(alpha=0.25)
    handles, labels = panels[-1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False)
    return figure


def _draw(axes: Axes, x: Any, y: Any, number: int, label: str | None) -> None:
    """A line with a mark at its end, where the values are positive."""
    seen = (y > 0) & (x > 0)
    style: dict[str, Any] = {"color": colour_of(number), "marker": marker_of(number), "linewidth": 1.3, "markersize": 6}
    ends = [int(seen.sum()) - 1] if seen.any() else []
    axes.plot(x[seen], y[seen], markevery=ends, label=label, **style)


def _is_wide(seconds: Sequence[float]) -> bool:
    return max(seconds) > SPAN * max(min(seconds), 1e-9)
