"""What the study of Sobolev losses found: what the kernel predicted, what happened, and whether the two agree."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean
from pinnlab.studies.sobolev.runs import (
    AT,
    EMBEDDINGS,
    FRACTION,
    LOSSES,
    METHODS,
    ORDERS,
    POINTS,
    PROBLEMS,
    STUDY,
    WAVE_NUMBERS,
)

NETWORKS = {"low": "one harmonic", "high": "four harmonics", "tanh": "no embedding"}
EQUATIONS = {0: "u = f", 1: "u + u' = f", 2: "u - u'' = f"}
DECAY = 0.1
"""A wave counts as learned when this part of its first error is left."""

FACTOR = 2
"""Within which factor a predicted number of steps counts as right."""

Table = Mapping[str, Mapping[str, float]]
"""A number for each problem and loss."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `sobolev.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows).done, Page(STUDY.name)
    page.add(wrapped(HEAD.format(runs=len(runs), seeds=len(runs.seeds), points=POINTS)))
    if answer := if_made(_answer, runs):
        page.section("The answer in short", wrapped(answer))
    page.section("What the kernel says", wrapped(KERNEL), if_made(_shares_table, runs))
    page.section("What they are worth", wrapped(WORTH), if_made(_worth, runs))
    for method in METHODS:
        page.section(TITLES[method], if_made(_errors_table, runs, method))
    page.section("Does the one tell the other?", wrapped(AGREEMENT), if_made(_agreement, runs))
    page.figure("Error against the slowest wave's share, a dot for each loss", if_made(_figure, runs))
    page.section("When is a wave learned?", wrapped(TIMES.format(factor=FACTOR)), if_made(_times, runs))
    page.section("What this does not show", wrapped(LIMITS))
    return page.write(folder)


HEAD = """# Derivatives of the residual in the loss

A survey (arXiv 2601.10222) asks for a theory that links the derivatives in a Sobolev loss, and their weights, to the
spectra of operators and to conditioning. The beginning of one: an equation whose symbol grows as omega^p multiplies
the error of frequency omega by omega^p, a loss with derivatives of the residual up to order j by another (1 + (l
omega)^2)^(j/2), and the network's kernel K_uu(omega) falls. Gradient descent learns a wave at the rate of the
product, omega^2p (1 + (l omega)^2)^j K_uu(omega). So the best j and l would be those that make this product flat,
they would depend on the network and on p, and they could be read from the kernel before training. Is that so, and for
which optimizer?

{runs} runs with {seeds} seeds. The solution is the sum of sin(pi k x), k = 1, 2, 4, on [-1, 1], from equations of
order p = 0 (u = f), 1 (u + u' = f) and 2 (u - u'' = f) at {points} equally spaced points; networks are 2x32 tanh
behind a periodic embedding with one harmonic (`low`: it has to make high frequencies itself) or four (`high`: it is
given them), or behind none, with values at the ends as conditions (`tanh`). The losses:

- `plain`: the residual alone; `dense`: the same at three times as many points, as many rows as two derivatives make;

- `h1_k`: and its first derivative, weight l^2, where l = 1 / (pi k): from wave number k on it says more than the
residual;

- `h2_k`: its first derivative, weight 2 l^2, and its second, weight l^4.

Methods: gradient descent (`gd`) with a tenth of the largest stable rate and `adam` (3e-3), 2,000 evaluations each;
`ssbroyden`, 1,000; `gauss_newton` (`LevenbergMarquardt`), 100. `pinnlab study sobolev` makes the runs
(`sobolev.csv`), or those that are missing, and writes this page from them.
"""

KERNEL = """From the initial weights: a wave's share is the rate at which gradient descent learns it, over that of the
leading mode (q'Kq of the residual q that the wave leaves, over the kernel's largest eigenvalue). The table has the
share of the slowest of the three waves, medians of the seeds; the largest of each line is bold: that loss should do
best.
"""

WORTH = """The error with each loss over that of `dense`, which has as many rows as the longest of them: geometric means
of the three equations, medians of the seeds. Below 1 the derivatives are worth more than further points.
"""

TITLES = {
    "gd": "Errors: gradient descent",
    "adam": "Errors: Adam",
    "ssbroyden": "Errors: self-scaled Broyden",
    "gauss_newton": "Errors: Gauss-Newton",
}

AGREEMENT = """*Rank correlation*: Spearman's, of the slowest share and the error over the eight losses, mean of the
equations; -1 where the order of the shares is that of the errors, from best to worst. *By the kernel*: the error with
the loss whose slowest share is largest, over that of `dense`; *best*: the same with the loss that was best, in
hindsight; geometric means of the equations.
"""

TIMES = """Steps of gradient descent until a tenth of a wave's first error is left, predicted from its share as if the
kernel stayed what it is. Of the waves, by network and order: how many should be learned within the 2,000 steps, how
many of these were, how many of these within a factor of {factor} of the prediction, and how many were learned that
should not have been.
"""

