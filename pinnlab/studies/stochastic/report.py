"""What the study of small batches found: errors by the size of a batch, and by where its points lie."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean
from pinnlab.studies.stochastic.runs import CASES, DRAWS, NETWORKS, RATIOS, STUDY

TITLES: Mapping[str, str] = {
    "waves_least_squares": "Poisson's equation, frequencies 1 to 64: random sines by least squares on one batch",
    "waves_gauss_newton": "The same: trained sines by Gauss-Newton steps on new batches",
    "smooth_gauss_newton": "Poisson's equation, smooth: Gauss-Newton steps",
    "smooth_lbfgs": "The same: `LBFGS`, in windows `MultiPreconditionedLBFGS`",
    "smooth_adam": "The same: Adam",
    "sines_adam": "Data of two waves, no equation: Adam",
}
SHARES = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Borders between classes of windows, by points over numbers in the one that sees fewest."""
NEAR = 3.0
"""A batch is large enough where the error is within this factor of the lowest of all sizes."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `stochastic.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(f"# {TITLE}\n")
    page.section("In short", if_made(_advice, runs.done))
    failed = len(runs) - len(runs.done)
    page.section("What was run", wrapped(HEAD.format(runs=len(runs), failed=failed or "none", seeds=len(runs.seeds))))
    page.figure("Error by the size of a batch", if_made(_figure, runs.done))
    page.section("Even batches against random ones", wrapped(EVEN), if_made(_evenness, runs.done))
    page.section("The window that sees fewest", wrapped(FEWEST), if_made(_by_fewest, runs.done))
    for problem in CASES:
        page.section(TITLES[problem], if_made(_errors, runs.done.of(problem=problem)))
    page.section("What this does not show", wrapped(LIMITS))
    return page.write(folder)


TITLE = "How many points does a batch need in windows?"
HEAD = """\
A survey of optimizers (arXiv 2601.10222) asks for guidelines for domain decomposition and multilevel methods in
stochastic training. One network, windows of `Subdomains`, and windows on two levels (`levels: 2`) of about as many
numbers are trained on batches of a few points for their numbers, and of more. {runs} runs; failed: {failed}; seeds of
points and weights: {seeds}. All runs of a table have seen equally many points when they end (60,000; 120,000 for
Gauss-Newton steps on frequencies 1 to 64), so that small batches have made more steps; least squares see one batch.
Errors are relative L2 errors on held-out points.

- The size of a batch is given over the numbers that are trained: 1 is as many points as numbers.

- `random` points lie anywhere, `even` ones are spread by Sobol's sequence, scrambled anew for each batch.

- Gauss-Newton is `LevenbergMarquardt`, in windows on the sparse Jacobian; for frequencies 1 to 64 it is damped by 1e-12
  at first. Adam's rate goes from 5e-3 to zero by a cosine. Boundary values hold exactly; nothing is compiled.

`pinnlab study stochastic` makes the runs and writes this page.
"""
EVEN = """\
The error with random batches over that with even ones, by points over numbers (of least squares half of that): the
geometric mean of the seeds. Above 1, evenness pays.
"""
FEWEST = """\
Why windows mind: a window fits its numbers to the points that it sees, and random points leave some windows with few.
That least squares on random points are stable with as many points as functions, times a logarithm, is known (Cohen,
Davenport and Leviatan, Foundations of Computational Mathematics 13, 2013); windows make it a matter of each of them.
Least squares on one batch, by the points over numbers of the window that sees fewest: the median of the errors, the
highest, and how many runs there are.
"""
LIMITS = """\
Mini-batches out of a fixed set of points (see [noise in data and gradients](noise.md)), points that follow the residual
([points](points.md)), batches that grow ([batches](batches.md)), networks of other sizes, more than two dimensions, and
Schwarz sweeps (`SchwarzGaussNewton`), which solve the systems of the same windows.
"""


def errors_of(runs: Runs, problem: str, network: str, draw: str, ratio: float) -> list[float]:
    """The errors of a setting, one for each seed."""
    return runs.of(problem=problem, setting=f"{network}/{draw}/{ratio:g}").values()


def least_ratio(runs: Runs, problem: str, network: str, draw: str) -> float:
    """The smallest batch from which on the median error is `NEAR` to the lowest of its network, with any draw.

    Larger ones than the best do not count: they have made fewer steps.
    """
    medians = {
        (kind, ratio): statistics.median(errors_of(runs, problem, network, kind, ratio))
        for kind in DRAWS
        for ratio in RATIOS
    }
    lowest = min(medians.values())
    return next((ratio for ratio in RATIOS if medians[draw, ratio] <= NEAR * lowest), float("inf"))


def _shown(problem: str, ratio: float) -> str:
    return f"{ratio if CASES[problem].budget else 2 * ratio:g}" if ratio < float("inf") else "none"


def _advice(runs: Runs) -> str:
    """What to do, and the smallest batch that is large enough for each case, network and draw."""
    lines = []
    for problem in CASES:
        cells = [_shown(problem, least_ratio(runs, problem, network, draw)) for network in NETWORKS for draw in DRAWS]
        lines.append([TITLES[problem], *cells])
    heading = ["", *(f"`{network}`, {draw}" for network in NETWORKS for draw in DRAWS)]
    gains = [
        _gain(runs, problem, network, ratio)
        for problem in ("waves_least_squares", "waves_gauss_newton", "smooth_gauss_newton")
        for network in NETWORKS[1:]
        for ratio in (0.25, 0.5)
    ]
    adam = [
        _gain(runs, problem, network, ratio)
        for problem in ("smooth_adam", "sines_adam")
        for network in NETWORKS
        for ratio in (0.125, 0.5)
    ]
    lbfgs = geometric_mean([_gain(runs, "smooth_lbfgs", n, ratio) for n in NETWORKS for ratio in RATIOS])
    apart = [_apart(runs, "smooth_adam", draw, ratio) for draw in DRAWS for ratio in (0.25, 0.5)]
    levels = geometric_mean(apart)
    told = ADVICE.format(near=NEAR, least=min(gains), most=max(gains), adam=max(adam), lbfgs=lbfgs, levels=levels)
    return wrapped(told) + "\n" + markdown_table(heading, lines)


ADVICE = """\
- **Gauss-Newton steps and least squares: every window needs its points.** Give a step on new points at least half as
  many as there are numbers in all windows, one batch for least squares at least as many as numbers, and spread them
  evenly, as pinnlab does by default. One network makes do with a quarter where the solution is smooth.

