"""What the study of switching found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinnlab.criteria import LossPlateau
from pinnlab.studies.engine.figures import draw_dots, panels
from pinnlab.studies.engine.report import Page, if_made, markdown_table
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean
from pinnlab.studies.switching.regret import Table, errors_by_case, means, regrets
from pinnlab.studies.switching.runs import BUDGET, FIXED, HELD_OUT, RECOMMENDED, STUDY

SOLVED = 0.1
"""A relative error above this is no solution: the budget is too short for the problem, or the run failed."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `switching.md` and its figure into a folder; returns the files."""
    every, page = Runs(rows), Page(STUDY.name)
    runs, held_out = (Runs(row for row in every if (row["problem"] in HELD_OUT) is own) for own in (False, True))
    table, ratios = _judged(runs)
    page.add(HEAD.format(problems=len(table), seeds=len(runs.seeds), budget=BUDGET, runs=len(runs)))
    page.section("Errors", ERRORS, if_made(_errors, table, runs.settings))
    page.section("Regret", REGRET, if_made(_summary, runs, ratios))
    page.figure("Regret of every setting", if_made(_figure, ratios))
    page.section("What follows", READING)
    page.section("The default", if_made(_default, runs, table, ratios))
    page.section("Problems that nobody had looked at", if_made(_on_others, held_out))
    return page.write(folder)


HEAD = """# When to leave Adam

Adam gets near a solution, a quasi-Newton method gets close. When should one hand over to the other? Papers use
a fixed step, found by trial, and name criteria that nobody compared. This study does: {problems} problems,
{seeds} seeds, {runs} runs, each with {budget} evaluations of the loss and its gradient, spent on Adam (learning
rate 5e-3) and then on L-BFGS (history 100, strong Wolfe). Only the moment of the switch differs; evaluations
that a criterion costs (trials, gradients on parts of the loss) are part of the budget.

`pinnlab study switching` makes the runs (`switching.csv`), or those that are missing, and writes this page from
them. Errors are relative L2 errors against the reference at the end of the budget, averaged geometrically over
the seeds. Burgers, wave and Allen-Cahn draw residual-based points every 1,000 evaluations. `fixed_k` switches
after k steps of Adam; with `_decay` Adam's rate falls by a factor of 0.998 in each. Time budgets are left out: on
one machine they are fixed steps.
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
- The norm of the gradient stands still only where Adam's rate falls. By 0.998 in each step it does
  (`gradient_norm_strict_decay`: a drift below 0.05, a scatter below 1), late but in time; with a constant rate it
  mostly never did (`gradient_norm_strict`). The defaults since, a drift of 0.5 and a scatter of 3 (`gradient_norm`),
  were chosen by when they are met; they are in time on most problems. A plateau of the loss needs no such help.
- Gradient alignment and signal to noise say "leave" at their first measurement on every problem. Here they are fixed
  steps at a price; alignment is low from the beginning where conditions pull at the same weights.
- A trial of the next optimizer is short-sighted: given a window of 20 steps it leaves Adam as soon as it is asked and
  keeps what it should have undone, on Burgers' equation at ten times the error of the best step. With a window of
  200 steps it does well because it comes late enough.
- L-BFGS is chaotic: a switch 50 steps later changes the error by factors of 2 to 5 either way (Poisson in 1-D), and
  three seeds do not average that out. Mean regrets that differ by less than a factor 1.3 are equal.
"""


def _judged(runs: Runs) -> tuple[Table, dict[str, dict[str, float]]]:
    """Mean errors, and the regret of each setting against the best fixed step, the setting with the least first."""
    table = means(errors_by_case(runs), runs.settings)
    fixed = [setting for setting in runs.settings if setting.startswith(FIXED)]
    ratios = {setting: regrets(table, setting, fixed) for setting in runs.settings}
    return table, dict(sorted(ratios.items(), key=lambda item: _mean(item[1])))


def _mean(ratios: Mapping[str, float]) -> float:
    return geometric_mean(list(ratios.values()))


