"""What the study of ladders found: errors by processor time, each ladder against as many numbers from the start."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.multilevel.runs import AT, FIRST, NARROW, RUNG, STUDY

TITLES: Mapping[str, str] = {
    "smooth": "Smooth: Poisson's equation on a square",
    "multiscale": "Of many scales: Poisson's equation on an interval, frequencies 1 to 64",
    "burgers": "Not linear: Burgers' equation with a viscosity of 0.01",
}
PAIRS = (("widths", "one"), ("levels", "windows"), ("ladder", "windows"), ("ladder", "levels"))
"""Each ladder, and what it is compared with seed by seed."""
SIZES = {"end": AT[-1], "first": FIRST, "narrow": NARROW, "rung": RUNG}
FACTOR = 1.5
"""A ladder that is ahead by less pays nowhere: seeds differ by more."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `multilevel.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    failed = len(runs) - len(runs.done)
    page.add(f"# {TITLE}\n")
    page.section("In short", if_made(_advice, runs.done))
    page.section(
        "What was run",
        wrapped(HEAD.format(failed=failed or "none", seeds=len(runs.seeds), runs=len(runs), **SIZES)),
    )
    for problem in STUDY.problems:
        page.section(TITLES[problem], if_made(_errors, runs.done.of(problem=problem)))
    page.figure("Error by processor time", if_made(_figure, runs.done))
    page.section("Ladders against as many numbers from the start", AGAINST, if_made(_against, runs.done))
    return page.write(folder)


TITLE = "Where does a ladder pay?"
HEAD = """\
From few neurons to many, from few windows to many, or from the start on with all of them? {runs} runs; failed:
{failed}; seeds of points and weights: {seeds}. Each run ends after {end} seconds of one processor core, uncompiled,
without measuring. Every setting of a problem has about as many numbers in all (660 to 820), the same fixed points and
the same method, Levenberg-Marquardt; of windows through the sparse Jacobian, but for the few of a first rung.

- `one`: one network of two hidden layers, from the start.

- `widths`: the same; the first {narrow} neurons of each layer are trained for {first} steps first (`width` of a phase).
  What follows starts from the same function; the damping starts anew. No optimizer carries its state over.

- `windows`: `Subdomains` on one grid, from the start.

- `levels`: two grids whose sum is the solution (`levels: 2`), trained together from the start.

- `ladder`: the coarse grid of `levels` for {rung} second, then frozen, and the fine one as a `Correction` of it.

`pinnlab study multilevel` makes the runs and writes this page.
"""
AGAINST = """\
The error of as many numbers from the start over that of the ladder, at equal time: the geometric mean over the seeds,
and in brackets the lowest and the highest. Above 1 the ladder is ahead.
"""


def error_after(row: Row, seconds: float) -> float:
    """The error of a run after so many seconds of the processor, at the end of the step that was under way then."""
    return numbers(row["errors"])[AT.index(seconds)]


def _errors(runs: Runs) -> str:
    """Medians over the seeds at every time, and the range at the last."""
    lines = []
    for setting in STUDY.settings:
        if not (own := runs.of(setting=setting)).rows:
            continue
        medians = [f"{statistics.median(error_after(row, s) for row in own):.1e}" for s in AT]
        ends = [error_after(row, AT[-1]) for row in own]
        lines.append([f"`{setting}`", str(len(own)), *medians, f"{min(ends):.1e}", f"{max(ends):.1e}"])
    if not lines:
        raise LookupError("no runs")
    return markdown_table(["setting", "seeds", *(f"{s} s" for s in AT), "lowest", "highest"], lines)


def gains(runs: Runs, problem: str, ladder: str, flat: str, seconds: float) -> list[float]:
    """The errors of one setting over those of another, seed by seed, of those seeds that have both."""
    own, found = runs.of(problem=problem), []
    for seed in own.seeds:
        pair = [own.of(setting=setting, seed=seed).rows for setting in (flat, ladder)]
        if all(pair):
            found.append(error_after(pair[0][0], seconds) / error_after(pair[1][0], seconds))
    return found


def _against(runs: Runs) -> str:
    lines = []
    for problem in runs.problems:
        for ladder, flat in PAIRS:
            cells = []
            for seconds in AT:
                found = gains(runs, problem, ladder, flat, seconds)
                mean = statistics.geometric_mean(found)
                cells.append(f"{mean:.2g} ({min(found):.2g} to {max(found):.2g})")
            lines.append([f"{problem}: `{ladder}` over `{flat}`", *cells])
    return markdown_table(["", *(f"{s} s" for s in AT)], lines)


def verdict(found: list[float]) -> str:
    """What gains say of a ladder: all seeds have to agree."""
    if min(found) > FACTOR:
        return "ahead"
    return "behind" if max(found) < 1 / FACTOR else "no clear difference"


def _advice(runs: Runs) -> str:
    """A table of verdicts at the first and the last time; and in how many cases each ladder was ahead."""
    lines, counts = [], dict.fromkeys(("widths", "levels", "ladder"), 0)
    for problem in STUDY.problems:
        cells = []
        for ladder, flat in PAIRS[:3]:
            found = [verdict(gains(runs, problem, ladder, flat, seconds)) for seconds in (AT[0], AT[-1])]
            counts[ladder] += found[1] == "ahead"
            cells.append(found[0] if found[0] == found[1] else f"{found[0]}, then {found[1]}")
        lines.append([TITLES[problem].partition(":")[0], *cells])
    heading = ["", "`widths` against `one`", "`levels` against `windows`", "`ladder` against `windows`"]
    advice = SOMEWHERE if any(counts.values()) else NOWHERE
    told = advice + ADVICE.format(end=AT[-1], begin=AT[0], factor=FACTOR, problems=len(STUDY.problems), **counts)
    return wrapped(told) + "\n" + markdown_table(heading, lines)


NOWHERE = """\
**Train all neurons and windows from the start.** No ladder is ahead in the end on any of the problems; a coarse start
can pay where a run ends before it has converged.

"""
SOMEWHERE = """\
**A ladder pays on some problems only**: try it against all neurons and windows from the start.

"""
ADVICE = """\
At the end, a coarse start in width is ahead of as many neurons from the start on {widths} of {problems} problems, two
levels of windows trained together on {levels}, and a ladder of frozen windows on {ladder}. Ahead means with every seed,
and by more than a factor of {factor}. The table says it after {begin} and after {end} seconds.
"""


def _figure(runs: Runs) -> Any:
    """Errors of single runs against their time, a panel for each problem."""
    problems = runs.by("problem")
    figure, grid = panels(1, len(problems), 5.0 * len(problems), 4.2)
    for axes, (problem, own) in zip(grid, problems.items(), strict=True):
        for number, (setting, found) in enumerate(own.by("setting").items()):
            for row in found:
                label = setting if row is found.rows[0] else None
                axes.loglog(AT, numbers(row["errors"]), "o-", color=f"C{number}", ms=4, lw=1, label=label)
        axes.set(title=problem, xlabel="processor time in seconds", ylabel="relative L2 error")
    grid[-1].legend(fontsize=8)
    return figure