LIMITS = """Negative orders (weak forms, dual norms), which take frequencies back where a network has too many; two
dimensions; weights that change on the way; more points, where derivatives say less that is new; noise, which they
amplify.
"""


def _shares(runs: Runs) -> dict[str, dict[str, float]]:
    """The slowest wave's share by problem and loss, medians of the seeds; it is the same for all methods."""
    table: dict[str, dict[str, float]] = {}
    for problem in PROBLEMS:
        for loss in LOSSES:
            own = runs.of(problem=problem, setting=f"gd/{loss}")
            slowest = [min(numbers(row["share"])) for row in own]
            table.setdefault(problem, {})[loss] = statistics.median(slowest)
    return table


def _errors(runs: Runs, method: str) -> dict[str, dict[str, float]]:
    """Median errors by problem and loss.

    Raises:
        KeyError: there is none for a problem.
    """
    table = {}
    for problem in PROBLEMS:
        own = runs.of(problem=problem).by("setting")
        table[problem] = {loss: own[f"{method}/{loss}"].median() for loss in LOSSES}
    return table


def _named(problem: str) -> str:
    network, order = problem.split("_")
    return f"`{network}`, {EQUATIONS[int(order)]}"


def _lines(table: Table, best: Any) -> str:
    """A table with a line for each problem, in which the best number is bold."""
    rows = []
    for problem, own in table.items():
        chosen = best(own, key=own.get)
        cells = [f"**{value:.1e}**" if loss == chosen else f"{value:.1e}" for loss, value in own.items()]
        rows.append([_named(problem), *cells])
    return markdown_table(["network and equation", *(f"`{loss}`" for loss in LOSSES)], rows)


def _shares_table(runs: Runs) -> str:
    return _lines(_shares(runs), max)


def _errors_table(runs: Runs, method: str) -> str:
    return _lines(_errors(runs, method), min)


def _worth(runs: Runs) -> str:
    rows = []
    for method in METHODS:
        errors = _errors(runs, method)
        for network in EMBEDDINGS:
            own = [errors[problem] for problem in _of_network(network)]
            ratios = [geometric_mean([e[loss] / e["dense"] for e in own]) for loss in LOSSES]
            rows.append([f"`{method}`, `{network}`", *(f"{ratio:.2g}" for ratio in ratios)])
    return markdown_table(["method, network", *(f"`{loss}`" for loss in LOSSES)], rows)


def _correlation(shares: Mapping[str, float], errors: Mapping[str, float]) -> float:
    """Spearman's rank correlation of two numbers by loss."""
    return float(stats.spearmanr([shares[loss] for loss in LOSSES], [errors[loss] for loss in LOSSES])[0])


def _gains(runs: Runs, method: str, problems: Sequence[str]) -> tuple[float, float, float]:
    """The mean rank correlation, and the errors over those of the plain loss: by the kernel's choice, and at best."""
    shares, errors = _shares(runs), _errors(runs, method)
    correlations = [_correlation(shares[problem], errors[problem]) for problem in problems]
    chosen = {problem: max(shares[problem], key=shares[problem].__getitem__) for problem in problems}
    by_kernel = [errors[problem][chosen[problem]] / errors[problem]["dense"] for problem in problems]
    at_best = [min(errors[problem].values()) / errors[problem]["dense"] for problem in problems]
    return statistics.fmean(correlations), geometric_mean(by_kernel), geometric_mean(at_best)


def _of_network(network: str) -> list[str]:
    return [problem for problem in PROBLEMS if problem.startswith(f"{network}_")]


def _agreement(runs: Runs) -> str:
    rows = []
    for method in METHODS:
        for network in EMBEDDINGS:
            correlation, chosen, best = _gains(runs, method, _of_network(network))
            rows.append([f"`{method}`, `{network}`", f"{correlation:.2f}", f"{chosen:.2g}", f"{best:.2g}"])
    return markdown_table(["method, network", "rank correlation", "by the kernel", "best"], rows)


def learned(curve: Sequence[float]) -> float:
    """After how many evaluations a tenth of the first error is left, and no more is later; infinite for never."""
    above = [left > DECAY * curve[0] for left in curve]
    if above[-1]:
        return math.inf
    return float(AT[len(above) - above[::-1].index(True)])


def predicted(share: float) -> float:
    """After how many steps of gradient descent a tenth of a wave is left, if each leaves 1 - 2 fraction share of it."""
    return math.log(DECAY) / math.log1p(-2 * FRACTION * share) if share > 0 else math.inf


def _due(runs: Runs, network: str, order: int) -> list[int]:
    """Of the waves: all, those that should be learned, were, in time, and against the prediction."""
    pairs = [
        (predicted(share), learned(numbers(row[f"wave_{k}"])))
        for loss in LOSSES
        for row in runs.of(problem=f"{network}_{order}", setting=f"gd/{loss}")
        for k, share in zip(WAVE_NUMBERS, numbers(row["share"]), strict=True)
    ]
    due = [(told, took) for told, took in pairs if told <= AT[-1]]
    came = [(told, took) for told, took in due if math.isfinite(took)]
    right = [told for told, took in came if took <= FACTOR * max(told, AT[1]) and told <= FACTOR * took]
    early = [took for told, took in pairs if told > AT[-1] and math.isfinite(took)]
    return [len(pairs), len(due), len(came), len(right), len(early)]


