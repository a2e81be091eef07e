"""What the study of decomposition found: errors by processor time, windows against one network, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinnlab.studies.decomposition.runs import AT, STUDY
from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Config, Row
from pinnlab.studies.engine.runs_table import Runs

TITLES: Mapping[str, str] = {
    "poisson1d": "Poisson's equation on an interval, frequencies 1 to 64",
    "poisson2d": "Poisson's equation on a square, frequencies 1 to 16",
    "helmholtz": "The Helmholtz equation on a square, k = 50",
}


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `decomposition.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(HEAD.format(runs=len(runs), line=AT[-2], square=AT[-1], failed=len(runs) - len(runs.done) or "none"))
    for problem in STUDY.problems:
        page.section(TITLES[problem], if_made(_errors, runs.done.of(problem=problem)))
    page.figure("Error by processor time", if_made(_figure, runs.done))
    page.section("Windows against one network", AGAINST, if_made(_against, runs.done))
    page.section("What follows", if_made(_reading, runs.done))
    return page.write(folder)


def error_after(row: Row, seconds: float) -> float:
    """The error of a run after so many seconds of the processor, at the end of the step that was under way then.

    NaN where there is none; once a run has ended its last one. Of least squares only that: they are a step or two.
    """
    if float(row["processor_seconds"]) <= seconds:
        return float(row["relative_l2"])
    if row["setting"].startswith("sines"):
        return math.nan
    measured = dict(zip(AT, numbers(row["errors"]), strict=False))
    return measured.get(int(seconds), math.nan)


def network(config: Config) -> str:
    """A network in a few words."""
    arguments = config["init_args"]
    if config["class_path"] == "Subdomains":
        overlap = f", overlap {arguments['overlap']}" if "overlap" in arguments else ""
        levels = f", {arguments['levels']} levels" if "levels" in arguments else ""
        return f"{arguments['grid']} windows along each coordinate of {network(arguments['network'])}{overlap}{levels}"
    if config["class_path"] == "RandomFeatures":
        return f"{arguments['count']} random sines"
    return f"{' x '.join(map(str, arguments['hidden']))} trained sines"


HEAD = """# Many small networks or one?

`Subdomains` puts a small network into each of many overlapping windows ([many small networks](../subdomains.md)). When
does that beat one network? This study varies how many windows there are, how far they overlap and on how many levels
they lie, at equal numbers of parameters where that could be had and at equal time everywhere, with random sines (their
factors by least squares: both problems are linear) and with trained ones.

{runs} runs; failed: {failed}. Time is that of one processor core, uncompiled, without measuring; a run that trains ends
after {line} seconds in one dimension and {square} in two, or with the step that is under way then; least squares end
after two steps. Settings were chosen on seed 0. The tables have medians over the seeds that there are: the error after
so many seconds, at the end of the step that was under way then (of least squares once they have ended), and in the last
columns where the run ended.

- `sines_...`: random sines, by `LeastSquares`; in windows through the sparse Jacobian.
- `trained_one_lbfgs`, `trained_lbfgs`: 100 steps of Adam, then L-BFGS, on one network and in windows.
- `trained_one`: one network of sines, 100 steps of Adam, then Levenberg-Marquardt on the dense Jacobian.
- `trained_windows` and what follows: Levenberg-Marquardt on the sparse Jacobian, from the initial weights.

Levenberg-Marquardt is damped by 1e-12 at first in all of them, not by 1e-6 as by default: the equation hardly
weighs low frequencies.

`pinnlab study decomposition` makes the runs and writes this page.
"""
AGAINST = """At equal time: the lowest error of one trained network (by either method) over that of windows,
medians over the seeds. Above 1 the windows are ahead.
"""


READING = """\
- **Random sines in windows, one sparse solve**: {gain1:.0e} times below the best trained network on the interval after
  {line} seconds and {gain2:.0e} times on the square after {square}. That is what windows are for where the problem is
  linear; but it is not the windows that do it. {one1} random sines on the whole domain end at {sines1:.0e} on the
  interval (windows: {windows1:.0e}), and {one2} of them at {sines2:.0e} on the square (windows of {numbers2} numbers:
  {windows2:.0e}).

- **What windows save is time**: the sparse solve takes {seconds1:.1f} seconds on the interval where the dense one of as
  many numbers takes {dense1:.1f}. So windows pay where a dense QR does not fit into the time any more, and before that
  do not.

- **Trained windows are ahead at first.** After {early} seconds they are {early_gain:.0f} times below one trained
  network of as many numbers, because a step costs them less, and after {line} seconds {line_gain:.2g} times, because
  long waves pass slowly from window to window; with twice the numbers in two hidden layers ({large} numbers)
  {large_gain:.0f} times. L-BFGS trains neither of the two.