- **In windows evenness is worth more than points.** At a quarter and half of the numbers (least squares: half, and as
  many) random batches end {least:.2g} to {most:.2g} times above even ones, because the window with fewest points
  decides; least squares on random points need four times as many for the same.

- **Adam: small batches, in windows or not.** It wants steps, and where the points lie hardly matters: at an eighth and
  half of the numbers at most a factor of {adam:.2g}. L-BFGS wants steps, too; evenness gains it {lbfgs:.2g} times on
  average.

- **Two levels** need as many points as windows, and as even ones. They pay with Adam on a smooth solution: windows on
  one grid hand on slowly what all of them share, and end {levels:.2g} times above two levels (batches of a quarter and
  half of the numbers), which are as good as one network.

The smallest batch, over the numbers that are trained, with which the median error is within a factor of {near:g} of the
lowest that the network reaches with any batch ("none": by even batches only). Least squares in windows go on gaining,
from as many points as numbers on, down to where rounding ends it:
"""


def _gain(runs: Runs, problem: str, network: str, ratio: float) -> float:
    """The error with random batches over that with even ones: the geometric mean of the seeds."""
    return _over(*(errors_of(runs, problem, network, draw, ratio) for draw in DRAWS))


def _apart(runs: Runs, problem: str, draw: str, ratio: float) -> float:
    """The error of windows over that of two levels: the geometric mean of the seeds."""
    return _over(*(errors_of(runs, problem, network, draw, ratio) for network in NETWORKS[1:]))


def _over(errors: Sequence[float], others: Sequence[float]) -> float:
    """Errors over others of the same seeds, the geometric mean."""
    return geometric_mean([a / b for a, b in zip(errors, others, strict=True)])


def _evenness(runs: Runs) -> str:
    lines = [
        [f"{problem}, `{network}`", *(f"{_gain(runs, problem, network, ratio):.2g}" for ratio in RATIOS)]
        for problem in CASES
        for network in NETWORKS
    ]
    return markdown_table(["", *(f"{ratio:g}" for ratio in RATIOS)], lines)


def _by_fewest(runs: Runs) -> str:
    own = [row for row in runs.of(problem="waves_least_squares") if not row["setting"].startswith("one/")]
    lines = []
    for low, high in zip((0.0, *SHARES), (*SHARES, float("inf")), strict=True):
        cells = []
        for network in NETWORKS[1:]:
            found = [
                float(row["relative_l2"])
                for row in own
                if row["setting"].startswith(network) and low <= float(row["fewest"]) < high
            ]
            cells += (
                [f"{statistics.median(found):.1e}", f"{max(found):.1e}", str(len(found))] if found else ["", "", "0"]
            )
        lines.append([f"{low:g} to {high:g}" if high < float("inf") else f"from {low:g} on", *cells])
    heading = [f"{what}" for network in NETWORKS[1:] for what in (f"`{network}`", "highest", "runs")]
    return markdown_table(["points over numbers", *heading], lines)


def _errors(runs: Runs) -> str:
    """Medians over the seeds, by network, draw and size."""
    (problem,) = runs.problems
    lines = []
    for network in NETWORKS:
        for draw in DRAWS:
            cells = []
            for ratio in RATIOS:
                found = errors_of(runs, problem, network, draw, ratio)
                cells.append(f"{statistics.median(found):.1e} ({min(found):.0e} to {max(found):.0e})")
            lines.append([f"`{network}`, {draw}", *cells])
    return markdown_table(["", *(_shown(problem, ratio) for ratio in RATIOS)], lines)


def _figure(runs: Runs) -> Any:
    """Medians against the size of a batch, a panel for each case."""
    figure, grid = panels(2, 3, 15, 8)
    for axes, problem in zip(grid, CASES, strict=True):
        at = [float(_shown(problem, ratio)) for ratio in RATIOS]
        for number, network in enumerate(NETWORKS):
            for draw, line in zip(DRAWS, ("o--", "o-"), strict=True):
                medians = [statistics.median(errors_of(runs, problem, network, draw, ratio)) for ratio in RATIOS]
                axes.loglog(at, medians, line, color=f"C{number}", ms=4, label=f"{network}, {draw}")
        axes.set_xticks(at, [f"{ratio:g}" for ratio in at])
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axes.set(title=problem, xlabel="points of a batch over numbers", ylabel="relative L2 error")
    grid[0].legend(fontsize=8)
    return figure
