"""What the study of points found: tables and a figure from its runs, words around them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path

from scipy.stats import spearmanr

from pinnlab.studies.engine.figures import draw_settings
from pinnlab.studies.engine.report import Page, if_made, markdown_table, spread, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.points.runs import BUDGET, COUNT, EVERY, STUDY

BASELINE = "uniform"
"""The setting that all others are compared with."""

FOLLOWING = ("rad", "rad_gradient", "rar_d", "rar_g")
"""The settings that choose points by the residual, often."""

SOLVED = 0.1
"""A relative error above this is no solution."""

NOT_ADAPTIVE = (BASELINE, "sobol", "latin_hypercube", "fresh")

TITLES = {
    "front": "Front2D, steepness 50, soft boundary values at 100 points",
    "burgers": "Burgers, viscosity 0.01/pi, exact initial and boundary values",
}


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `points.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    given = {"budget": BUDGET, "count": COUNT, "every": EVERY}
    counts = {"settings": len(runs.settings), "seeds": len(runs.seeds), "runs": len(runs)}
    page.add(wrapped(HEAD.format(**counts, **given)))
    page.section("Errors", ERRORS)
    for problem, own in runs.by("problem").items():
        page.section(TITLES.get(problem, problem), if_made(_errors, own), if_made(_verdict, own), level=3)
    columns = {
        "relative_l2": ("relative L2 error", "log"),
        "effective_rank": ("effective rank of the kernel", "linear"),
    }
    page.figure("Errors and effective ranks", if_made(draw_settings, runs, columns))
    page.section("The kernel", KERNEL)
    for problem, own in runs.by("problem").items():
        page.section(TITLES.get(problem, problem), if_made(_kernels, own), level=3)
    page.section("What follows", if_made(_reading, runs))
    return page.write(folder)


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


def _reading(runs: Runs) -> str:
    return wrapped(READING.format(budget=BUDGET, **_facts(runs)))


def _facts(runs: Runs) -> dict[str, float]:
    """The numbers in the text."""
    burgers, even = runs.of(problem="burgers"), []
    facts = {
        key: float(sum(error > SOLVED for error in burgers.of(setting=setting).values()))
        for key, setting in (("seldom", "rad_seldom"), ("often", "rad"))
    }
    added = burgers.of(setting="rar_d")
    facts["worst"] = max(added.values(), default=math.nan) / added.median()
    for problem in TITLES:
        own = runs.of(problem=problem)
        baseline = own.of(setting=BASELINE).median()
        gains = {s: baseline / own.of(setting=s).median() for s in ("fresh", "r3", "sobol", "latin_hypercube")}
        even += [gains["sobol"], gains["latin_hypercube"]]
        facts.update({f"{setting}_{problem}": gain for setting, gain in gains.items()})
        for key, column in (("top", "top"), ("rank", "effective_rank")):
            following = [row for row in own.done if row["setting"] in FOLLOWING]
            ratios = [float(row[column]) / float(row[f"uniform_{column}"]) for row in following]
            facts[f"{key}_{problem}"] = statistics.median(ratios or [math.nan])
        facts[f"correlation_{problem}"] = _rank_correlation(own.done)
    return {**facts, "least": min(even), "most": max(even)}


def _rank_correlation(runs: Runs) -> float:
    """Spearman's, of effective rank and error."""
    pair = (runs.values("effective_rank"), runs.values("relative_l2"))
    return float(spearmanr(*pair).statistic) if len(runs) > 2 else math.nan


def _errors(runs: Runs) -> str:
    columns = {"loss": ".1e", "held_out_ratio": ".1e", "points": ".0f", "points_seen": ".2e", "seconds": ".0f"}
    baseline, lines = runs.of(setting=BASELINE).median(), []
    for setting, own in runs.ranked():
        others = [f"{own.median(column):{form}}" for column, form in columns.items()]
        lines.append([f"`{setting}`", *spread(own.values()), f"{baseline / own.median():.1f}", *others])
    heading = ["points", "relative L2", "lowest", "highest", "gain", "loss", "held-out ratio", "points at last"]
    return markdown_table([*heading, "points seen", "seconds"], lines)


def _verdict(runs: Runs) -> str:
    """Which adaptive method is best, against uniform points and against the best of what does not adapt."""
    medians = {setting: own.median() for setting, own in runs.ranked()}
    adaptive = next(setting for setting in medians if setting not in NOT_ADAPTIVE)
    other = next(setting for setting in medians if setting in NOT_ADAPTIVE)
    gain, lead = medians[BASELINE] / medians[adaptive], medians[other] / medians[adaptive]
    return wrapped(
        f"The best adaptive method is `{adaptive}`: its error is {gain:.0f} times below that of `{BASELINE}`, and "
        f"{lead:.0f} times below that of `{other}`, the best choice that does not look at the residual."
    )


def _kernels(runs: Runs) -> str:
    columns = {"condition_number": ".1e", "rank": ".0f", "effective_rank": ".2f", "top": ".1e"}
    lines = []
    for setting, own in runs.by("setting").items():
        values = [f"{own.median(part + key):{form}}" for part in ("", "uniform_") for key, form in columns.items()]
        lines.append([f"`{setting}`", *values])
    heading = ["condition number", "above round-off", "effective rank", "largest"]
    return markdown_table(["points", *heading, *(f"{name} (uniform)" for name in heading)], lines)
