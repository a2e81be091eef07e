"""What the study of orders found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.report import Page, if_made, markdown_table, spread, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.orders.runs import BUDGET, ENHANCED, MODES, ORDERS, STUDY

FLOOR = 1e-13
"""Eigenvalues below this part of the largest one are round-off."""

TITLES = {
    **{f"order_{p}{suffix}": f"{p}{suffix.replace('_', ', ')}" for suffix in ("", ENHANCED) for p in ORDERS},
    "biharmonic2d": "4, plate",
}
"""What to call the problems."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `orders.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(HEAD.format(runs=len(runs), seeds=len(runs.seeds), budget=BUDGET))
    page.section("The kernel at initial weights", INITIAL, if_made(_spectra, runs, "initial"))
    page.section("Sines", SINES.format(first=MODES[0], last=MODES[-1]), if_made(_modes, runs))
    page.section("The kernel after training", TRAINED, if_made(_spectra, runs, "rad"))
    page.figure("Largest eigenvalue, its ratio to the tenth, and errors by order", if_made(_figure, runs))
    page.section("Adaptive points", POINTS, if_made(_errors, runs))
    page.section("What follows", if_made(_reading, runs))
    return page.write(folder)


HEAD = """# The order of an equation

Is an equation of higher order harder to train because its derivatives make the loss stiff? And does it gain more from
adaptive points? One solution from equations of order p = 0 (a regression), 1, 2 and 4 (`Layer1D`: a layer of width
1/20, at 60 points), with and without the residual's own derivative in the loss (`enhance: [x]`), and a plate
(`Biharmonic2D`, 300 points). The same 2x20 network starts all; {budget} evaluations, 300 steps of Adam and then
self-scaled Broyden, float64; {seeds} seeds, {runs} runs. `pinnlab study orders` makes them (`orders.csv`), or those
that are missing, and writes this page from them.

Residuals are divided by the root mean square of f, so that all equations are of order one. Numbers are medians of the
seeds.
"""

INITIAL = """The kernel JJ' of the equation's residuals on uniform points. *Tenth*: the largest eigenvalue over the
tenth one, in which spectra can still be compared when condition numbers have reached round-off. *With conditions*: of
all residuals together. *Share*: the equation's largest eigenvalue over that of all, which is what its conditions
leave of it.
"""

SINES = """The usual argument: a derivative of order p multiplies a wave of number k by k^p, so the kernel's response
to it, q'Kq, by k^2p. Here q = sin^4(pi x) sin(k pi x), of norm 1, on a grid, at initial weights, which are the same
for all orders. *Measured*: the exponent of k by which the response grows beyond that of order 0, from k = {first} to
{last}.
"""

TRAINED = """The same after training on residual-based points: networks now differ with the order.
"""

POINTS = """Relative L2 errors: median, lowest and highest of the seeds. *Gain*: error with uniform points that stay
over that with residual-based ones, drawn every 50 evaluations.
"""


READING = """\
- Order 4 is the hard one: on fixed uniform points its error is {uniform_4:.1e}, that of order 2 {uniform_2:.1e}. Yet
the initial kernel does not say so. As the order goes from 0 to 4 its largest eigenvalue falls by a factor of
{fall:.0e}, its ratio to the tenth falls from {tenth_0:.0e} to {tenth_4:.0e}, and its effective rank goes from
{rank_0:.1f} to {rank_4:.1f}. A derivative of a plain network does not stretch the spectrum; it shrinks all of it.

- What shrinks loses to the conditions: with order 4 the equation has {share:.0e} of the largest eigenvalue of all
residuals at first, although both are of order one as residuals. What training moves first is the conditions. By
the end of training its share is {trained_share:.1f}.

- The growth with k^2p does not show in these networks, whose response to a sine falls with k at all orders; [the study
of the kernel](derivative_order.md) has the reason, and networks in which it does.

- Adaptive points pay where the fixed ones do not resolve the residual. Three points in the layer are enough up to order
2, and drawing anew then costs accuracy, by factors of {loss_2:.0f} to {loss_0:.0f}: every draw changes the loss. The
fourth derivative of the same layer has more turns than that, and adaptive points gain a factor of {gain_4:.0f}: one
seed of the three has a loss of {fitted_loss:.0e} on uniform points with an error of {fitted_error:.0e}. The solution of
the plate is smooth: it loses a factor of {loss_plate:.0f}.

- The derivative of the residual in the loss hardly changes the initial kernel (largest eigenvalue times
{enhanced_top:.1f} at order 4) and brings the tenth eigenvalue nearer by factors of {nearer_least:.0f} to
{nearer_most:.0f}. It gains a factor of {enhanced_0:.0f} in the error of the regression, nothing at orders 1 and 2, and
{enhanced_4:.0f} at order 4 on uniform points, where it stands for points that are missing; there the seeds range
from {enhanced_low:.0e} to {enhanced_high:.0e}.

What this does not show: more than one solution and one small network, and more than 60 points.
"""


def _median(runs: Runs, column: str, problem: str, setting: str) -> float:
    return runs.of(problem=problem, setting=setting).median(column)


def _reading(runs: Runs) -> str:
    return wrapped(READING.format(**_facts(runs)))