"""


def _errors(runs: Runs) -> str:
    """Medians over the seeds at every time, setting by setting."""
    problem, lines = runs.rows[0]["problem"], []
    for setting in STUDY.settings:
        if not (own := runs.of(setting=setting)).rows:
            continue
        medians = [_cell(_after(own, seconds)) for seconds in AT]
        words = network(STUDY.own[problem, setting]["model"]["network"])
        ends = [f"{own.median():.1e}", f"{own.median('processor_seconds'):.1f}"]
        lines.append([f"`{setting}`", words, own.rows[0]["parameters"], str(len(own)), *medians, *ends])
    heading = ["setting", "network", "numbers", "seeds", *(f"{s} s" for s in AT), "end", "seconds"]
    return markdown_table(heading, lines)


def _after(runs: Runs, seconds: float) -> float:
    """The median error after so many seconds; NaN where a run has none yet."""
    found = [error_after(row, seconds) for row in runs]
    return math.nan if any(map(math.isnan, found)) else statistics.median(found)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1e}"


def best_of_one(runs: Runs, seconds: float) -> float:
    """The lowest error of one trained network after so many seconds; 1 while there is none, as zero would have it."""
    found = [_after(runs.of(setting=setting), seconds) for setting in ("trained_one", "trained_one_lbfgs")]
    return min([value for value in found if not math.isnan(value)], default=1.0)


def _against(runs: Runs) -> str:
    """How far below one trained network windows are at each time."""
    lines = []
    for problem, own in runs.by("problem").items():
        for setting in ("sines_one", "sines_windows", "trained_windows", "trained_large"):
            chosen = own.of(setting=setting)
            if chosen.rows:
                ratios = [best_of_one(own, seconds) / _after(chosen, seconds) for seconds in AT]
                lines.append([f"{problem}, `{setting}`", *("" if math.isnan(r) else f"{r:.1g}" for r in ratios)])
    return markdown_table(["", *(f"{s} s" for s in AT)], lines)


def _figure(runs: Runs) -> Any:
    """Errors of single runs against their time, a panel for each problem."""
    problems = runs.by("problem")
    figure, grid = panels(1, len(problems), 5.5 * len(problems), 4.4)
    for axes, (problem, own) in zip(grid, problems.items(), strict=True):
        for setting, found in own.by("setting").items():
            number, sines = list(STUDY.settings).index(setting), setting.startswith("sines")
            for row in found:
                times = [s for s in AT if s < float(row["processor_seconds"]) and not math.isnan(error_after(row, s))]
                x = [*times, float(row["processor_seconds"])]
                y = [*(error_after(row, s) for s in times), float(row["relative_l2"])]
                style = {"ls": ":", "marker": "s"} if sines else {"ls": "-", "marker": "o"}
                label = setting if row is found.rows[0] else None
                axes.loglog(x, y, color=f"C{number % 10}", ms=4, lw=1, label=label, **style)
        axes.set(title=problem, xlabel="processor time in seconds", ylabel="relative L2 error")
        axes.set_xlim(0.1, 100)
        axes.minorticks_off()
    grid[-1].legend(fontsize=7, ncols=1, loc="lower left")
    return figure


def _reading(runs: Runs) -> str:
    """The conclusions; there are none where one of the runs that they are about is missing."""
    line, square = runs.of(problem="poisson1d"), runs.of(problem="poisson2d")
    early, last = AT[-3], AT[-2]

    def of(own: Runs, setting: str) -> Runs:
        if not (found := own.of(setting=setting)).rows:
            raise LookupError(setting)
        return found

    facts: dict[str, Any] = {"line": last, "square": AT[-1], "early": early}
    for number, own, end in ((1, line, last), (2, square, AT[-1])):
        windows, one = of(own, "sines_windows"), of(own, "sines_one")
        facts[f"gain{number}"] = best_of_one(own, end) / windows.median()
        facts |= {f"one{number}": one.rows[0]["parameters"], f"numbers{number}": windows.rows[0]["parameters"]}
        facts |= {f"sines{number}": one.median(), f"windows{number}": windows.median()}
        facts |= {f"dense{number}": one.median("processor_seconds")}
        facts |= {f"seconds{number}": windows.median("processor_seconds")}
    for name, setting, seconds in (
        ("early", "trained_windows", early),
        ("line", "trained_windows", last),
        ("large", "trained_large", last),
    ):
        facts[f"{name}_gain"] = best_of_one(line, seconds) / _after(of(line, setting), seconds)
    facts["large"] = of(line, "trained_large").rows[0]["parameters"]
    return wrapped(READING.format(**facts))
