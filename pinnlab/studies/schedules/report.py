"""What the study of schedules found: errors against those of a constant rate, how quiet the loss was, a figure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pinnlab.studies.engine.figures import draw_range, panels
from pinnlab.studies.engine.report import Page, if_made, markdown_table, spread, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean
from pinnlab.studies.schedules.runs import AT, BUDGET, FACTORS, STUDY, USES, schedules

CONSTANT, *OTHERS = schedules(1.0, BUDGET)
"""The schedules by name; all others are compared with the first."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `schedules.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    failed = len(runs) - len(runs.done)
    page.add(wrapped(HEAD.format(runs=len(runs), seeds=len(runs.seeds), budget=BUDGET, failed=failed or "none")))
    page.section("In short", if_made(_short, runs))
    page.section("Against a constant rate", wrapped(AGAINST), _ratios(runs))
    page.section("How quiet the loss is", wrapped(QUIET), _quiet(runs))
    page.figure("Errors as training goes on", _figure(runs))
    page.section("All numbers", wrapped(NUMBERS))
    for use, kind in USES.items():
        page.section(kind.words, _numbers(runs, use), level=3)
    page.section("What this does not show", wrapped(OPEN))
    return page.write(folder)


HEAD = """# Does the learning-rate schedule matter?

A survey of such networks (arXiv 2601.10222) has it that "adaptive sampling and learning rate scheduling strategies can
significantly improve training stability". Which schedule should Adam have, and does it still matter where a
quasi-Newton method follows? {runs} runs, {seeds} seeds of points and weights, {budget:,} evaluations of the loss and
its gradient each, on fixed points in float64. Runs that failed: {failed}.

The problems: `poisson2d` (2 x 20 network, 256 points and 64 on the boundary), `burgers` (viscosity 0.02, 3 x 20
network, 800 points), and `regression` on values of a sum of three sines (2 x 32 network, 256 points). Adam is alone,
with at most 5e-3 or 2e-2, or it has a third of the evaluations, with at most 5e-3, and self-scaled Broyden the rest.

Each schedule goes over all of Adam's steps. `constant` stays at the largest rate; `exponential` (`ExponentialLR`) falls
to a hundredth of it; `cosine` (`CosineAnnealingLR`) falls to 0; `one_cycle` (`OneCycleLR` as torch has it) rises from a
25th in the first 30 % and falls to nearly 0; `warm_up` (`SequentialLR`) rises from a hundredth in the first 10 % and
then falls like `cosine`.

`pinnlab study schedules` makes the runs (`schedules.csv`), or those that are missing, and writes this page from them.
"""

AGAINST = """The relative L2 error at the end over that of the constant rate with the same seed, geometric mean of the
seeds: below 1 the schedule is better. Bold: all seeds agree whether it is.
"""

QUIET = f"""Steps of a run whose loss is more than {FACTORS[1]} times the lowest before, mean over problems and seeds,
and in brackets how many of the runs have any. The lowest loss before is the scale, so that a factor of the loss
changes nothing.
"""

NUMBERS = f"""Medians over the seeds. *Error*: the relative L2 error at the end, with the lowest and the highest seed;
*best*: the lowest error of every 100 evaluations; *above {FACTORS[0]}*, *above {FACTORS[1]}*: steps whose loss is more
than so many times the lowest before; *worst*: the largest such ratio.
"""

OPEN = """Longer runs, in which a schedule has more steps at a large rate before it falls; mini-batches, whose noise
only a falling rate ends; other rates before self-scaled Broyden; and falls to another fraction than a hundredth.
"""


class Against(NamedTuple):
    """The errors of a setting over those of another one with the same problem and seed.

    Attributes:
        ratio: their geometric mean.
        wins: how many are below 1.
        total: how many there are.
    """

    ratio: float
    wins: int
    total: int


