"""What the study of precision found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import median_curve
from pinnlab.studies.precision.runs import AT, METHODS, SECONDS, STUDY

TITLES = {
    "poisson1d": "Poisson 1-D, wave numbers 1 and 10, sines 2x20, 600 points",
    "poisson2d": "Poisson 2-D, sines 2x20, 1,500 points",
    "heat": "Heat, sines 2x20, 1,500 points",
    "poisson5d": "Poisson 5-D, one layer of 24 sines, 2,500 points",
    "wave": "Wave, wave numbers 1 and 5, one layer of 40 sines, 2,100 points",
    "burgers_smooth": "Burgers, viscosity 0.01, tanh 3x20, 3,000 points",
    "burgers": "Burgers, viscosity 0.01/pi, tanh 3x20, 3,000 points",
    "allen_cahn": "Allen-Cahn, diffusion 1e-4, tanh 3x20, 3,000 points",
}
SMOOTH = ("poisson1d", "poisson2d", "heat", "poisson5d", "wave")
COLORS = dict(zip(METHODS, ("tab:orange", "tab:green", "tab:purple", "tab:blue"), strict=True))


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `precision.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    counts = {"settings": len(runs.settings), "problems": len(runs.problems), "seeds": len(runs.seeds)}
    page.add(wrapped(HEAD.format(seconds=SECONDS, runs=len(runs), failed=len(runs) - len(runs.done), **counts)))
    page.figure("Error against seconds", if_made(_figure, runs))
    page.section("Errors", ERRORS)
    for problem, own in runs.by("problem").items():
        page.section(TITLES.get(problem, problem), if_made(_errors, own), if_made(_verdict, own), level=3)
    page.section("What follows", if_made(_reading, runs))
    return page.write(folder)


HEAD = """# How many digits, how soon

Four methods, each on fixed points and on residual-based ones: {settings} settings on {problems} problems, {seeds}
seeds, {runs} runs of {seconds} seconds of training each ({failed} failed), float64, one thread, not compiled.

`broyden` is 100 steps of Adam and then self-scaled Broyden, `lm` Levenberg-Marquardt, `natural_gradient` Gauss-Newton
with a damping of 1e-6 and a line search, `target_ratio` Gauss-Newton on singular values with steps by a target for the
gain ratio. With `_rad` the points are drawn anew in proportion to the residual: after 500 evaluations with Broyden, 40
with `lm`, after every step with the natural gradient, 140 evaluations with `target_ratio`. The first five problems are
smooth, and their networks and points those of the recipes `..._tr`; the others have layers.

`pinnlab study precision` makes the runs (`precision.csv`), or those that are missing, and writes this page from them.
The cores were shared with other work: compare within a problem, by factors of ten.
"""

ERRORS = """Relative L2 errors after so many seconds, medians of the seeds; the last columns are the end of the run,
median, lowest and highest. A run that ended before, because no step lowered the loss, keeps its last error.
"""

READING = """\
- On the smooth problems `target_ratio` ends at {smooth:.0e} times the error of the best of the other three (median of
the problems), and is best on {wins} of {problems} of them, on fixed points or on new ones.

- On the problems with layers the best settings are {sharp}. There `target_ratio` needs longer than {seconds} seconds to
get near; whatever is fast far from the solution should go first.

- New points every 140 evaluations change what `target_ratio` ends at by {lost:.2g} (median of the smooth problems: its
error with them over that without). It does not need them there, and can have them.
"""


def _at(own: Runs) -> list[float]:
    """The median errors at the times of `AT`, the last of which is the end; a run that ended early keeps its error."""
    before = len(AT) - 1
    ended = [(numbers(row["errors"])[:before], float(row["relative_l2"])) for row in own.done]
    return median_curve([[*curve, *[end] * (len(AT) - len(curve))] for curve, end in ended])


def _errors(runs: Runs) -> str:
    lines = []
    for setting, own in runs.ranked():
        ends = own.values()
        spread = f"{min(ends):.1e} to {max(ends):.1e}"
        at = [f"{value:.1e}" for value in _at(own)[:-1]]
        lines.append([f"`{setting}`", *at, *["-"] * (len(AT) - 1 - len(at)), f"{own.median():.1e}", spread])
    return markdown_table(["setting", *(f"{second} s" for second in AT[:-1]), "end", "lowest to highest"], lines)


def _verdict(runs: Runs) -> str:
    """The best setting against the best of another method."""
    medians = {setting: own.median() for setting, own in runs.ranked()}
    best = next(iter(medians))
    other = next(setting for setting in medians if _method(setting) != _method(best))
    factor = medians[other] / medians[best]
    return wrapped(f"`{best}` is best, {factor:.2g} times below `{other}`, the best of another method.")


def _method(setting: str) -> str:
    return setting.removesuffix("_rad")


def short_title(problem: str) -> str:
    """The equation of a problem, with its number where there are two of them."""
    equation, number = TITLES[problem].split(", ")[:2]
    return f"{equation}, {number}" if number.startswith("viscosity") else equation


def _reading(runs: Runs) -> str:
    gains, losses, wins = [], [], 0
    for problem in SMOOTH:
        medians = {setting: own.median() for setting, own in runs.of(problem=problem).ranked()}
        own = [value for setting, value in medians.items() if _method(setting) == "target_ratio"]
        others = [value for setting, value in medians.items() if _method(setting) != "target_ratio"]
        gains.append(min(own) / min(others))
        losses.append(medians["target_ratio_rad"] / medians["target_ratio"])
        wins += min(own) < min(others)
    best = [
        f"`{runs.of(problem=problem).ranked()[0][0]}` ({short_title(problem)})"
        for problem in TITLES
        if problem not in SMOOTH
    ]
    factors = {"smooth": statistics.median(gains), "lost": statistics.median(losses)}
    counts = {"seconds": SECONDS, "wins": wins, "problems": len(SMOOTH)}
    return wrapped(READING.format(**factors, **counts, sharp=", ".join(best)))


def _figure(runs: Runs) -> Any:
    problems = runs.by("problem")
    figure, grid = panels(-(-len(problems) // 4), min(4, len(problems)), 14, 3.2 * -(-len(problems) // 4) + 0.4)
    for axes, (problem, own) in zip(grid, problems.items(), strict=False):
        for setting, found in own.by("setting").items():
            values, method = _at(found), _method(setting)
            style = "--" if setting != method else "-"
            axes.loglog(AT[: len(values)], values, style, color=COLORS[method], marker="o", ms=3, label=setting)
        axes.set_title(short_title(problem), fontsize=10)
        axes.set_xlabel("seconds of training")
    grid[0].set_ylabel("relative L2 error")
    grid[0].legend(fontsize=7)
    return figure
