"""What the study of lazy training found: how long the prediction of the initial kernel holds, a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.report import Page, if_made, markdown_table
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import median_curve
from pinnlab.studies.lazy.runs import AT, FRACTIONS, STUDY, WIDTHS

STEPS = 200
"""The number of steps for which the prediction is asked to hold."""

PLACE = AT.index(STEPS)

WITHIN = 0.05
"""How well: the relative error of the leading modes."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `lazy.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(HEAD.format(runs=len(runs), seeds=len(runs.seeds), steps=AT[-1]))
    for problem, own in runs.done.by("problem").items():
        page.section(problem, _table(own))
    page.figure("Error of the prediction", if_made(_figure, runs.done))
    page.section("What follows", if_made(_reading, runs.done))
    return page.write(folder)


HEAD = """# When is training lazy?

Near some parameters theta_0 the residual is linear in theta: r = r_0 + J (theta - theta_0). As long as that holds, a
step of gradient descent on the loss r'r, whose gradient is 2 J'r, takes r to (1 - 2 a JJ') r, where a is the rate.
Along an eigenvector of the kernel JJ' with eigenvalue lambda the residual is multiplied by 1 - 2 a lambda, so that
after k steps it is (1 - 2 a lambda)^k of what it was. Everything that the kernel "explains" about training rests on
that. When is it true?

{runs} runs, {seeds} seeds of points and weights: networks with one hidden layer behind 64 Fourier features (scale 10
for the regression of three sines on 64 points, scale 5 for `poisson1d` on 64 points and its two ends), {steps} steps of
plain gradient descent with the rate a = 0.02, 0.1 or 0.5 of the largest stable one, 1 / lambda_1. Fourier features,
because a plain network has two or three modes that move at all within so many steps, and a prediction that nothing
happens is easily right. For comparison a network with two hidden layers of 64, and Adam. `pinnlab study lazy` makes the
runs and writes this page.

- *worst mode*: the largest relative error of a predicted coefficient at any time up to 200 steps and for any seed,
  among the modes with at least 1 % of the initial loss while at least 10 % of them should be left; *within 5 % until*
  is for how many steps that stays below 5 % with every seed;
- *residual*: the relative error of the predicted residual, ||r - predicted|| / ||predicted||, median over the seeds;
- *linear model*: the share of the residual's change that r_0 + J (theta - theta_0) misses at the parameters which
  training has reached in 200 steps: it asks about the network only, and can be asked of any optimizer;
- *kernel moved*, *weights moved*: their relative change in 200 steps; *loss left*: of the initial one.
"""
READING = """- **It holds for a wide network and little training.** With 1,024 neurons and the rate 0.02 the worst
  leading mode is within {worst_regression} of its prediction over 200 steps for the regression and within
  {worst_poisson1d} for Poisson's equation, while the loss falls to {loss_regression} and {loss_poisson1d}: it is no
  prediction that nothing happens.
- **What counts is the product of rate and steps, not the size of the step.** With 256 neurons the residual is wrong by
  {slow_regression} after 1,000 steps at rate 0.02 and by {fast_regression} after 200 at rate 0.1 (Poisson:
  {slow_poisson1d} and {fast_poisson1d}). Smaller steps postpone the end of the lazy regime, and the training with it.
- **It stops within ten steps for networks of ordinary width.** With 16 or 64 neurons, or two layers of 64, a tenth of
  the stable rate is enough. Leaving the lazy regime is no harm: after 1,000 steps the loss of the regression is
  {lowest_regression} to {highest_regression} times the predicted one; for Poisson's equation it is {lowest_poisson1d}
  to {highest_poisson1d} times.
- **Look at the kernel to see whether a run is lazy.** The runs with all leading modes within 5 % moved their kernel by
  {within_kernel} at most in 200 steps, the others by {beyond_kernel} at least. The weights do not tell:
  {within_weights} at most there, {beyond_weights} at least here.
- **Adam is not slow gradient descent.** On the wide network with rate 1e-4 the linear model is still right to
  {adam_linear} for Poisson's equation after 200 steps, yet {adam_loss} of the loss is left where the fastest gradient
  descent leaves {descent_loss}. Adam is lazy there, too, but with another kernel, J D J' with its own scales D: the
  spectrum of JJ' says nothing about its speed.
- So eigenvalues of the initial kernel tell which modes come first, and when, for the first tens of steps. For a network
  that is trained to the end, ask for the kernel as it is then.
"""


def holds_until(at: Sequence[int], errors: Sequence[float]) -> int:
    """The last number of steps up to which all errors are within `WITHIN`; 0 when the first is not.

    NaN, where no mode is left to compare, ends it like an error that is too large.
    """
    good = 0
    for steps, error in zip(at, errors, strict=False):
        if not error <= WITHIN:
            break
        good = steps
    return good