def _facts(runs: Runs) -> dict[str, float]:
    """The numbers in the text."""

    def error(p: int, setting: str, suffix: str = "") -> float:
        return _median(runs, "relative_l2", f"order_{p}{suffix}", setting)

    def initial(p: int, column: str, suffix: str = "") -> float:
        return _median(runs, column, f"order_{p}{suffix}", "initial")

    def share(setting: str) -> float:
        own = runs.of(problem="order_4", setting=setting)
        return own.median("top") / own.median("total_top")

    nearer = [initial(p, "tenth", ENHANCED) / initial(p, "tenth") for p in ORDERS]
    fitted = min(runs.of(problem="order_4", setting="uniform"), key=lambda row: float(row["loss"]))
    enhanced = runs.of(problem=f"order_4{ENHANCED}", setting="uniform").values()
    lost = {p: error(p, "rad") / error(p, "uniform") for p in ORDERS}
    plate = runs.of(problem="biharmonic2d")
    return {
        **{f"uniform_{p}": error(p, "uniform") for p in (2, 4)},
        "fall": initial(0, "top") / initial(4, "top"),
        **{f"tenth_{p}": 1 / initial(p, "tenth") for p in (0, 4)},
        **{f"rank_{p}": initial(p, "effective_rank") for p in (0, 4)},
        "share": share("initial"), "trained_share": share("rad"),
        "loss_0": lost[0], "loss_2": lost[2], "gain_4": 1 / lost[4],
        "loss_plate": plate.of(setting="rad").median() / plate.of(setting="uniform").median(),
        "fitted_loss": float(fitted["loss"]), "fitted_error": float(fitted["relative_l2"]),
        "enhanced_top": initial(4, "top", ENHANCED) / initial(4, "top"),
        "nearer_least": min(nearer), "nearer_most": max(nearer),
        **{f"enhanced_{p}": error(p, "uniform") / error(p, "uniform", ENHANCED) for p in (0, 4)},
        "enhanced_low": min(enhanced), "enhanced_high": max(enhanced),
    }  # fmt: skip


def _spectra(runs: Runs, setting: str) -> str:
    lines = []
    for problem, title in TITLES.items():
        own, texts = runs.of(problem=problem, setting=setting), []
        for part in ("", "total_"):
            texts += [f"{own.median(part + 'condition_number'):.0e}", f"{own.median(part + 'rank'):.0f}"]
            texts += [f"{own.median(part + 'effective_rank'):.2f}", _tenth(own.median(part + "tenth"))]
        share = own.median("top") / own.median("total_top")
        lines.append([title, f"{own.median('top'):.1e}", *texts, f"{share:.0e}"])
    names = ["condition number", "above round-off", "effective rank", "tenth"]
    return markdown_table(
        ["order", "largest", *names, *(f"{name} (with conditions)" for name in names), "share"], lines
    )


def _tenth(ratio: float) -> str:
    return f"{1 / ratio:.0e}" if ratio > FLOOR else f"> {1 / FLOOR:.0e}"


def _modes(runs: Runs) -> str:
    quotients = {p: [_median(runs, f"mode_{k}", f"order_{p}", "initial") for k in MODES] for p in ORDERS}
    lines = []
    for p, values in quotients.items():
        gained = math.log((values[-1] / quotients[0][-1]) / (values[0] / quotients[0][0]))
        exponent = gained / math.log(MODES[-1] / MODES[0])
        lines.append([str(p), *(f"{value:.0e}" for value in values), str(2 * p), f"{exponent:.1f}"])
    return markdown_table(["order", *(f"k = {k}" for k in MODES), "claimed", "measured"], lines)


def _errors(runs: Runs) -> str:
    lines = []
    for problem, title in TITLES.items():
        uniform, adaptive = (runs.of(problem=problem, setting=setting) for setting in ("uniform", "rad"))
        gain = uniform.median() / adaptive.median()
        lines.append([title, *spread(uniform.values()), *spread(adaptive.values()), f"{gain:.2g}"])
    return markdown_table(["order", "uniform", "lowest", "highest", "rad", "lowest", "highest", "gain"], lines)


def _figure(runs: Runs) -> Any:
    """By order: the largest eigenvalue, its ratio to the tenth, and errors; dashed where enhanced."""
    columns = {
        "top": "largest eigenvalue",
        "tenth": "largest over tenth eigenvalue",
        "relative_l2": "relative L2 error",
    }
    colours = {"initial": "tab:grey", "uniform": "tab:orange", "rad": "tab:blue"}
    figure, grid = panels(1, 3, 11, 3.6)
    for axes, (column, label) in zip(grid, columns.items(), strict=True):
        for setting in list(colours)[column == "relative_l2" :]:
            for suffix, style in (("", "o-"), (ENHANCED, "s--")):
                values = [_median(runs, column, f"order_{p}{suffix}", setting) for p in ORDERS]
                shown = [1 / max(v, FLOOR) for v in values] if column == "tenth" else values
                axes.plot(ORDERS, shown, style, color=colours[setting], label=setting + suffix.replace("_", ", "))
        axes.set_yscale("log")
        axes.set_xticks(ORDERS)
        axes.set_xlabel("order p")
        axes.set_title(label, fontsize=10)
    grid[0].legend(fontsize=8)
    return figure
