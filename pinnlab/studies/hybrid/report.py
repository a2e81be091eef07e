"""What the study of hybrids found: errors by budget, paired comparisons, a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pinnlab.studies.engine.figures import draw_progress
from pinnlab.studies.engine.report import Page, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import mean_interval, median_curve
from pinnlab.studies.hybrid.runs import AT, STUDY

PAIRS = {
    "adam": ("adam_lbfgs", "adam"),
    "lbfgs": ("adam_lbfgs", "lbfgs"),
    "before_broyden": ("adam_ssbroyden", "ssbroyden"),
    "hybrids": ("adam_ssbroyden", "adam_lbfgs"),
    "broyden": ("ssbroyden", "lbfgs"),
}
"""Who is compared to whom, seed by seed; the names are those in `READING`."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `hybrid.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    failed = len(runs) - len(runs.done)
    page.add(HEAD.format(runs=len(runs), seeds=len(runs.seeds), budget=AT[-1], failed=failed or "none"))
    for problem, own in runs.by("problem").items():
        page.section(problem, _errors(own.done), _pairs(own))
    page.figure("Error by evaluations", _figure(runs))
    page.section("What follows", _reading(runs))
    return page.write(folder)


HEAD = """# Adam, L-BFGS, or one after the other?

It is common advice to begin with Adam and to finish with L-BFGS: Adam is said to be robust far from the solution, and
L-BFGS fast near to it. A survey of optimizers for such networks (arXiv 2601.10222) has it that the hybrid converges
better than either of its parts. Does it? The other quasi-Newton method here, self-scaled Broyden, is asked as well.

The problems are `poisson1d` (two frequencies, 2 x 32 network, 256 points) and `poisson2d` (2 x 20 network, 256 points
and 64 on the boundary); {runs} runs, {seeds} seeds of points and weights, each with {budget} evaluations of the loss
and its gradient (the last step may take a few more). Runs that failed: {failed}. Everything is float64 on fixed points.

- `adam`: learning rate 5e-3, annealed to zero over the budget by a cosine;
- `lbfgs`, `ssbroyden`: from the first evaluation on, as shipped (history 100, strong Wolfe; dense matrix);
- `adam_lbfgs`, `adam_ssbroyden`: Adam with 5e-3 until the default criterion of a phase, then the other one.

`pinnlab study hybrid` makes the runs and writes this page. The first table of each problem has the median error over
the seeds after so many evaluations, the range of the seeds at the end, and how many evaluations Adam was given. The
second compares the final errors seed by seed: the geometric mean of their ratio (below 1 the first is better).
"""
READING = """\
- **The hybrid beats Adam, and hardly L-BFGS.** With every seed its error is far below that of Adam alone: by a factor
  of {adam_1d.gain:,.0f} in 1-D and {adam_2d.gain:,.0f} in 2-D. Against L-BFGS alone it is {lbfgs_1d.ratio:.2g} times
  the error in 1-D, with an interval from {lbfgs_1d.low:.2g} to {lbfgs_1d.high:.2g}, and {lbfgs_2d.ratio:.2g} times in
  2-D ({lbfgs_2d.low:.2g} to {lbfgs_2d.high:.2g}). So the survey's claim is right about Adam. What improves the final
  accuracy is that a quasi-Newton method comes at all, much more than that Adam came before it.

- **Which quasi-Newton method it is matters a hundred times more.** Self-scaled Broyden's error is
  {broyden_1d.gain:,.0f} and {broyden_2d.gain:,.0f} times smaller than that of L-BFGS, and it has no use for Adam,
  either: {before_broyden_1d.ratio:.2g} times the error after Adam in 1-D ({before_broyden_1d.low:.2g} to
  {before_broyden_1d.high:.2g}), {before_broyden_2d.ratio:.2g} in 2-D ({before_broyden_2d.low:.2g} to
  {before_broyden_2d.high:.2g}).

- **Adam's part is small, and costs time first.** The criterion ends it after 150 to 360 evaluations. At 500 both
  hybrids are still behind in the median; at 2,000 there is little to choose.

- **Robustness was not needed here.** No run without Adam failed or got stuck. These are smooth solutions on fixed
  points; on Burgers' equation, where a front has to be found, L-BFGS after 10 steps of Adam ends at four times the
  error that it has after 300 ([when to leave Adam](switching.md)).

- The survey advises to leave Adam when the norm of its gradient settles. With a constant rate it seldom does by the
  default thresholds: 18 of 24 runs on eight problems never switched in 4,000 evaluations. [Which
  criteria work](switching.md) is a study of its own, the ablation that the survey asks for.
"""


class Comparison(NamedTuple):
    """The errors of one setting over those of another, seed by seed.

    Attributes:
        ratio: their geometric mean.
        low: where its 95 % interval begins.
        high: where it ends.
        wins: seeds with a ratio below 1.
        seeds: how many there are.
    """

    ratio: float
    low: float
    high: float
    wins: int
    seeds: int

    @property
    def gain(self) -> float:
        """How many times smaller the errors of the first setting are."""
        return 1 / self.ratio


def _compared(runs: Runs, one: str, other: str) -> Comparison | None:
    """Compares two settings of a problem on the seeds that both have; None without any."""
    ours, theirs = (
        {row["seed"]: math.log(float(row["relative_l2"])) for row in runs.done.of(setting=s)} for s in (one, other)
    )
    logs = [log - theirs[seed] for seed, log in ours.items() if seed in theirs]
    if not logs:
        return None
    mean, half = mean_interval(logs)
    wins = sum(log < 0 for log in logs)
    return Comparison(math.exp(mean), math.exp(mean - half), math.exp(mean + half), wins, len(logs))


def _reading(runs: Runs) -> str | None:
    """The conclusions; none from a part of the runs."""
    facts = {
        f"{name}_{problem.removeprefix('poisson')}": _compared(runs.of(problem=problem), *pair)
        for problem in ("poisson1d", "poisson2d")
        for name, pair in PAIRS.items()
    }
    return None if None in facts.values() else wrapped(READING.format(**facts))


def _errors(runs: Runs) -> str:
    """Medians over the seeds at every budget, and best and worst seed at the last one."""
    lines = []
    for setting, own in runs.ranked():
        if curves := own.complete_curves("errors", len(AT)):
            last = [curve[-1] for curve in curves]
            medians = [f"{error:.1e}" for error in median_curve(curves)]
            ends = f"{min(last):.1e} to {max(last):.1e}"
            lines.append([setting, *medians, ends, f"{own.median('switched_at'):.0f}"])
    return markdown_table(["setting", *map(str, AT), "best to worst", "with Adam"], lines)


def _pairs(runs: Runs) -> str:
    """All comparisons on one problem."""
    lines = []
    for one, other in PAIRS.values():
        if (found := _compared(runs, one, other)) is not None:
            interval = f"{found.low:.2g} to {found.high:.2g}"
            cells = (f"{found.ratio:.2g}", interval, f"{found.wins} of {found.seeds}")
            lines.append([f"{one} / {other}", *cells])
    return markdown_table(["error of / error of", "ratio", "95 % interval", "first is better"], lines)


def _figure(runs: Runs) -> Any:
    return draw_progress(runs, AT, "evaluations of loss and gradient", "relative L2 error")