def _table(runs: Runs) -> str:
    lines = []
    for setting, own in runs.by("setting").items():
        worst = _worst(own)
        until = min(holds_until(AT, curve) for curve in own.curves("mode"))
        cells = [_percent(worst), "-" if math.isnan(worst) else str(until)]
        cells += [_percent(_median(own, "residual", place)) for place in (PLACE, -1)]
        cells += [_percent(_median(own, name)) for name in ("linear", "kernel", "weights", "loss")]
        lines.append([setting, *cells])
    heading = [
        "setting", f"worst mode, {STEPS} steps", f"within {WITHIN:.0%} until", f"residual, {STEPS}",
        f"residual, {AT[-1]}", "linear model", "kernel moved", "weights moved", "loss left",
    ]  # fmt: skip
    return markdown_table(heading, lines)


def _reading(runs: Runs) -> str:
    def median(problem: str, setting: str, name: str, place: int = PLACE) -> str:
        return _percent(_median(runs.of(problem=problem, setting=setting), name, place))

    words = {
        "adam_linear": median("poisson1d", "adam_1e-4_width_1024", "linear"),
        "adam_loss": median("poisson1d", "adam_1e-4_width_1024", "loss"),
        "descent_loss": median("poisson1d", "gd_0.5_width_1024", "loss"),
    }
    for problem in ("regression", "poisson1d"):
        own = runs.of(problem=problem)
        descents = Runs(row for row in own if row["setting"].startswith("gd"))
        pairs = zip(descents.curves("loss"), descents.curves("predicted"), strict=True)
        ratios = [loss[-1] / predicted[-1] for loss, predicted in pairs]
        words |= {
            f"worst_{problem}": _percent(_worst(own.of(setting="gd_0.02_width_1024"))),
            f"loss_{problem}": median(problem, "gd_0.02_width_1024", "loss"),
            f"slow_{problem}": median(problem, "gd_0.02_width_256", "residual", -1),
            f"fast_{problem}": median(problem, "gd_0.1_width_256", "residual"),
            f"lowest_{problem}": f"{min(ratios):.2g}",
            f"highest_{problem}": f"{max(ratios):.2g}",
        }
    return READING.format(**words, **_movements(runs))


def _movements(runs: Runs) -> dict[str, str]:
    """How far kernel and weights moved: at most where the prediction held, at least where it did not."""
    cases = [own for found in runs.by("problem").values() for own in found.by("setting").values()]
    words = {}
    for name in ("kernel", "weights"):
        within = [_median(own, name) for own in cases if _worst(own) <= WITHIN]
        beyond = [_median(own, name) for own in cases if _worst(own) > WITHIN]
        words[f"within_{name}"] = _percent(max(within, default=math.nan))
        words[f"beyond_{name}"] = _percent(min(beyond, default=math.nan))
    return words


def _worst(runs: Runs) -> float:
    """The largest error of a leading mode within `STEPS`, of all seeds; NaN where no mode ever led."""
    errors = [error for curve in runs.curves("mode") for error in curve[: PLACE + 1]]
    return max((error for error in errors if not math.isnan(error)), default=math.nan)


def _median(runs: Runs, name: str, place: int = PLACE) -> float:
    return median_curve(runs.curves(name))[place]


def _percent(value: float) -> str:
    percent = 100 * value
    return "-" if math.isnan(value) else f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def _figure(runs: Runs) -> Any:
    """The relative error of the predicted residual over the steps: medians over the seeds, by width and rate."""
    problems = runs.by("problem")
    figure, grid = panels(1, len(problems), 5.5 * len(problems), 4.4, sharey=True)
    for axes, (problem, found) in zip(grid, problems.items(), strict=True):
        for number, width in enumerate(WIDTHS):
            for fraction, style in zip(FRACTIONS, ("-", "--", ":"), strict=True):
                if own := found.of(setting=f"gd_{fraction}_width_{width}"):
                    errors, label = median_curve(own.curves("residual")), f"width {width}, rate {fraction}"
                    axes.loglog(AT, errors, color=f"C{number}", ls=style, marker=".", ms=4, label=label)
        axes.axhline(WITHIN, color="black", lw=0.8)
        axes.axvline(STEPS, color="black", lw=0.8)
        axes.set(title=problem, xlabel="steps of gradient descent")
        axes.set_xticks(AT, [str(steps) for steps in AT])
        axes.minorticks_off()
    grid[0].set_ylabel("relative error of the predicted residual")
    grid[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
