"""What the study of orders found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.tables import errors_by_case, markdown_table, median, wrapped

ORDERS = (0, 1, 2, 4)
ENHANCED = "_enhanced"
MODES = (4, 8, 16, 32)
"""The wave numbers k of the sines sin(k pi x)."""

SETTINGS = ("initial", "uniform", "rad")
FLOOR = 1e-13
"""Eigenvalues below this part of the largest one are round-off."""


def write_report(rows: Sequence[Row], folder: Path, budget: int) -> list[Path]:
    """Writes `orders.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        budget: evaluations of a run.

    Returns:
        The files.
    """
    seeds = len({row["seed"] for row in rows})
    report, figure = folder / "orders.md", folder / "orders.png"
    parts = [
        HEAD.format(runs=len(rows), seeds=seeds, budget=budget),
        "## The kernel at initial weights\n", INITIAL, _spectra(rows, "initial"),
        "## Sines\n", SINES.format(first=MODES[0], last=MODES[-1]), _modes(rows),
        "## The kernel after training\n", TRAINED, _spectra(rows, "rad"),
        "![Largest eigenvalue, its ratio to the tenth, and errors by order](orders.png)\n",
        "## Adaptive points\n", POINTS, _errors(rows),
        "## What follows\n", wrapped(READING.format(**_facts(rows))),
    ]  # fmt: skip
    report.write_text("\n".join(parts))
    _draw(rows, figure)
    return [report, figure]


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


def _facts(rows: Sequence[Row]) -> dict[str, float]:
    """The numbers in the text."""

    def error(p: int, setting: str, suffix: str = "") -> float:
        return median(rows, "relative_l2", f"order_{p}{suffix}", setting)

    def initial(p: int, column: str, suffix: str = "") -> float:
        return median(rows, column, f"order_{p}{suffix}", "initial")

    def share(setting: str) -> float:
        return median(rows, "top", "order_4", setting) / median(rows, "total_top", "order_4", setting)

    nearer = [initial(p, "tenth", ENHANCED) / initial(p, "tenth") for p in ORDERS]
    fitted = min((row for row in rows if (row["problem"], row["setting"]) == ("order_4", "uniform")), key=_loss)
    enhanced = errors_by_case(rows)[f"order_4{ENHANCED}", "uniform"]
    lost = {p: error(p, "rad") / error(p, "uniform") for p in ORDERS}
    plate = {setting: median(rows, "relative_l2", "biharmonic2d", setting) for setting in ("rad", "uniform")}
    return {
        **{f"uniform_{p}": error(p, "uniform") for p in (2, 4)},
        "fall": initial(0, "top") / initial(4, "top"),
        **{f"tenth_{p}": 1 / initial(p, "tenth") for p in (0, 4)},
        **{f"rank_{p}": initial(p, "effective_rank") for p in (0, 4)},
        "share": share("initial"), "trained_share": share("rad"),
        "loss_0": lost[0], "loss_2": lost[2], "gain_4": 1 / lost[4], "loss_plate": plate["rad"] / plate["uniform"],
        "fitted_loss": _loss(fitted), "fitted_error": float(fitted["relative_l2"]),
        "enhanced_top": initial(4, "top", ENHANCED) / initial(4, "top"),
        "nearer_least": min(nearer), "nearer_most": max(nearer),
        **{f"enhanced_{p}": error(p, "uniform") / error(p, "uniform", ENHANCED) for p in (0, 4)},
        "enhanced_low": min(enhanced), "enhanced_high": max(enhanced),
    }  # fmt: skip


def _loss(row: Row) -> float:
    return float(row["loss"])


def _layers() -> list[tuple[str, str]]:
    """The problems of the one solution, with what to call them."""
    names = [
        (f"order_{p}{suffix}", f"{p}{', enhanced' if suffix else ''}") for suffix in ("", ENHANCED) for p in ORDERS
    ]
    return [*names, ("biharmonic2d", "4, plate")]


def _spectra(rows: Sequence[Row], setting: str) -> str:
    lines = []
    for problem, title in _layers():
        numbers = {
            key: median(rows, key, problem, setting)
            for part in ("", "total_")
            for key in (f"{part}{name}" for name in ("top", "condition_number", "rank", "effective_rank", "tenth"))
        }
        texts = [title]
        for part in ("", "total_"):
            texts += [f"{numbers[part + 'top']:.1e}"] if not part else []
            texts += [f"{numbers[part + 'condition_number']:.0e}", f"{numbers[part + 'rank']:.0f}"]
            texts += [f"{numbers[part + 'effective_rank']:.2f}", _tenth(numbers[part + "tenth"])]
        lines.append([*texts, f"{numbers['top'] / numbers['total_top']:.0e}"])
    own = ["largest", "condition number", "above round-off", "effective rank", "tenth"]
    return markdown_table(["order", *own, *(f"{name} (with conditions)" for name in own[1:]), "share"], lines)


def _tenth(ratio: float) -> str:
    return f"{1 / ratio:.0e}" if ratio > FLOOR else f"> {1 / FLOOR:.0e}"


def _modes(rows: Sequence[Row]) -> str:
    quotients = {p: [median(rows, f"mode_{k}", f"order_{p}", "initial") for k in MODES] for p in ORDERS}
    lines = []
    for p, values in quotients.items():
        gained = math.log((values[-1] / quotients[0][-1]) / (values[0] / quotients[0][0]))
        exponent = gained / math.log(MODES[-1] / MODES[0])
        lines.append([str(p), *(f"{value:.0e}" for value in values), str(2 * p), f"{exponent:.1f}"])
    return markdown_table(["order", *(f"k = {k}" for k in MODES), "claimed", "measured"], lines)


def _errors(rows: Sequence[Row]) -> str:
    errors, lines = errors_by_case(rows), []
    for problem, title in _layers():
        uniform, adaptive = (errors[problem, setting] for setting in ("uniform", "rad"))
        spreads = [f"{f(own):.1e}" for own in (uniform, adaptive) for f in (statistics.median, min, max)]
        gain = statistics.median(uniform) / statistics.median(adaptive)
        lines.append([title, *spreads, f"{gain:.2g}"])
    return markdown_table(["order", "uniform", "lowest", "highest", "rad", "lowest", "highest", "gain"], lines)


def _draw(rows: Sequence[Row], path: Path) -> None:
    """By order: the largest eigenvalue, its ratio to the tenth, and errors; dashed where enhanced."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    colours = {"initial": "tab:grey", "uniform": "tab:orange", "rad": "tab:blue"}
    for axes, column, label in zip(
        panels,
        ("top", "tenth", "relative_l2"),
        ("largest eigenvalue", "largest over tenth eigenvalue", "relative L2 error"),
        strict=True,
    ):
        for setting in SETTINGS[column == "relative_l2" :]:
            for suffix, style in (("", "o-"), (ENHANCED, "s--")):
                values = [median(rows, column, f"order_{p}{suffix}", setting) for p in ORDERS]
                shown = [1 / max(v, FLOOR) for v in values] if column == "tenth" else values
                axes.plot(ORDERS, shown, style, color=colours[setting], label=setting + suffix.replace("_", ", "))
        axes.set_yscale("log")
        axes.set_xticks(ORDERS)
        axes.set_xlabel("order p")
        axes.set_title(label, fontsize=10)
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