def _times(runs: Runs) -> str:
    rows = [
        [_named(f"{network}_{order}"), *map(str, _due(runs, network, order))]
        for network in EMBEDDINGS
        for order in ORDERS
    ]
    heading = ["network and equation", "waves", "should be learned", "were", "in time", "against the prediction"]
    return markdown_table(heading, rows)


ANSWER = """\
- **Where the network has the frequencies (`high`) the kernel tells gradient descent's time**: of
{high_due} waves that should be learned {high_came} were, {high_right} of them within a factor of {factor}, and
{high_early} against the prediction. So derivatives of the residual speed up a regression there ({gd_0:.2g} times the
error with `{gd_best_0}`) and slow down an equation of order two, whose own derivatives weigh high frequencies already
({gd_2:.2g} times with `h2_1`).

- **Where it has to make them (`low`, `tanh`) the kernel tells little**: it grows in training. Of {other_due} waves
that should be learned {other_came} were, {other_right} in time, and {other_early} against the prediction.

- **Adam gains on networks that have to make frequencies**: with `h2_4`, short derivatives, its error is {adam_low:.2g}
times that of as many rows without on `low` and {adam_tanh:.2g} times on `tanh`, {adam_high:.2g} times on `high`; with
long ones (`h2_1`) {adam_long:.2g} times there.

- **Second-order methods gain rows, not conditioning.** On `high` self-scaled Broyden's error with `h2_4` is
{broyden_same:.2g} times that of the plain loss on the same points, and {broyden_rows:.2g} times that on as many rows;
Gauss-Newton's {newton_same:.2g} and {newton_rows:.2g} times. Where evaluations are what costs, take more points
first.

- **Of weights take those of `h1_4` or `h2_4`**: derivatives that begin to count at the highest wave of the solution.
Those that count from the lowest one on (`h2_1`) end {long:.2g} times above these (geometric mean of all methods,
networks and equations).
"""


def _answer(runs: Runs) -> str:
    """The conclusions, from the rows alone."""
    counts = {network: [_due(runs, network, order) for order in ORDERS] for network in EMBEDDINGS}
    high = [sum(column) for column in zip(*counts["high"], strict=True)]
    other = [sum(column) for column in zip(*counts["low"], *counts["tanh"], strict=True)]
    errors = {method: _errors(runs, method) for method in METHODS}
    descent = errors["gd"]
    best = min(descent["high_0"], key=descent["high_0"].__getitem__)
    every = [own for table in errors.values() for own in table.values()]

    def over(method: str, network: str, loss: str, other: str) -> float:
        own = [errors[method][problem] for problem in _of_network(network)]
        return geometric_mean([e[loss] / e[other] for e in own])

    return ANSWER.format(
        high_due=high[1], high_came=high[2], high_right=high[3], high_early=high[4], factor=FACTOR, gd_best_0=best,
        gd_0=descent["high_0"][best] / descent["high_0"]["plain"],
        gd_2=descent["high_2"]["h2_1"] / descent["high_2"]["plain"],
        other_due=other[1], other_came=other[2], other_right=other[3], other_early=other[4],
        adam_low=over("adam", "low", "h2_4", "dense"), adam_tanh=over("adam", "tanh", "h2_4", "dense"),
        adam_high=over("adam", "high", "h2_4", "dense"), adam_long=over("adam", "high", "h2_1", "dense"),
        broyden_same=over("ssbroyden", "high", "h2_4", "plain"),
        broyden_rows=over("ssbroyden", "high", "h2_4", "dense"),
        newton_same=over("gauss_newton", "high", "h2_4", "plain"),
        newton_rows=over("gauss_newton", "high", "h2_4", "dense"),
        long=geometric_mean([own["h2_1"] / own["h2_4"] for own in every]),
    )  # fmt: skip


def _figure(runs: Runs) -> Any:
    """Errors against the slowest share, a panel for each method, a colour for each network."""
    shares = _shares(runs)
    figure, grid = panels(1, len(METHODS), 3.6 * len(METHODS), 3.8)
    for axes, method in zip(grid, METHODS, strict=True):
        errors = _errors(runs, method)
        for number, network in enumerate(EMBEDDINGS):
            for order, marker in zip(ORDERS, "os^", strict=True):
                problem = f"{network}_{order}"
                x, y = ([table[problem][loss] for loss in LOSSES] for table in (shares, errors))
                label = f"{network}, order {order}"
                axes.plot(x, y, marker, color=f"C{number}", ms=5, label=label)
        axes.set(xscale="log", yscale="log", title=method, xlabel="share of the slowest wave")
    grid[0].set_ylabel("relative L2 error")
    grid[0].legend(fontsize=6, loc="lower left")
    return figure
