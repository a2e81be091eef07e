"""What the study of batches found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pinnlab.studies.engine.recording import numbers, settled
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import errors_by_case, markdown_table, medians, wrapped

FULL = "full"

PROBLEMS = {
    "poisson2d": "Poisson2D, Adam alone",
    "burgers": "Burgers, Adam and then self-scaled Broyden on all points",
    "burgers_ladder": "Burgers, with fewer points for both at first",
}

COMPARED = {"burgers_ladder": "burgers"}
"""Problems that are judged by the full batches of another one."""


def write_report(rows: Sequence[Row], folder: Path, budget: int, marks: Sequence[int]) -> list[Path]:
    """Writes `batches.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        budget: points seen in a run.
        marks: points seen at which its error was measured.

    Returns:
        The files.
    """
    problems, settings = (list(dict.fromkeys(row[key] for row in rows)) for key in ("problem", "setting"))
    seeds = len({row["seed"] for row in rows})
    parts = [wrapped(HEAD.format(runs=len(rows), seeds=seeds, budget=budget / 1e6)), "## Errors\n", wrapped(ERRORS)]
    for problem in problems:
        parts += [f"### {PROBLEMS.get(problem, problem)}\n", _errors(rows, problem, settings, budget, marks)]
    parts += [
        "![Errors against points seen](batches.png)\n",
        "## What follows\n",
        wrapped(READING.format(**_facts(rows, budget, marks))),
    ]
    report, figure = folder / "batches.md", folder / "batches.png"
    report.write_text("\n".join(parts))
    _draw(rows, problems, settings, marks, figure)
    return [report, figure]


HEAD = """# Batches that grow

A first-order method far from the solution learns from a hundred points what it would learn from ten thousand. Do
batches that grow reach the error of full batches with fewer evaluations of points? {runs} runs with {seeds} seeds,
each with {budget:.0f} million points seen, rows of all conditions together; 10,000 points at last, Adam's learning
rate 5e-3, float64.

`full` takes all points in each step of Adam, `mini_256` takes 256 of each condition. The others begin with 64:
`geometric` doubles every 200 steps, `linear` adds 64 every 100 steps (rounded down to 64 times a power of 2),
`norm_test` doubles when the gradient is mostly noise, asked every 100 steps.

Poisson's equation is trained with Adam alone. On Burgers' equation there are 300 steps of Adam and then self-scaled
Broyden, which takes all points in any case. So there is a ladder, too: 4,000 points for 1,200 steps of Adam and 200 of
self-scaled Broyden, and then 10,000 others (`Phase(points=...)`).

`pinnlab study batches` makes the runs (`batches.csv`), or those that are missing, and writes this page from them. The
cores were shared with other work, so that seconds are orders of magnitude.
"""

ERRORS = """Relative L2 errors against the reference on 20,000 points: median of the seeds, lowest and highest. *Gain*:
the error of `full` over that of the setting (medians). *Saving*: how many times fewer points the run had seen when its
error fell below the last one of `full` with the same seed, for good; the median of the seeds, 0 where it did not. The
ladder is compared with `full` without one. Evaluations and seconds are medians, too.
"""

READING = """\
- For a method of first order, growing batches are worth several times their points: with Adam alone on Poisson's
equation `geometric` gets below the last error of full batches, for good, after {poisson2d:.1f} times fewer points.
Fixed small batches get there as early, but do not stay there: the error of `mini_256` still changes by factors of up
to {jump:.0f} between two looks in the second half of the run. A batch that grows is small while that is enough, and
quiet at the end.

- Where a quasi-Newton method does the work, there is less to save: on Burgers' equation full batches spend 3 of 8
million points on Adam, growing ones less than 0.1, and that is the saving, {burgers:.1f}. The error at the end of the
budget is {gain:.1f} times lower.

- The quasi-Newton method's points can grow, too. Its matrix lives through the change (`SSBroyden` keeps it where it is
sound), and on the ladder `geometric` needs {ladder:.1f} times fewer points for the last error of full batches; at the
end of the budget its own is {ladder_gain:.1f} times lower. The ladder without small batches for Adam gains
{ladder_full:.1f}: both are needed. Fixed batches for Adam do nearly as well there, because what they do not settle
self-scaled Broyden does.

- `linear` and `norm_test` are better than full batches, too. With Adam alone `linear` has the lowest median at the end,
the largest spread, and saves less on the way than `geometric`, which is ahead where a quasi-Newton method follows. On
Burgers' equation alone 300 steps are too few to tell them apart.

What this does not show: batches for quasi-Newton methods themselves (`MultiBatchLBFGS`), other learning rates, and
problems that need many more points.
"""


def _facts(rows: Sequence[Row], budget: int, marks: Sequence[int]) -> dict[str, float]:
    """The numbers in the text."""
    errors = medians(rows)
    late = [curve[len(marks) // 2 :] for curve in _curves(rows, "poisson2d", "mini_256")]
    jumps = [max(a / b, b / a) for curve in late for a, b in itertools.pairwise(curve)]

    def saving(problem: str) -> float:
        return statistics.median(savings(rows, problem, "geometric", budget, marks) or [math.nan])

    def gain(problem: str, setting: str) -> float:
        return errors.get(_measure_of(problem), math.nan) / errors.get((problem, setting), math.nan)

    return {
        "poisson2d": saving("poisson2d"), "burgers": saving("burgers"), "ladder": saving("burgers_ladder"),
        "jump": max(jumps, default=math.nan), "gain": gain("burgers", "geometric"),
        "ladder_gain": gain("burgers_ladder", "geometric"), "ladder_full": gain("burgers_ladder", FULL),
    }  # fmt: skip


def savings(rows: Sequence[Row], problem: str, setting: str, budget: int, marks: Sequence[int]) -> list[float]:
    """For each seed the budget over the points after which a run stays below the last error of full batches.

    Args:
        rows: the runs.
        problem: of the setting.
        setting: the one to judge.
        budget: points seen in a run.
        marks: points seen at which errors were measured.

    Returns:
        Numbers above or equal to 1; 0 where a run ends above it.
    """
    done = [row for row in rows if row["status"] == DONE]
    goal = {row["seed"]: float(row["relative_l2"]) for row in done if _case(row) == _measure_of(problem)}
    own = [row for row in done if _case(row) == (problem, setting) and row["seed"] in goal]
    return [budget / settled(marks, numbers(row["curve"]), goal[row["seed"]]) for row in own]


def _case(row: Row) -> tuple[str, str]:
    return row["problem"], row["setting"]


def _measure_of(problem: str) -> tuple[str, str]:
    """The case whose error is to be reached."""
    return COMPARED.get(problem, problem), FULL


def _errors(rows: Sequence[Row], problem: str, settings: Sequence[str], budget: int, marks: Sequence[int]) -> str:
    errors, lines = errors_by_case(rows), []
    others = {column: medians(rows, column) for column in ("evaluations", "seconds")}
    goal = statistics.median(errors[_measure_of(problem)])
    for setting in settings:
        own = errors[problem, setting]
        error = statistics.median(own)
        saving = statistics.median(savings(rows, problem, setting, budget, marks) or [math.nan])
        texts = [f"{value:.1e}" for value in (error, min(own), max(own))]
        texts += ["1", "1"] if (problem, setting) == _measure_of(problem) else [f"{goal / error:.2g}", f"{saving:.1f}"]
        counts = [f"{values[problem, setting]:.0f}" for values in others.values()]
        lines.append((error, [f"`{setting}`", *texts, *counts]))
    heading = ["batches", "relative L2", "lowest", "highest", "gain", "saving", "evaluations", "seconds"]
    return markdown_table(heading, [line for _, line in sorted(lines)])


def _draw(
    rows: Sequence[Row], problems: Sequence[str], settings: Sequence[str], marks: Sequence[int], path: Path
) -> None:
    """Median errors over the seeds against points seen, a panel for each problem."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(problems), 3.6), layout="constrained")
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    for axes, problem in zip(panels, problems, strict=True):
        for setting in settings:
            curve = _median_curve(rows, problem, setting)
            axes.plot([mark / 1e6 for mark in marks[: len(curve)]], curve, label=setting)
        axes.set_yscale("log")
        axes.set_title(problem, fontsize=10)
        axes.set_xlabel("million points seen")
    panels[0].set_ylabel("relative L2 error")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _median_curve(rows: Sequence[Row], problem: str, setting: str) -> list[float]:
    return [statistics.median(values) for values in zip(*_curves(rows, problem, setting), strict=False)]


def _curves(rows: Sequence[Row], problem: str, setting: str) -> list[list[float]]:
    return [numbers(row["curve"]) for row in rows if _case(row) == (problem, setting) and row["status"] == DONE]