def against(runs: Runs, setting: str, other: str) -> Against:
    """Compares two settings on all problems and seeds that both have.

    Raises:
        ZeroDivisionError: there are none.
    """
    ours, theirs = (
        {(row["problem"], row["seed"]): float(row["relative_l2"]) for row in runs.done.of(setting=name)}
        for name in (setting, other)
    )
    ratios = [error / theirs[case] for case, error in ours.items() if case in theirs]
    return Against(geometric_mean(ratios), sum(ratio < 1 for ratio in ratios), len(ratios))


def _short(runs: Runs) -> str:
    uses = [_best_and_worst(runs, use) for use in USES]
    return wrapped("\n\n".join([_stability(runs), _agreed(runs), *uses, _best_of_all(runs), _after_adam(runs)]))


def _agreed(runs: Runs) -> str:
    """In how many comparisons with the constant rate all seeds say the same."""
    found = [
        against(own, f"{use}/{name}", f"{use}/{CONSTANT}")
        for own, use, name in itertools.product(runs.by("problem").values(), USES, OTHERS)
    ]
    better, worse = (sum(one.wins == (one.total if wins else 0) for one in found) for wins in (True, False))
    return (
        f"- **Error.** Of {len(found)} comparisons of a schedule with the constant rate, each on a problem and with a "
        f"use of Adam, the schedule ends lower with every seed in {better}, and higher with every seed in {worse}."
    )


def _best_and_worst(runs: Runs, use: str) -> str:
    """What the best schedule of a use gains over the constant rate, and the worst."""
    found = {name: against(runs, f"{use}/{name}", f"{use}/{CONSTANT}") for name in OTHERS}
    best, *_, worst = sorted(found, key=lambda name: found[name].ratio)
    first, last = found[best], found[worst]
    return (
        f"- **{USES[use].words}.** The best schedule is `{best}`: it ends at {first.ratio:.2g} times the error of a "
        f"constant rate (geometric mean), below it in {first.wins} of {first.total} runs. The worst is `{worst}`: "
        f"{last.ratio:.2g} times, below it in {last.wins} of {last.total}."
    )


def _best_of_all(runs: Runs) -> str:
    """Which rate and schedule is best for Adam alone."""
    plain = f"low/{CONSTANT}"
    alone = [f"{use}/{name}" for use in ("low", "high") for name in (CONSTANT, *OTHERS)]
    found = {setting: against(runs, setting, plain) for setting in alone if setting != plain}
    best = min(found, key=lambda setting: found[setting].ratio)
    use, _, name = best.partition("/")
    low, high, rate = (f"{USES[key].rate:.0e}".replace("e-0", "e-") for key in ("low", "high", use))
    return (
        f"- **Rate and schedule together.** Of all for Adam alone, `{name}` with at most {rate} is best: "
        f"{found[best].ratio:.2g} times the error of a constant {low}, below it in {found[best].wins} "
        f"of {found[best].total} runs. A constant {high} ends at {found[f'high/{CONSTANT}'].ratio:.2g} times."
    )


def _stability(runs: Runs) -> str:
    """How much quieter the loss is than with a constant rate, and what that is worth at the end."""
    plain = Runs(row for row in runs.done if row["setting"].endswith(f"/{CONSTANT}"))
    rest = Runs(row for row in runs.done if not row["setting"].endswith(f"/{CONSTANT}"))
    (often, total), (seldom, others) = ((_risen(own), len(own)) for own in (plain, rest))
    return (
        f"- **Stability.** The loss rises above {FACTORS[1]} times its lowest in {often} of {total} runs with a "
        f"constant rate and in {seldom} of {others} with a schedule; in the mean for {_mean_risen(plain):.1f} and "
        f"{_mean_risen(rest):.1f} steps. The last error is up to {_lost(plain):.2g} times the best on the way with a "
        f"constant rate, and up to {_lost(rest):.2g} times with a schedule."
    )


def _lost(runs: Runs) -> float:
    """The largest ratio of the last error to the best one."""
    return max(end / best for end, best in zip(runs.values(), runs.values("best"), strict=True))


