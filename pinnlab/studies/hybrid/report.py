"""What the study of hybrids found: errors by budget, paired comparisons, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import markdown_table, mean_interval, wrapped

PAIRS = {
    "adam": ("adam_lbfgs", "adam"),
    "lbfgs": ("adam_lbfgs", "lbfgs"),
    "before_broyden": ("adam_ssbroyden", "ssbroyden"),
    "hybrids": ("adam_ssbroyden", "adam_lbfgs"),
    "broyden": ("ssbroyden", "lbfgs"),
}
"""Who is compared to whom, seed by seed; the names are those in `READING`."""


def write_report(rows: Sequence[Row], folder: Path, at: Sequence[int]) -> list[Path]:
    """Writes `hybrid.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        at: the evaluations at which errors were measured.

    Returns:
        The files.
    """
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    failed = sum(row["status"] != DONE for row in rows)
    seeds = len({row["seed"] for row in rows})
    parts = [HEAD.format(runs=len(rows), seeds=seeds, budget=at[-1], failed=failed or "none")]
    for problem in problems:
        own = [row for row in rows if row["problem"] == problem]
        parts += [f"## {problem}\n", _errors(own, at), _pairs(own)]
    parts += ["![Error by evaluations](hybrid.png)\n", *_reading(rows)]
    report, figure = folder / "hybrid.md", folder / "hybrid.png"
    report.write_text("\n".join(parts))
    _draw(rows, problems, at, figure)
    return [report, figure]


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

- The survey advises to leave Adam when the norm of its gradient settles. With a constant rate it seldom does: 18 of 24
  runs on eight problems never switched in 4,000 evaluations. [Which criteria work](switching.md) is
  a study of its own, the ablation that the survey asks for.
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


def compared(rows: Sequence[Row], problem: str, one: str, other: str) -> Comparison | None:
    """Compares two settings on the seeds that both have; None without any."""
    errors = {(row["setting"], row["seed"]): float(row["relative_l2"]) for row in _done(rows, problem)}
    logs = [
        math.log(error / errors[other, seed])
        for (setting, seed), error in errors.items()
        if setting == one and (other, seed) in errors
    ]
    if not logs:
        return None
    mean, half = mean_interval(logs)
    wins = sum(log < 0 for log in logs)
    return Comparison(math.exp(mean), math.exp(mean - half), math.exp(mean + half), wins, len(logs))


def _done(rows: Sequence[Row], problem: str) -> list[Row]:
    return [row for row in rows if row["problem"] == problem and row["status"] == DONE]


def _reading(rows: Sequence[Row]) -> list[str]:
    """The conclusions; none from a part of the runs."""
    facts = {
        f"{name}_{problem.removeprefix('poisson')}": compared(rows, problem, *pair)
        for problem in ("poisson1d", "poisson2d")
        for name, pair in PAIRS.items()
    }
    return [] if None in facts.values() else ["## What follows\n", wrapped(READING.format(**facts))]


def _curves(rows: Sequence[Row], setting: str, at: Sequence[int]) -> list[list[float]]:
    """The errors of each seed at the budgets; runs that failed or ended early have none."""
    done = (numbers(row["errors"]) for row in rows if row["setting"] == setting and row["status"] == DONE)
    return [curve for curve in done if len(curve) == len(at)]


def _errors(rows: Sequence[Row], at: Sequence[int]) -> str:
    """Medians over the seeds at every budget, and best and worst seed at the last one."""
    lines = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        curves = _curves(rows, setting, at)
        if not curves:
            continue
        medians = [statistics.median(values) for values in zip(*curves, strict=True)]
        last = [curve[-1] for curve in curves]
        own = [row for row in _done(rows, rows[0]["problem"]) if row["setting"] == setting]
        kept = statistics.median(int(row["switched_at"]) for row in own)
        line = [setting, *(f"{m:.1e}" for m in medians), f"{min(last):.1e} to {max(last):.1e}", f"{kept:.0f}"]
        lines.append((medians[-1], line))
    heading = ["setting", *(f"{n}" for n in at), "best to worst", "with Adam"]
    return markdown_table(heading, [line for _, line in sorted(lines)])


def _pairs(rows: Sequence[Row]) -> str:
    """All comparisons on one problem."""
    lines = []
    for one, other in PAIRS.values():
        if (found := compared(rows, rows[0]["problem"], one, other)) is not None:
            interval = f"{found.low:.2g} to {found.high:.2g}"
            cells = (f"{found.ratio:.2g}", interval, f"{found.wins} of {found.seeds}")
            lines.append([f"{one} / {other}", *cells])
    return markdown_table(["error of / error of", "ratio", "95 % interval", "first is better"], lines)


def _draw(rows: Sequence[Row], problems: Sequence[str], at: Sequence[int], path: Path) -> None:
    """Error against evaluations: medians, and the range of the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(problems), 4.2), layout="constrained")
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    for axes, problem in zip(panels, problems, strict=True):
        own = [row for row in rows if row["problem"] == problem]
        for number, setting in enumerate(dict.fromkeys(row["setting"] for row in own)):
            curves = list(zip(*_curves(own, setting, at), strict=True))
            if not curves:
                continue
            medians = [statistics.median(values) for values in curves]
            axes.loglog(at, medians, color=f"C{number}", marker="o", ms=3, label=setting)
            axes.fill_between(at, [min(v) for v in curves], [max(v) for v in curves], color=f"C{number}", alpha=0.12)
        axes.set(title=problem, xlabel="evaluations of loss and gradient", ylabel="relative L2 error")
        axes.set_xticks(at, [str(n) for n in at])
        axes.minorticks_off()
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
