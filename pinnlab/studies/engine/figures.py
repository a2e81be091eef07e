"""Figures that several reports have."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.tables import errors_by_case, medians


def draw_settings(
    rows: Sequence[Row],
    problems: Sequence[str],
    settings: Sequence[str],
    columns: Mapping[str, str],
    path: Path,
    logarithmic: Collection[str] = ("relative_l2",),
) -> None:
    """Draws numbers by setting, a line of panels for each problem: a dot for each seed, a bar for their median.

    Args:
        rows: the runs.
        problems: of these.
        settings: the best one is on top, by the median of `relative_l2`.
        columns: what each panel shows, with the label of its axis.
        path: of the file.
        logarithmic: the columns with a logarithmic axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.3 * len(settings) * len(problems) + 1.2), layout="constrained")
    grid = figure.subplots(len(problems), len(columns), squeeze=False)
    errors = medians(rows, "relative_l2")
    for line, problem in enumerate(problems):
        ordered = sorted((s for s in settings if (problem, s) in errors), key=lambda s: errors[problem, s])[::-1]
        for axes, (column, label) in zip(grid[line], columns.items(), strict=True):
            values = errors_by_case(rows, column)
            for place, setting in enumerate(ordered):
                own = values[problem, setting]
                axes.scatter(own, [place] * len(own), s=18, color="tab:blue", alpha=0.6)
                axes.plot([statistics.median(own)] * 2, [place - 0.35, place + 0.35], color="black", lw=2)
            if column in logarithmic:
                axes.set_xscale("log")
            axes.set_yticks(range(len(ordered)), ordered)
            axes.set_title(problem, fontsize=10)
            axes.set_xlabel(label)
    figure.savefig(path, dpi=110)
