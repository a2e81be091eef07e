"""What the study of noise found: errors by the size of the noise, what was over-fitted, what refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean, median_curve
from pinnlab.studies.noise.runs import BATCHES, CASES, LEVELS, METHODS, PARTS, SIZES, STUDY

LEVEL_NAMES = dict(zip(LEVELS, ("no noise", "1 %", "10 %"), strict=True))
BATCH_NAMES = dict(zip(BATCHES, ("all points", "batches of 256", "batches of 64", "64 new points"), strict=True))

TITLES = {
    "sines": "A sum of sines",
    "pendulum": "The pendulum: two numbers are sought",
    "inverse": "Poisson's equation: a coefficient that varies is sought",
    "poisson": "Poisson's equation",
}

EXACT = ("sines", "poisson")
"""The problems without noise in their data."""

CLEAR = 1.2
"""From which factor on two errors are told apart: less is between seeds, too."""

DRAWN = ("sines_10", "pendulum_10", "inverse_10", "sines_b64", "poisson_b64", "poisson_new64")


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `noise.md` and its figure into a folder; returns the files."""
    runs, page = Runs(map(_with_lowest, rows)), Page(STUDY.name)
    page.add(wrapped(HEAD.format(runs=len(runs), seeds=len(runs.seeds), failed=len(runs) - len(runs.done) or "none")))
    if answer := if_made(_answer, runs):
        page.section("The answer in short", *answer)
    page.section("Noise in the data", wrapped(DATA.format(parts=PARTS)))
    for name in SIZES:
        page.section(TITLES[name], *_tables(runs, name, LEVEL_NAMES, ("misfit", "coefficient")), level=3)
    page.section("Noise in the gradient", wrapped(GRADIENT))
    for name in EXACT:
        page.section(TITLES[name], *_tables(runs, name, BATCH_NAMES, ("seconds",)), level=3)
    page.figure("Errors against the budget; dashed are those who take all points, or do so at last", _figure(runs))
    page.section("What this does not show", wrapped(LIMITS))
    return page.write(folder)


HEAD = """# Noise in the data and in the gradient

A survey of optimizers for data-driven and physics-informed networks (arXiv 2601.10222) has it that Adam is robust to
noise and slow at the end, and L-BFGS fast near to the solution and sensitive to noise. Noise comes in two kinds: data
are measured with errors, and a mini-batch has another gradient than all points. What does each do to which method?

{runs} runs with {seeds} seeds of points, weights and noise; failed: {failed}. The networks are 2x20 tanh (one for each
unknown field), all in float64, no weight is tuned. All methods see equally many points, those of all conditions
together; errors are relative L2 errors against the true solution, without noise.

- `adam`: learning rate 5e-3, taken to zero by a cosine; `adam_lbfgs`, `adam_ssbroyden`: Adam with 5e-3 for a quarter of
the budget, then the other one;

- `lbfgs`, `multi_batch` (`MultiBatchLBFGS`), `gauss_newton` (`LevenbergMarquardt`): from the start, as shipped.

`pinnlab study noise` makes the runs (`noise.csv`), or those that are missing, and writes this page from them. The cores
were shared with other work, so that seconds are orders of magnitude.
"""

DATA = """The noise has a standard deviation of 1 % or 10 % of the solution's root mean square. Each run has the budget
of 2,000 evaluations on all points: 100 measurements of u = sin(pi x) + sin(4 pi x) for the sum of sines; 60 of the
angle and 300 points of the equation for the pendulum; 20 x 20 of u and 200 points of the equation for Poisson's (`PInv`
with the strictness 6).

The first table of each problem has the error at the end: median of the seeds, lowest to highest. The second has how
many times its lowest value on the way that is (*ended / lowest*; {parts} looks, the end among them), and the *misfit*:
the root mean square of data minus solution over the noise's deviation. Below 1 the network fits the noise. The
*coefficient*'s error is that of the worse of two numbers, or of a(x, y).
"""

GRADIENT = """Here the data are exact, and the steps are made on batches: all points (512 of the sum of sines, 512 and
128 on the boundary of Poisson's equation on a square), 256 or 64 of each condition out of these, or 64 that are drawn
anew after every step. Each run has the budget of 400 evaluations on all points. `refused`: the method takes all points
in every step, whatever the size of the batches, and its run is that on all points. `all at last`: so does the second
method.

The first table of each problem has the error at the end, the second how many times its lowest value on the way that is,
and the seconds of training.
"""

