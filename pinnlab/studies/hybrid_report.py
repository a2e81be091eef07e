"""What the study of hybrids found: errors by budget, paired comparisons, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pinnlab.studies.recording import numbers
from pinnlab.studies.runner import DONE, Row
from pinnlab.studies.tables import errors_by_case, markdown_table, mean_interval

PAIRS = (
    ("adam_lbfgs", "adam"),
    ("adam_lbfgs", "lbfgs"),
    ("adam_ssbroyden", "ssbroyden"),
    ("adam_ssbroyden", "adam_lbfgs"),
    ("ssbroyden", "lbfgs"),
)
"""Who is compared to whom, seed by seed."""


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
    parts += ["![Error by evaluations](hybrid.png)\n", "## What follows\n", READING]
    report, figure = folder / "hybrid.md", folder / "hybrid.png"
    report.write_text("\n".join(parts))
    _draw(rows, problems, at, figure)
    return [report, figure]


HEAD = """# Adam, L-BFGS, or one after the other?

It is common advice to begin with Adam and to finish with L-BFGS: Adam is said to be robust far from the solution, and
L-BFGS fast near to it. Does the hybrid beat both of its parts? The other quasi-Newton method here, self-scaled
Broyden, is asked the same question.

The problems are `poisson1d` (two frequencies, 2 x 32 network) and `poisson2d` (2 x 20 network); {runs} runs, {seeds}
seeds of points and weights, each with {budget} evaluations of the loss and its gradient (the last step may take a few
more). Runs that failed: {failed}. Everything is float64 on fixed points.

- `adam`: learning rate 5e-3, annealed to zero over the budget by a cosine;
- `lbfgs`, `ssbroyden`: from the first evaluation on, as shipped (history 100, strong Wolfe; dense matrix);
- `adam_lbfgs`, `adam_ssbroyden`: Adam with 5e-3 until the default criterion of a phase, then the other one.

`pinnlab study hybrid` makes the runs and writes this page. The first table of each problem has the median error over
the seeds after so many evaluations, the range of the seeds at the end, and how many evaluations Adam was given. The
second compares the final errors seed by seed: the geometric mean of their ratio (below 1 the first is better).
"""
READING = ""


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
        kept = statistics.median(int(row["switched_at"]) for row in rows if row["setting"] == setting)
        line = [setting, *(f"{m:.1e}" for m in medians), f"{min(last):.1e} to {max(last):.1e}", f"{kept:.0f}"]
        lines.append((medians[-1], line))
    heading = ["setting", *(f"{n}" for n in at), "best to worst", "with Adam"]
    return markdown_table(heading, [line for _, line in sorted(lines)])


def _pairs(rows: Sequence[Row]) -> str:
    """Ratios of final errors, seed by seed: their geometric mean with its interval, and who won how often."""
    errors, lines = errors_by_case(rows), []
    problem = rows[0]["problem"]
    for one, other in PAIRS:
        first, second = errors.get((problem, one), []), errors.get((problem, other), [])
        logs = [math.log(a / b) for a, b in zip(first, second, strict=False) if math.isfinite(a) and math.isfinite(b)]
        if not logs:
            continue
        mean, half = mean_interval(logs)
        interval = f"{math.exp(mean - half):.2g} to {math.exp(mean + half):.2g}"
        wins = sum(log < 0 for log in logs)
        lines.append([f"{one} / {other}", f"{math.exp(mean):.2g}", interval, f"{wins} of {len(logs)}"])
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