def _after_adam(runs: Runs) -> str:
    """What self-scaled Broyden adds to any schedule."""
    gains = []
    for problem, own in runs.by("problem").items():
        alone = min(own.of(setting=f"{use}/{name}").median() for use in ("low", "high") for name in (CONSTANT, *OTHERS))
        medians = [own.of(setting=f"broyden/{name}").median() for name in (CONSTANT, *OTHERS)]
        gains.append(f"{alone / max(medians):,.0f} on `{problem}` ({max(medians) / min(medians):.1f})")
    return (
        "- **A quasi-Newton method after Adam.** The highest median error of all schedules before self-scaled Broyden, "
        "compared with the lowest of Adam alone at either rate, is smaller by a factor of "
        f"{', '.join(gains)}; in brackets the highest over the lowest of the five before Broyden."
    )


def _mean_risen(runs: Runs) -> float:
    return statistics.fmean(runs.done.values(f"risen_{FACTORS[1]}"))


def _ratios(runs: Runs) -> str:
    lines = []
    for use, kind in USES.items():
        for problem, own in runs.by("problem").items():
            cells = [if_made(against, own, f"{use}/{name}", f"{use}/{CONSTANT}") for name in OTHERS]
            lines.append([kind.words, problem, *map(_ratio, cells)])
    return markdown_table(["Adam", "problem", *OTHERS], lines)


def _ratio(found: Against | None) -> str:
    if found is None:
        return ""
    text = f"{found.ratio:.2g}"
    return f"**{text}**" if found.wins in (0, found.total) else text


def _quiet(runs: Runs) -> str:
    lines = []
    for use, kind in USES.items():
        settings = [runs.of(setting=f"{use}/{name}").done for name in (CONSTANT, *OTHERS)]
        cells = [f"{_mean_risen(own):.1f} ({_risen(own)} of {len(own)})" if len(own) else "" for own in settings]
        lines.append([kind.words, *cells])
    return markdown_table(["Adam", CONSTANT, *OTHERS], lines)


def _risen(runs: Runs) -> int:
    """How many runs have a step whose loss is above the larger of the `FACTORS`."""
    return sum(count > 0 for count in runs.values(f"risen_{FACTORS[1]}"))


def _numbers(runs: Runs, use: str) -> str:
    lines = []
    for problem, found in runs.by("problem").items():
        for name in (CONSTANT, *OTHERS):
            own = found.of(setting=f"{use}/{name}")
            if len(own):
                counts = [f"{own.median(f'risen_{factor}'):.0f}" for factor in FACTORS]
                cells = [f"{own.median('best'):.1e}", *counts, f"{own.median('worst'):.3g}"]
                lines.append([problem, f"`{name}`", *spread(own.values()), *cells])
    above = [f"above {factor}" for factor in FACTORS]
    return markdown_table(["problem", "schedule", "error", "lowest", "highest", "best", *above, "worst"], lines)


def _figure(runs: Runs) -> Any:
    """Medians of the error as training goes on, and the range of the seeds: a line of panels for each use of Adam."""
    problems = runs.by("problem")
    size = (3.8 * len(problems), 3.2 * len(USES))
    figure, grid = panels(len(USES), len(problems), *size, sharex=True)
    for axes, (use, problem) in zip(grid, itertools.product(USES, problems), strict=True):
        for number, name in enumerate((CONSTANT, *OTHERS)):
            if curves := problems[problem].of(setting=f"{use}/{name}").complete_curves("errors", len(AT)):
                draw_range(axes, AT, curves, f"C{number}", shade=0.1, label=name)
        axes.set_xticks([100, 300, 1000, BUDGET], ["100", "300", "1000", f"{BUDGET}"])
        axes.minorticks_off()
    for axes, problem in zip(grid, problems, strict=False):
        axes.set_title(problem, fontsize=10)
    for axes, kind in zip(grid[:: len(problems)], USES.values(), strict=True):
        axes.set_ylabel(f"{kind.words}\nrelative L2 error", fontsize=8)
    for axes in grid[-len(problems) :]:
        axes.set_xlabel("evaluations of loss and gradient")
    grid[0].legend(fontsize=8)
    return figure
