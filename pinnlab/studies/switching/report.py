"""What the study of switching found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from pinnlab.criteria import LossPlateau
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import errors_by_case, geometric_mean, markdown_table, means, regrets

Table = Mapping[str, Mapping[str, float]]

FIXED = "fixed_"
SOLVED = 0.1
"""A relative error above this is no solution: the budget is too short for the problem, or the run failed."""


def write_report(rows: Sequence[Row], folder: Path, recommended: str, budget: int) -> list[Path]:
    """Writes `switching.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        recommended: the setting that has the default criterion.
        budget: evaluations of a run.

    Returns:
        The files.
    """
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    fixed = [s for s in settings if s.startswith(FIXED)]
    criteria = [s for s in settings if s not in fixed]
    table = means(errors_by_case(rows), settings)
    seeds = len({row["seed"] for row in rows})
    parts = [
        HEAD.format(problems=len(table), seeds=seeds, budget=budget, runs=len(rows)),
        "## Errors\n",
        ERRORS,
        _errors(table, fixed, criteria),
        "## Regret\n",
        REGRET,
        _summary(rows, table, fixed, settings),
        "![Regret of every setting](switching.png)\n",
        "## What follows\n",
        READING,
        "## The default\n",
        _default(rows, table, fixed, recommended),
    ]
    report, figure = folder / "switching.md", folder / "switching.png"
    report.write_text("\n".join(parts))
    _draw(table, fixed, settings, figure)
    return [report, figure]


HEAD = """# When to leave Adam

Adam gets near a solution, a quasi-Newton method gets close. When should one hand over to the other? Papers use
a fixed step, found by trial, and name criteria that nobody compared. This study does: {problems} problems,
{seeds} seeds, {runs} runs, each with {budget} evaluations of the loss and its gradient, spent on Adam (learning
rate 5e-3) and then on L-BFGS (history 100, strong Wolfe). Only the moment of the switch differs; evaluations
that a criterion costs (trials, gradients on parts of the loss) are part of the budget.

`pinnlab study switching` makes the runs (`switching.csv`), or those that are missing, and writes this page from
them. Errors are relative L2 errors against the reference at the end of the budget, averaged geometrically over
the seeds. Burgers, wave and Allen-Cahn draw residual-based points every 1,000 evaluations. `fixed_k` switches
after k steps of Adam. Time budgets are left out: on one machine they are fixed steps.
"""

ERRORS = """For each problem the best fixed step, chosen with hindsight, its error, and the error under every criterion.
"""

REGRET = """The ratio of a setting's error to that of the best fixed step of the problem, chosen with hindsight: 1 means
that nobody could have chosen a better step of the sweep. The best of six noisy means is lower than it deserves,
so even a perfect rule has a mean regret above 1. *Failed* counts runs that ended with an error message or
without a finite error; *kept* is the median number of evaluations with Adam.
"""


READING = """- Leave Adam early. Any step from 100 to 1,000 of these 4,000 evaluations is within the noise of the best
  one; what waits for a plateau loses by orders of magnitude, because Adam with a constant rate has none: its loss
  goes on falling, slowly and noisily, for as long as one looks.
- Gradient alignment and signal to noise say "leave" at their first measurement on every problem. Here they are fixed
  steps at a price; alignment is low from the beginning where conditions pull at the same weights.
- A trial of the next optimizer is short-sighted: given a window of 20 steps it leaves Adam as soon as it is asked and
  keeps what it should have undone, on Burgers' equation at ten times the error of the best step. With a window of
  200 steps it does well because it comes late enough.
- L-BFGS is chaotic: a switch 50 steps later changes the error by factors of 2 to 5 either way (Poisson in 1-D), and
  three seeds do not average that out. Mean regrets that differ by less than a factor 1.3 are equal.
"""


def _errors(table: Table, fixed: Sequence[str], criteria: Sequence[str]) -> str:
    lines = []
    for problem, row in table.items():
        best = min((s for s in fixed if s in row), key=row.__getitem__)
        chosen = [f"{row[s]:.1e}" if s in row else "" for s in criteria]
        lines.append([problem, best.removeprefix(FIXED), f"{row[best]:.1e}", *chosen])
    return markdown_table(["problem", "best step", "error", *criteria], lines)


def _summary(rows: Sequence[Row], table: Table, fixed: Sequence[str], settings: Sequence[str]) -> str:
    lines, errors = [], errors_by_case(rows)
    for setting in settings:
        own = [row for row in rows if row["setting"] == setting]
        ratios = regrets(table, setting, fixed)
        worst = max(ratios, key=ratios.__getitem__)
        done = [row for row in own if row["status"] == DONE]
        never = sum(row["switched_at"] == row["evaluations"] for row in done)
        adam = statistics.median(int(row["switched_at"]) for row in done)
        undone = sum(int(row["undone"] or 0) for row in done)
        returns = sum(int(row["returns"] or 0) for row in done)
        mean = geometric_mean(list(ratios.values()))
        failed = sum(not math.isfinite(e) for (_, name), values in errors.items() if name == setting for e in values)
        counts = [f"{adam:.0f}", str(never), str(undone), str(returns), str(failed)]
        lines.append((mean, [setting, f"{mean:.2f}", f"{ratios[worst]:.2f} ({worst})", *counts]))
    regret, counted = (
        ["mean regret", "worst regret"],
        ["kept", "never switched", "trials undone", "went back", "failed"],
    )
    return markdown_table(["setting", *regret, *counted], [line for _, line in sorted(lines)])


def _default(rows: Sequence[Row], table: Table, fixed: Sequence[str], recommended: str) -> str:
    ratios = regrets(table, recommended, fixed)
    mean = geometric_mean(list(ratios.values()))
    worst = sorted(((ratio, problem) for problem, ratio in ratios.items() if ratio > 1.5), reverse=True)
    fails = ", ".join(f"{problem} ({ratio:.1f} times)" for ratio, problem in worst) or "none"
    unsolved = ", ".join(p for p, row in table.items() if min(row.values()) > SOLVED) or "none"
    reasons = next(row["why"] for row in rows if row["setting"] == recommended and row["status"] == DONE)
    rule = LossPlateau()
    return DEFAULT.format(
        name=recommended, half=rule.window // 2, tolerance=rule.tolerance, mean=mean, highest=max(ratios.values()),
        fails=fails, unsolved=unsolved, reason=reasons,
    )  # fmt: skip


DEFAULT = """`{name}` is what a `Phase` with neither `steps` nor `until` gets when another phase follows:
`LossPlateau`, by which a phase ends when the median loss of {half} steps is less than {tolerance:.0%} below that of the
{half} steps before, for {half} steps in a row. It costs nothing, has no scale, and is early where the loss stalls
early and late where it falls for long.

Over the problems its error is {mean:.2f} times that of the best fixed step with hindsight (geometric mean), and
{highest:.2f} times at most. A decision reads like this: "{reason}".

Where it is more than 1.5 times worse than the best fixed step: {fails}.

Problems that no setting solves to 10 % within this budget, and that therefore say little: {unsolved}.

What this does not show: other learning rates and schedules (the thresholds were chosen with 5e-3 and checked
with nothing else), mini-batches, budgets of 10^5 evaluations, and networks beyond a few thousand parameters.
"""


def _draw(table: Table, fixed: Sequence[str], settings: Sequence[str], path: Path) -> None:
    """Regrets by setting: a dot for each problem, a bar for their geometric mean."""
    from matplotlib.figure import Figure

    ordered = sorted(settings, key=lambda s: geometric_mean(list(regrets(table, s, fixed).values())), reverse=True)
    figure = Figure(figsize=(8, 0.35 * len(ordered) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    for line, setting in enumerate(ordered):
        ratios = regrets(table, setting, fixed)
        axes.scatter(list(ratios.values()), [line] * len(ratios), s=18, color="tab:blue", alpha=0.6)
        axes.plot([geometric_mean(list(ratios.values()))] * 2, [line - 0.35, line + 0.35], color="black", lw=2)
    axes.axvline(1.0, color="grey", lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_yticks(range(len(ordered)), ordered)
    axes.set_xlabel("error / error of the best fixed step (dots: problems; bars: geometric mean)")
    figure.savefig(path, dpi=110)
