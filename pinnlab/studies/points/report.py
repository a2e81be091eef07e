"""What the study of points found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import spearmanr

from pinnlab.studies.engine.figures import draw_settings
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import errors_by_case, markdown_table, median, wrapped

BASELINE = "uniform"
"""The setting that all others are compared with."""

FOLLOWING = ("rad", "rad_gradient", "rar_d", "rar_g")
"""The settings that choose points by the residual, often."""

SOLVED = 0.1
"""A relative error above this is no solution."""

NOT_ADAPTIVE = (BASELINE, "sobol", "latin_hypercube", "fresh")

PROBLEMS = {
    "front": "Front2D, steepness 50, soft boundary values at 100 points",
    "burgers": "Burgers, viscosity 0.01/pi, exact initial and boundary values",
}


def write_report(rows: Sequence[Row], folder: Path, budget: int, count: int, every: int) -> list[Path]:
    """Writes `points.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        budget: evaluations of a run.
        count: points of the equation.
        every: evaluations between two changes of points.

    Returns:
        The files.
    """
    problems, settings = (list(dict.fromkeys(row[key] for row in rows)) for key in ("problem", "setting"))
    seeds = len({row["seed"] for row in rows})
    numbers = {"settings": len(settings), "runs": len(rows), "budget": budget, "count": count, "every": every}
    parts = [wrapped(HEAD.format(seeds=seeds, **numbers)), "## Errors\n", ERRORS]
    for problem in problems:
        parts += [f"### {PROBLEMS.get(problem, problem)}\n", _errors(rows, problem, settings)]
        parts.append(_verdict(rows, problem, settings))
    parts += ["![Errors and effective ranks](points.png)\n", "## The kernel\n", KERNEL]
    for problem in problems:
        parts += [f"### {PROBLEMS.get(problem, problem)}\n", _kernels(rows, problem, settings)]
    report, figure = folder / "points.md", folder / "points.png"
    report.write_text("\n".join([*parts, "## What follows\n", wrapped(READING.format(budget=budget, **_facts(rows)))]))
    columns = {"relative_l2": "relative L2 error", "effective_rank": "effective rank of the kernel"}
    draw_settings(rows, problems, settings, columns, figure)
    return [report, figure]


HEAD = """# Where to put the points

A front that is narrow beside the distance of the points is not seen by them: the loss falls and the error stays.
Which choice of points helps, and by how much? {settings} of them, on two problems with {seeds} seeds, {runs} runs,
each with {budget} evaluations of the loss: 500 steps of Adam (learning rate 5e-3), then self-scaled Broyden, a 3x20
network, float64.

All runs have {count} points of the equation, but `rar_d` and `rar_g`, which add points from half as many on: they see
no more points in all. `sobol`, `latin_hypercube` and `uniform` (random) keep their points; the others begin with
uniform ones and change them every {every} evaluations, `rad_seldom` every ten times as many. `fresh` draws new
uniform points, `rad` draws all in proportion to the residual and `rad_gradient` to its gradient, `rar_d` and `rar_g`
add points so, `r3` keeps those with a residual above the mean. Residuals of candidates (ten for every point at a
time) are not among the evaluations; the seconds have them.

`pinnlab study points` makes the runs (`points.csv`), or those that are missing, and writes this page from them. The
cores were shared with other work, so that seconds are orders of magnitude.
"""

ERRORS = """Relative L2 errors against the reference on 20,000 points: median of the seeds, lowest and highest.
*Gain*: the error of `uniform` over that of the setting (medians). *Held-out ratio*: the mean-square residual on
held-out points over the one on the training points. All other columns are medians, too.
"""

KERNEL = """The kernel JJ' of the trained network, all conditions together, on its own final points and on uniform
ones: condition number (down to round-off), eigenvalues above round-off, effective rank (the exponential of the
entropy of the eigenvalues) and largest eigenvalue. Medians of the seeds.
"""

READING = """\
- Points that follow the residual see the front; no fixed design does. Sobol' points and Latin hypercubes gain
between {least:.1f} and {most:.1f}: in a layer that few points meet, it does not matter how evenly the others lie.
Fixed points reach the lowest losses of the study with errors among the largest; the held-out ratio tells.

- Add points rather than replace them: `rar_d` and `rar_g` are the best two on both problems. The old points hold
what was learned there, and the loss changes little at a time, so that self-scaled Broyden's matrix stays valid.

- Draw often. In 500 evaluations on 500 points a network of 900 parameters fits these points, and the next ones lie
where it is worst and where the matrix knows nothing. `rad_seldom` ends above 10 % in {seldom:.0f} of its runs on
Burgers, `rad`, which draws ten times as often, in {often:.0f}.

- New points alone do little: `fresh` gains a factor of {fresh_front:.1f} (front) and {fresh_burgers:.1f} (Burgers).
`r3`, which needs no candidates, gains {r3_front:.1f} and {r3_burgers:.1f}: it comes upon a narrow layer only by
chance, and then keeps it.

- A single run can miss: the worst error of `rar_d` on Burgers is {worst:.0f} times the median. Look at the held-out
residual.

- Adaptive points do not precondition. All condition numbers are at round-off and say nothing. On the points of
`rad`, `rad_gradient`, `rar_d` and `rar_g` the kernel of the trained network has a largest eigenvalue
{top_front:.1f} (front) and {top_burgers:.1f} (Burgers) times as large as on uniform points, and an effective rank
{rank_front:.2f} and {rank_burgers:.2f} times as large (medians of the runs): points in a front have long and
similar rows of J. Over all runs the rank correlation of effective rank and error is {correlation_front:+.2f} and
{correlation_burgers:+.2f}. What adaptive points change is not how hard the loss is to minimise but what it says.

What this does not show: other optimizers (Gauss-Newton methods want new points at every step), many more points,
with which uniform ones get better, and budgets beyond {budget} evaluations.
"""


def _facts(rows: Sequence[Row]) -> dict[str, float]:
    """The numbers in the text."""
    errors, facts = errors_by_case(rows), {}
    for key, setting in (("seldom", "rad_seldom"), ("often", "rad")):
        facts[key] = float(sum(error > SOLVED for error in errors.get(("burgers", setting), [])))
    facts["worst"] = max(errors.get(("burgers", "rar_d"), [math.nan])) / median(rows, "relative_l2", "burgers", "rar_d")
    even = []
    for problem in PROBLEMS:
        gains = {
            setting: median(rows, "relative_l2", problem, BASELINE) / median(rows, "relative_l2", problem, setting)
            for setting in ("fresh", "r3", "sobol", "latin_hypercube")
        }
        even += [gains["sobol"], gains["latin_hypercube"]]
        facts.update({f"{setting}_{problem}": gain for setting, gain in gains.items()})
        done = [row for row in rows if row["problem"] == problem and row["status"] == DONE]
        for key, column in (("top", "top"), ("rank", "effective_rank")):
            ratios = [float(r[column]) / float(r[f"uniform_{column}"]) for r in done if r["setting"] in FOLLOWING]
            facts[f"{key}_{problem}"] = statistics.median(ratios or [math.nan])
        facts[f"correlation_{problem}"] = _rank_correlation(done)
    return {**facts, "least": min(even), "most": max(even)}


def _rank_correlation(rows: Sequence[Row]) -> float:
    """Spearman's, of effective rank and error."""
    pairs = [[float(row[key]) for row in rows] for key in ("effective_rank", "relative_l2")]
    return float(spearmanr(*pairs).statistic) if len(rows) > 2 else math.nan


def _errors(rows: Sequence[Row], problem: str, settings: Sequence[str]) -> str:
    errors, lines = errors_by_case(rows), []
    columns = {"loss": ".1e", "held_out_ratio": ".1e", "points": ".0f", "points_seen": ".2e", "seconds": ".0f"}
    baseline = statistics.median(errors[problem, BASELINE])
    for setting in settings:
        own = errors[problem, setting]
        error = statistics.median(own)
        spread = [f"{error:.1e}", f"{min(own):.1e}", f"{max(own):.1e}", f"{baseline / error:.1f}"]
        others = [f"{median(rows, column, problem, setting):{form}}" for column, form in columns.items()]
        lines.append((error, [f"`{setting}`", *spread, *others]))
    heading = ["points", "relative L2", "lowest", "highest", "gain", "loss", "held-out ratio", "points at last"]
    return markdown_table([*heading, "points seen", "seconds"], [line for _, line in sorted(lines)])


def _verdict(rows: Sequence[Row], problem: str, settings: Sequence[str]) -> str:
    """Which adaptive method is best, against uniform points and against the best of what does not adapt."""
    medians = {setting: median(rows, "relative_l2", problem, setting) for setting in settings}
    adaptive = min((s for s in settings if s not in NOT_ADAPTIVE), key=medians.__getitem__)
    other = min((s for s in settings if s in NOT_ADAPTIVE), key=medians.__getitem__)
    gain, lead = medians[BASELINE] / medians[adaptive], medians[other] / medians[adaptive]
    verdict = (
        f"The best adaptive method is `{adaptive}`: its error is {gain:.0f} times below that of `{BASELINE}`, and "
        f"{lead:.0f} times below that of `{other}`, the best choice that does not look at the residual."
    )
    return wrapped(verdict)


def _kernels(rows: Sequence[Row], problem: str, settings: Sequence[str]) -> str:
    columns = [
        (f"{where}{key}", form)
        for where in ("", "uniform_")
        for key, form in (("condition_number", ".1e"), ("rank", ".0f"), ("effective_rank", ".2f"), ("top", ".1e"))
    ]
    lines = [
        [f"`{setting}`", *(f"{median(rows, column, problem, setting):{form}}" for column, form in columns)]
        for setting in settings
    ]
    heading = ["condition number", "above round-off", "effective rank", "largest"]
    return markdown_table(["points", *heading, *(f"{name} (uniform)" for name in heading)], lines)
