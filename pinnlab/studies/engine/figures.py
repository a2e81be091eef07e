"""Parts of figures that several reports have."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import median_curve


def panels(lines: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, list[Any]]:
    """A figure of Matplotlib's and its axes, line by line.

    Args:
        lines: of panels.
        columns: of panels.
        width: of the figure in inches.
        height: of the figure in inches.
        options: of `Figure.subplots`.
    """
    from matplotlib.figure import Figure  # here, because runs do not need it

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(lines, columns, squeeze=False, **options).flat)


def draw_dots(
    axes: Any, values: Mapping[str, Sequence[float]], average: Callable[[Sequence[float]], float] = statistics.median
) -> None:
    """Draws numbers by name, the first name on top: a dot for each, a bar for their average."""
    for place, own in enumerate(list(values.values())[::-1]):
        axes.scatter(own, [place] * len(own), s=18, color="tab:blue", alpha=0.6)
        axes.plot([average(own)] * 2, [place - 0.35, place + 0.35], color="black", lw=2)
    axes.set_yticks(range(len(values)), list(values)[::-1])


def draw_range(
    axes: Any, x: Sequence[float], curves: Sequence[Sequence[float]], color: str, shade: float, **options: Any
) -> None:
    """Draws the median of curves on logarithmic axes, and the range between the lowest and the highest.

    Args:
        axes: where to.
        x: the places of what is in the curves, or more.
        curves: one for each seed; drawn as far as the shortest goes.
        color: of both.
        shade: how opaque the range is.
        options: of the line of the medians.
    """
    seeds = list(zip(*curves, strict=False))
    shown = x[: len(seeds)]
    axes.loglog(shown, median_curve(curves), color=color, **options)
    axes.fill_between(shown, [min(v) for v in seeds], [max(v) for v in seeds], color=color, alpha=shade)


def draw_progress(runs: Runs, at: Sequence[int], xlabel: str, ylabel: str) -> Any:
    """Draws errors as training goes on, a panel for each problem: medians by setting, and the range of the seeds.

    Args:
        runs: with the column `errors`; those that ended early are left out.
        at: where the errors were measured: evaluations or seconds.
        xlabel: what these are.
        ylabel: what the errors are.

    Returns:
        The figure.
    """
    problems = runs.by("problem")
    figure, grid = panels(1, len(problems), 5.5 * len(problems), 4.2)
    for axes, (problem, found) in zip(grid, problems.items(), strict=True):
        for number, (setting, own) in enumerate(found.by("setting").items()):
            if curves := own.complete_curves("errors", len(at)):
                draw_range(axes, at, curves, f"C{number}", shade=0.12, marker="o", ms=3, label=setting)
        axes.set(title=problem, xlabel=xlabel, ylabel=ylabel)
        axes.set_xticks(at, [str(n) for n in at])
        axes.minorticks_off()
    grid[0].legend(fontsize=8)
    return figure


def draw_settings(runs: Runs, columns: Mapping[str, tuple[str, str]]) -> Any:
    """Draws numbers by setting, a line of panels for each problem: a dot for each seed, a bar for their median.

    Args:
        runs: the one with the lowest median error is on top.
        columns: what each panel shows, with the label and the scale of its axis.

    Returns:
        The figure.
    """
    problems = runs.by("problem")
    height = 0.3 * len(runs.settings) * len(problems) + 1.2
    figure, grid = panels(len(problems), len(columns), 10, height)
    places = iter(grid)
    for problem, own in problems.items():
        for column, (label, scale) in columns.items():
            axes = next(places)
            draw_dots(axes, {setting: found.values(column) for setting, found in own.ranked()})
            axes.set_xscale(scale)
            axes.set_title(problem, fontsize=10)
            axes.set_xlabel(label)
    return figure