LIMITS = """Other learning rates of Adam, weights, or stopping by held-out data; networks much larger than the data;
noise that is not normal, or not independent; problems whose points do not fit into memory.
"""


def _with_lowest(row: Row) -> Row:
    """The line with two more cells: the lowest error on the way, and the last one over it."""
    if row["status"] != DONE:
        return {**row, "lowest": "", "grown": ""}
    last = float(row["relative_l2"])
    lowest = min([last, *numbers(row["curve"])])
    return {**row, "lowest": str(lowest), "grown": str(last / lowest)}


def _tables(runs: Runs, name: str, endings: dict[str, str], more: Sequence[str]) -> list[str]:
    """The errors of a problem by method and kind of noise, and what else there is to say."""
    own = {heading: runs.of(problem=f"{name}_{ending}") for ending, heading in endings.items()}
    methods = [method for method in METHODS if any(found.of(setting=method).rows for found in own.values())]
    errors = [[f"`{method}`", *(_cell(found.of(setting=method)) for found in own.values())] for method in methods]
    columns = {"grown": "ended / lowest", **{column: column for column in more}}
    shown = {
        (heading, column): [_number(found.of(setting=method), column) for method in methods]
        for column in columns
        for heading, found in own.items()
    }
    kept = {key: cells for key, cells in shown.items() if any(cells)}
    named = {column: heading for heading, column in reversed(kept)}  # the first of each
    heading = [f"{columns[c]}: {heading}" if named[c] == heading else heading for heading, c in kept]
    others = [[f"`{method}`", *(cells[i] for cells in kept.values())] for i, method in enumerate(methods)]
    return [markdown_table(["method", *own], errors), markdown_table(["method", *heading], others)]


def _cell(own: Runs) -> str:
    """The errors of a method on one kind of noise, or that it refused batches."""
    if not own.rows:
        return ""
    if not own.done.rows:
        return "failed"
    if _refused_all(own):
        return "refused"
    low, high = min(own.values()), max(own.values())
    text = f"{own.median():.1e} ({low:.1e} to {high:.1e})"
    return f"{text}, all at last" if _refused(own) else text


def _refused(own: Runs) -> bool:
    """Whether the last optimizer took all points although batches were asked for."""
    return any(row["refused"] == "1" for row in own.done)


def _refused_all(own: Runs) -> bool:
    """Whether every evaluation took all points although batches were asked for."""
    return _refused(own) and all(int(r["points"]) >= int(r["rows"]) * int(r["evaluations"]) for r in own.done)


def _number(own: Runs, column: str) -> str:
    """The median of a column; empty where no run has it, or all refused."""
    if not any(row[column] for row in own.done) or _refused_all(own):
        return ""
    return f"{own.median(column):.2g}"


ANSWER = """\
- **Noise in the data.** With 10 % the lowest errors at the end are those of {lowest_data}. Adam's median error is
more than {clear} times below that of `lbfgs` in {wins} of {cases} cases{won}.

- **Over-fitting.** Whose median run ends at more than {clear} times its lowest error: with 10 % noise {grown_10};
with 1 % {grown_1}; without noise, where there are only points to fit, {grown_0}.

- **Noise in the gradient.** {refused} in every step, whatever `batch_size` says. With 64 new points at every step,
which nobody can refuse, the lowest errors are those of {lowest_new}.
"""

OVER_METHODS = """How far the methods are apart: the highest of the six median errors over the lowest (geometric mean of
the three problems), at the end and at the lowest on the way; and Adam's error at the end over that of `lbfgs`.
"""

OVER_BATCHES = """What batches do: the error with them over that of the same method on all points. With as many points
seen there are up to eight times as many evaluations, which is why numbers below 1 are no wonder.
"""

NAMES = {"sines": "the sines", "pendulum": "the pendulum", "inverse": "Poisson's coefficient", "poisson": "Poisson"}