def _errors(table: Table, settings: Iterable[str]) -> str:
    criteria, lines = [s for s in settings if not s.startswith(FIXED)], []
    for problem, row in table.items():
        best = min((s for s in row if s.startswith(FIXED)), key=row.__getitem__)
        chosen = [f"{row[s]:.1e}" if s in row else "" for s in criteria]
        lines.append([problem, best.removeprefix(FIXED), f"{row[best]:.1e}", *chosen])
    return markdown_table(["problem", "best step", "error", *criteria], lines)


def _summary(runs: Runs, ratios: Table) -> str:
    lines = []
    for setting, own in ratios.items():
        found, worst = runs.of(setting=setting), max(own, key=own.__getitem__)
        done = found.done
        never = sum(row["switched_at"] == row["evaluations"] for row in done)
        undone, returns = (sum(int(row[column] or 0) for row in done) for column in ("undone", "returns"))
        failed = sum(math.isinf(error) for error in found.values())
        counts = [f"{done.median('switched_at'):.0f}", *map(str, (never, undone, returns, failed))]
        lines.append([setting, f"{_mean(own):.2f}", f"{own[worst]:.2f} ({worst})", *counts])
    heading = ["setting", "mean regret", "worst regret", "kept", "never switched", "trials undone", "went back"]
    return markdown_table([*heading, "failed"], lines)


def _default(all_runs: Runs, table: Table, all_ratios: Mapping[str, Mapping[str, float]]) -> str:
    runs, ratios = all_runs.of(setting=RECOMMENDED), all_ratios[RECOMMENDED]
    worst = sorted(((ratio, problem) for problem, ratio in ratios.items() if ratio > 1.5), reverse=True)
    fails = ", ".join(f"{problem} ({ratio:.1f} times)" for ratio, problem in worst) or "none"
    unsolved = ", ".join(p for p, row in table.items() if min(row.values()) > SOLVED) or "none"
    rule = LossPlateau()
    return DEFAULT.format(
        name=RECOMMENDED, half=rule.window // 2, tolerance=rule.tolerance, mean=_mean(ratios),
        highest=max(ratios.values()), fails=fails, unsolved=unsolved, reason=runs.done.rows[0]["why"],
    )  # fmt: skip


DEFAULT = """`{name}` is what a `Phase` with neither `steps` nor `until` gets when another phase follows:
`LossPlateau`, by which a phase ends when the median loss of {half} steps is less than {tolerance:.0%} below that of the
{half} steps before, for {half} steps in a row. It costs nothing, has no scale, and is early where the loss stalls
early and late where it falls for long.

Over the problems its error is {mean:.2f} times that of the best fixed step with hindsight (geometric mean), and
{highest:.2f} times at most. A decision reads like this: "{reason}".

Where it is more than 1.5 times worse than the best fixed step: {fails}.

Problems that no setting solves to 10 % within this budget, and that therefore say little: {unsolved}.

What this does not show: other learning rates (the thresholds were chosen with 5e-3; a rate that falls from there was
tried with two criteria), mini-batches, budgets of 10^5 evaluations, and networks beyond a few thousand parameters.
"""


def _on_others(runs: Runs) -> str:
    table, ratios = _judged(runs)
    place, own = list(ratios).index(RECOMMENDED) + 1, ratios[RECOMMENDED]
    words = OTHERS.format(
        problems=", ".join(table), seeds=len(runs.seeds), name=RECOMMENDED, mean=_mean(own), highest=max(own.values()),
        place=place, settings=len(ratios),
    )  # fmt: skip
    return "\n".join([words, _errors(table, runs.settings), "", _summary(runs, ratios)])


OTHERS = """Criteria and thresholds above were chosen on the problems that they were judged by. These came later, and
nothing was changed for them: {problems} ({seeds} seeds); the first two learn from data. Here the error of `{name}`
is {mean:.2f} times that of the best fixed step (geometric mean), {highest:.2f} times at most: place {place} of the
{settings} settings.
"""


def _figure(ratios: Table) -> Any:
    """Regrets by setting: a dot for each problem, a bar for their geometric mean."""
    figure, (axes,) = panels(1, 1, 8, 0.35 * len(ratios) + 1.2)
    draw_dots(axes, {setting: list(own.values()) for setting, own in ratios.items()}, geometric_mean)
    axes.axvline(1.0, color="grey", lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlabel("error / error of the best fixed step (dots: problems; bars: geometric mean)")
    return figure
