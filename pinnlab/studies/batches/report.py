"""What the study of batches found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.batches.runs import BUDGET, MARKS, STUDY
from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers, settled
from pinnlab.studies.engine.report import Page, markdown_table, spread, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import median_curve

FULL = "full"

TITLES = {
    "poisson2d": "Poisson2D, Adam alone",
    "burgers": "Burgers, Adam and then self-scaled Broyden on all points",
    "burgers_ladder": "Burgers, with fewer points for both at first",
}

COMPARED = {"burgers_ladder": "burgers"}
"""Problems that are judged by the full batches of another one."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `batches.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(wrapped(HEAD.format(runs=len(runs), seeds=len(runs.seeds), budget=BUDGET / 1e6)))
    page.section("Errors", wrapped(ERRORS))
    for problem in runs.problems:
        page.section(TITLES.get(problem, problem), _errors(runs, problem), level=3)
    page.figure("Errors against points seen", _figure(runs))
    page.section("What follows", wrapped(READING.format(**_facts(runs))))
    return page.write(folder)


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


def _full(runs: Runs, problem: str) -> Runs:
    """The runs whose error is to be reached."""
    return runs.of(problem=COMPARED.get(problem, problem), setting=FULL)


def savings(rows: Iterable[Row], problem: str, setting: str, budget: int, marks: Sequence[int]) -> list[float]:
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
    done = Runs(rows).done
    goal = {row["seed"]: float(row["relative_l2"]) for row in _full(done, problem)}
    own = [row for row in done.of(problem=problem, setting=setting) if row["seed"] in goal]
    return [budget / settled(marks, numbers(row["curve"]), goal[row["seed"]]) for row in own]


def _saving(runs: Runs, problem: str, setting: str) -> float:
    return statistics.median(savings(runs, problem, setting, BUDGET, MARKS) or [math.nan])


def _facts(runs: Runs) -> dict[str, float]:
    """The numbers in the text."""
    late = [curve[len(MARKS) // 2 :] for curve in runs.of(problem="poisson2d", setting="mini_256").curves("curve")]
    jumps = [max(a / b, b / a) for curve in late for a, b in itertools.pairwise(curve)]

    def gain(problem: str, setting: str) -> float:
        return _full(runs, problem).median() / runs.of(problem=problem, setting=setting).median()

    names = {"poisson2d": "poisson2d", "burgers": "burgers", "ladder": "burgers_ladder"}
    return {
        **{name: _saving(runs, problem, "geometric") for name, problem in names.items()},
        "jump": max(jumps, default=math.nan), "gain": gain("burgers", "geometric"),
        "ladder_gain": gain("burgers_ladder", "geometric"), "ladder_full": gain("burgers_ladder", FULL),
    }  # fmt: skip


def _errors(runs: Runs, problem: str) -> str:
    goal, lines = _full(runs, problem).median(), []
    for setting, own in runs.of(problem=problem).ranked():
        gains = [f"{goal / own.median():.2g}", f"{_saving(runs, problem, setting):.1f}"]
        if setting == FULL and problem not in COMPARED:
            gains = ["1", "1"]
        counts = [f"{own.median(column):.0f}" for column in ("evaluations", "seconds")]
        lines.append([f"`{setting}`", *spread(own.values()), *gains, *counts])
    heading = ["batches", "relative L2", "lowest", "highest", "gain", "saving", "evaluations", "seconds"]
    return markdown_table(heading, lines)


def _figure(runs: Runs) -> Any:
    """Median errors over the seeds against points seen, a panel for each problem."""
    problems = runs.by("problem")
    figure, grid = panels(1, len(problems), 3.4 * len(problems), 3.6)
    for axes, (problem, found) in zip(grid, problems.items(), strict=True):
        for setting in runs.settings:
            curve = median_curve(found.of(setting=setting).curves("curve"))
            axes.plot([mark / 1e6 for mark in MARKS[: len(curve)]], curve, label=setting)
        axes.set_yscale("log")
        axes.set_title(problem, fontsize=10)
        axes.set_xlabel("million points seen")
    grid[0].set_ylabel("relative L2 error")
    grid[0].legend(fontsize=8)
    return figure
