"""What the study of weights found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from pinnlab.studies.engine.figures import draw_settings
from pinnlab.studies.engine.report import Page, if_made, markdown_table, spread, wrapped
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.weights.runs import ADAM, BUDGET, STUDY

FIXED = "fixed"
TUNED = "tuned"

TIMELESS = ("causal",)
"""Settings that need a time, and fail without one."""

TITLES = {
    "wave": "Wave1D, frequency 3, all weights 1",
    "convection": "Convection, beta = 20, initial values and periodicity in the loss, all weights 1",
    "poisson_light": "Poisson2D, boundary weight 0.1",
    "poisson_heavy": "Poisson2D, boundary weight 1e5",
}


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `weights.md` and its figure into a folder; returns the files."""
    runs = Runs(row for row in rows if row["status"] == DONE or row["setting"] not in TIMELESS)
    counts = {"rules": len(runs.settings) - 2, "seeds": len(runs.seeds), "runs": len(runs)}
    page = Page(STUDY.name)
    page.add(wrapped(HEAD.format(budget=BUDGET, adam=ADAM, **counts)))
    page.section("Errors", wrapped(ERRORS))
    for problem, own in runs.by("problem").items():
        page.section(TITLES.get(problem, problem), if_made(_errors, own), if_made(_verdict, own), level=3)
    columns = {"relative_l2": ("relative L2 error", "log"), "after_adam": ("relative L2 error after Adam", "log")}
    page.figure("Errors at the end and after Adam", if_made(draw_settings, runs, columns))
    page.section("What follows", if_made(_reading, runs))
    return page.write(folder)


HEAD = """# Weights where conditions fight

The terms of a loss have sizes that nothing fixes: an equation's residual may be a thousand times its boundary's. What
do {rules} rules that set weights make of a bad beginning? Three problems start with weights that are not tuned, one of
them twice; {seeds} seeds, {runs} runs, each with {budget} evaluations of the loss: {adam} steps of Adam (learning rate
5e-3), then self-scaled Broyden, float64, points that stay. What a rule spends is part of the budget.

`fixed` keeps the weights of the beginning, `tuned` has those that the problem comes with, chosen by hand.
`gradient_norm`, `lra`, `ntk_trace`, `relobralo` and `soft_adapt` weigh conditions (`LossBalancing`), every 100
evaluations and, with self-scaled Broyden, every 1,000; `residual_attention`, `self_adaptive` and `causal` weigh the
points of the equation, every 20 and every 500. All have their default settings. `causal` needs a time, which Poisson's
equation has not.

`pinnlab study weights` makes the runs (`weights.csv`), or those that are missing, and writes this page from them.
"""

ERRORS = """Relative L2 errors against the reference on 20,000 points: median of the seeds, lowest and highest, and the
median where Adam ends. *Gain*: the error of `fixed` over that of the setting (medians). *Weights at last*: those of the
conditions, in the run with the median error.
"""

READING = """\
- `ntk_trace` is the rule to take. It is the best one on the wave equation ({wave:.0f} times below the weights of the
beginning) and where the boundary weighs too little ({light:.0f} times), and at most {behind:.1f} times behind `fixed`
elsewhere. On Poisson's equation it ends near the weights chosen by hand from either side: boundary over equation 25 to
60, from 0.1 and from 1e5.

- It does not replace thinking: on the wave equation the tuned weights are {tuned:.0f} times better still. They make the
initial values 10,000 times heavier than the equation, the traces make them 400 to 1,400 times heavier.

- What serves on one problem misleads on another. Convection needs no other weights than 1: with 100 for the initial
values and periodicity it ends at {convection_tuned:.1g}, with 1 at {convection:.0e}, and the kernel's traces ask for
the opposite, 100 for the equation.

- Self-scaled Broyden forgives much. With a boundary weight of 1e5 Adam ends at {heavy_adam:.2f} (tuned:
{tuned_adam:.0e}), and the quasi-Newton method after it at {heavy:.0e} all the same: a badly scaled direction is what
its matrix corrects. Weights matter most to methods of first order, and where the second phase starts too far away.

- Rules that follow how fast terms fall (`relobralo`, `soft_adapt`) do nothing about their sizes: they stay within ten
percent of the weights of the beginning. `lra` compares the largest entry of one gradient with the mean of another, and
raised a boundary weight of 1e5 further, to 3e5 and 1e6. `gradient_norm` balances gradients, and raised the weight of
the wave equation itself, which is already too heavy.

- Weights of points cannot settle a fight between conditions: `self_adaptive` and `causal` are within a factor of
{points:.1f} of `fixed` on the wave equation. `residual_attention` raises the weight of the equation as a whole. That is
what is missing with a boundary weight of 1e5, where Adam ends at {attention:.0e} with it; on the wave equation
and with a light boundary it is behind `fixed`.

What this does not show: more evaluations, weights of points in all conditions, and rules with other settings than their
own.
"""


def _reading(runs: Runs) -> str:
    return wrapped(READING.format(**_facts(runs)))


def _facts(runs: Runs) -> dict[str, float]:
    """The numbers in the text."""

    def error(problem: str, setting: str, column: str = "relative_l2") -> float:
        return runs.of(problem=problem, setting=setting).median(column)

    def gain(problem: str, setting: str) -> float:
        return error(problem, FIXED) / error(problem, setting)

    return {
        "wave": gain("wave", "ntk_trace"), "light": gain("poisson_light", "ntk_trace"),
        "tuned": error("wave", "ntk_trace") / error("wave", TUNED),
        "convection": error("convection", FIXED), "convection_tuned": error("convection", TUNED),
        "heavy": error("poisson_heavy", FIXED), "heavy_adam": error("poisson_heavy", FIXED, "after_adam"),
        "tuned_adam": error("poisson_heavy", TUNED, "after_adam"),
        "behind": max(1 / gain(problem, "ntk_trace") for problem in TITLES),
        "attention": error("poisson_heavy", "residual_attention", "after_adam"),
        "points": max(gain("wave", "self_adaptive"), gain("wave", "causal")),
    }  # fmt: skip


def _errors(runs: Runs) -> str:
    fixed, lines = runs.of(setting=FIXED).median(), []
    for setting, own in runs.ranked():
        middle = statistics.median_low(own.values())
        weights = next(row["weights"] for row in own if float(row["relative_l2"] or "inf") == middle)
        after, gain = f"{own.median('after_adam'):.1e}", f"{fixed / own.median():.2g}"
        lines.append([f"`{setting}`", *spread(own.values()), after, gain, weights])
    heading = ["weights", "relative L2", "lowest", "highest", "after Adam", "gain", "weights at last"]
    return markdown_table(heading, lines)


def _verdict(runs: Runs) -> str:
    """Which rule is best, against the weights of the beginning and those tuned by hand."""
    errors = {setting: own.median() for setting, own in runs.ranked()}
    best = next(setting for setting in errors if setting not in (FIXED, TUNED))
    gains = [errors[setting] / errors[best] for setting in (FIXED, TUNED)]
    fixed, tuned = (f"{max(g, 1 / g):.2g} times {'below' if g > 1 else 'above'}" for g in gains)
    return wrapped(
        f"The best rule is `{best}`: its error is {fixed} that of the weights of the beginning, and {tuned} that of "
        "the tuned ones."
    )