def _answer(runs: Runs) -> list[str]:
    """The conclusions, from the rows alone."""
    medians = _medians(runs, "relative_l2")
    ratios = {case: methods["adam"] / methods["lbfgs"] for case, methods in medians.items()}
    measured = [(name, level) for name in SIZES for level in LEVELS]
    won = [f"{NAMES[name]}, {LEVEL_NAMES[level]}" for name, level in measured if ratios[f"{name}_{level}"] * CLEAR < 1]
    text = ANSWER.format(
        lowest_data=_first(medians, SIZES, "10"), wins=len(won), cases=len(measured),
        won=f": {'; '.join(won)}" if won else "",
        clear=CLEAR, **{f"grown_{level}": _grown(runs, level) for level in LEVELS},
        refused=_refusal(runs), lowest_new=_first(medians, EXACT, "new64"),
    )  # fmt: skip
    lowest = _medians(runs, "lowest")
    lines = [
        [LEVEL_NAMES[level], _apart(medians, level), _apart(lowest, level)]
        + [f"{ratios[f'{name}_{level}']:.2g}" for name in SIZES]
        for level in LEVELS
    ]
    heading = ["noise", "apart at the end", "at the lowest", *(f"adam / lbfgs, {NAMES[name]}" for name in SIZES)]
    return [wrapped(text), wrapped(OVER_METHODS), markdown_table(heading, lines), wrapped(OVER_BATCHES), _over(runs)]


def _over(runs: Runs) -> str:
    """Errors in batches over those on all points, by method."""
    cases = [(name, kind) for name in EXACT for kind in BATCHES if kind != "all"]
    lines = []
    for method in METHODS:
        cells = []
        for name, kind in cases:
            own, whole = (runs.of(problem=f"{name}_{ending}", setting=method) for ending in (kind, "all"))
            cells.append("refused" if _refused_all(own) else f"{own.median() / whole.median():.2g}")
        lines.append([f"`{method}`", *cells])
    return markdown_table(["method", *(f"{NAMES[name]}, {BATCH_NAMES[kind]}" for name, kind in cases)], lines)


def _medians(runs: Runs, column: str) -> dict[str, dict[str, float]]:
    """The medians of a column by problem and method.

    Raises:
        KeyError: a problem has not all methods yet.
    """
    found = {case: runs.of(problem=case).by("setting") for case in CASES}
    return {case: {method: own[method].median(column) for method in METHODS} for case, own in found.items()}


def _apart(medians: dict[str, dict[str, float]], level: str) -> str:
    """How many times the lowest error the highest is with noise in the data, over the problems."""
    ratios = [max(found.values()) / min(found.values()) for found in (medians[f"{name}_{level}"] for name in SIZES)]
    return f"{geometric_mean(ratios):.2g}"


def _first(medians: dict[str, dict[str, float]], names: Iterable[str], ending: str) -> str:
    """The method with the lowest error on each problem."""
    found = {name: min(medians[f"{name}_{ending}"].items(), key=lambda item: item[1]) for name in names}
    return _listed(f"`{method}` on {NAMES[name]} ({value:.1e})" for name, (method, value) in found.items())


def _grown(runs: Runs, level: str) -> str:
    """Which methods end well above their lowest error."""
    grown = _medians(runs, "grown")
    parts = []
    for name in SIZES:
        found = {method: value for method, value in grown[f"{name}_{level}"].items() if value > CLEAR}
        if found:
            parts.append(f"{_listed(f'`{method}` {value:.2g}' for method, value in found.items())} on {NAMES[name]}")
    return "; ".join(parts) or "none"


def _refusal(runs: Runs) -> str:
    """Says which methods take all points."""
    methods = [method for method in METHODS if _refused_all(runs.of(setting=method, problem="poisson_b64"))]
    who = _listed(f"`{method}`" for method in methods) if methods else "None"
    return f"{who} {'take' if len(methods) > 1 else 'takes'} all points"


def _listed(items: Iterable[str]) -> str:
    """Words one after the other: a, b and c."""
    *others, last = list(items) or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def _figure(runs: Runs) -> Any:
    """Median errors over the seeds against the budget, a panel for each of six problems."""
    figure, grid = panels(2, 3, 11, 6.6, sharey="row")
    for axes, case in zip(grid, DRAWN, strict=True):
        for number, method in enumerate(METHODS):
            own = runs.of(problem=case, setting=method).done
            curve = median_curve(own.curves("curve"))
            dashed = "--" if _refused(own) else "-"
            axes.plot([k / PARTS for k in range(1, len(curve) + 1)], curve, dashed, color=f"C{number}", label=method)
        axes.set_yscale("log")
        axes.set_title(_title(case), fontsize=10)
    for axes in grid[3:]:
        axes.set_xlabel("part of the budget")
    for axes in grid[::3]:
        axes.set_ylabel("relative L2 error")
    grid[0].legend(fontsize=7)
    return figure


def _title(case: str) -> str:
    name, ending = case.split("_")
    return f"{NAMES[name]}, {f'noise of {LEVEL_NAMES[ending]}' if ending in LEVEL_NAMES else BATCH_NAMES[ending]}"
