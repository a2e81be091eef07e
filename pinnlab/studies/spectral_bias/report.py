"""What the study of spectral bias found: when each frequency is learned, how the kernel changes, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import draw_range, panels
from pinnlab.studies.engine.recording import settled
from pinnlab.studies.engine.report import Page, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.spectral_bias.runs import AT, FREQUENCIES, STUDY


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `spectral_bias.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    page.add(HEAD.format(runs=len(runs), seeds=len(runs.seeds), budget=AT[-1]))
    settings = runs.done.by("setting")
    page.section("When a frequency is learned", LEARNED, _learned(settings))
    page.figure("Error by frequency", _figure(settings))
    page.section("What the kernel says", KERNEL, _predicted(settings), MOVES, _moved(settings))
    page.section("What follows", _reading(settings))
    return page.write(folder)


HEAD = """# Which frequencies does an optimizer learn, and when?

The target is sin(pi x) + sin(4 pi x) + sin(8 pi x) on [-1, 1], given by its values at 512 points (`regression_gd`); the
network has two hidden layers of 64. {runs} runs, {seeds} seeds, up to {budget} evaluations of the loss and its
gradient; with Fourier features a fifth of that. `pinnlab study spectral_bias` makes the runs and writes this page.

- `gd`: gradient descent with the rate of the recipe, 0.02; `gd_fast`: with half of the largest stable rate, which is
  the inverse of the kernel's largest eigenvalue at the start;
- `adam`: as in the recipe `regression_adam`, rate 2e-3; `lbfgs`: as shipped;
- `..._fourier`: the same behind 64 Fourier features of scale 10.
"""

LEARNED = """A mode's error is that of its coefficient relative to the target's: 1 is not learned at all. A line through
the values at the ends of the interval is taken off first. The error counts as halved from where it stays below one
half. Medians over the seeds.
"""

KERNEL = """A step of `gd_fast` takes the share q'Kq / (q'q lambda_1) off the residual along q. So the kernel at the
start seems to say how fast the sine q of each frequency is learned; the same for what is left of the sine without its
best straight line. Steps until the error of the mode is first below one half, as predicted from these shares,
ln 2 / -ln(1 - share), and as `gd_fast` took them. Medians over the seeds.
"""

MOVES = """And how these shares of the bent sines change in training: at the end, over those at the start.
"""

READING = """\
- **Gradient descent is biased, and a larger rate only shifts it.** With the recipe's rate 5,000 steps learn k = 1 and
  nothing of k = 4. With half of the largest stable one, which is four to five times larger, k = 4 is being learned at
  the end, and k = 8 has begun.

- **The optimizer changes how long it takes, not which comes first.** Adam has learned all three in the same 5,000
  evaluations (error {adam:.1e}), L-BFGS much better ({lbfgs:.1e}); with both k = 1 is below one half first, then k = 4,
  then k = 8. But k = 1 is partly lost again on the way, with gradient descent as well, and has the largest error of the
  three after Adam and L-BFGS: the loss falls, its frequencies do not fall one by one.

- **Fourier features do as much as the optimizer.** With them plain gradient descent is at {gd_fast_fourier:.1e} after
  1,000 steps, where L-BFGS without has two thirds of k = 1 still to learn; L-BFGS with them ends at
  {lbfgs_fourier:.1e}. They also turn the order around: k = 4 comes first, and k = 1 last.

- **A Rayleigh quotient of a sine promises too much.** The plain network's says {sine_1} steps for k = 1, which took
  {taken_1}. More than half of that sine's mean square is a straight line, and constants and lines are the first two
  eigenvectors of this kernel: what the quotient measures is learned at once and is not the wave. It is an average of
  eigenvalues, and the slow ones decide. That holds behind Fourier features, too ({fourier_1} step against
  {fourier_taken_1} for k = 1), and there it gets the order wrong.

- **Without its line it promises too little.** For the bent sines the kernel at the start says {bent_1} and {bent_4}
  steps; it took {taken_1} and {taken_4}. The kernel does not stand still: in training these quotients grow sixty
  to four thousand times. With Fourier features they hardly move.

- So the kernel at the start explains why a plain network learns a line first and waves late, and the order of the
  waves. It does not tell when. Ask the kernel of the moment (`NTKSpectrum`, `pinnlab diagnose`), and its eigenvectors
  rather than sines; see [when training is lazy](lazy.md).
"""


def _learned(settings: Mapping[str, Runs]) -> str:
    """Medians over the seeds of the evaluations that halve a mode's error, of its last error, and of the whole one."""
    lines = []
    for setting, own in settings.items():
        curves = [own.curves(f"mode_{k}") for k in FREQUENCIES]
        halved = [_steps(statistics.median(settled(AT, curve) for curve in seeds)) for seeds in curves]
        last = [statistics.median(curve[-1] for curve in seeds) for seeds in curves]
        errors = [f"{error:.1e}" for error in (*last, own.median())]
        lines.append([setting, *halved, *errors, own.rows[0]["evaluations"]])
    heading = ["setting", *(f"k = {k} halved" for k in FREQUENCIES), *(f"error, k = {k}" for k in FREQUENCIES)]
    return markdown_table([*heading, "whole", "of evaluations"], lines)


def _predicted(settings: Mapping[str, Runs]) -> str:
    """Of both networks: shares at the start, and the steps that these and gradient descent take to halve an error."""
    lines = []
    for network, setting in (("plain", "gd_fast"), ("fourier", "gd_fast_fourier")):
        for k in FREQUENCIES if setting in settings else ():
            shares = [f"{_share(settings[setting], name, k):.2g}" for name in ("rate", "bent")]
            lines.append([network, str(k), *shares, *_halved(settings[setting], k)])
    heading = ["share, sine", "share, bent sine", "halved, sine", "halved, bent sine", "halved, `gd_fast`"]
    return markdown_table(["network", "k", *heading], lines)


def _share(runs: Runs, name: str, k: int) -> float:
    return statistics.median(curve[0] for curve in runs.curves(f"{name}_{k}"))


def _halved(runs: Runs, k: int) -> list[str]:
    """Steps until an error is halved: as the quotients of the sine and of the bent sine have it, and as they were."""
    predicted = [math.log(2) / -math.log1p(-_share(runs, name, k)) for name in ("rate", "bent")]
    taken = statistics.median(_reached(AT, curve) for curve in runs.curves(f"mode_{k}"))
    return [_steps(number) for number in (*predicted, taken)]


def _reading(settings: Mapping[str, Runs]) -> str | None:
    """The conclusions; none from a part of the runs."""
    if not {"adam", "lbfgs", "gd_fast", "gd_fast_fourier", "lbfgs_fourier"} <= settings.keys():
        return None
    facts: dict[str, object] = {setting: own.median() for setting, own in settings.items()}
    for k in (1, 4):
        facts |= dict(zip((f"sine_{k}", f"bent_{k}", f"taken_{k}"), _halved(settings["gd_fast"], k), strict=True))
    facts["fourier_1"], _, facts["fourier_taken_1"] = _halved(settings["gd_fast_fourier"], 1)
    return wrapped(READING.format(**facts))


def _moved(settings: Mapping[str, Runs]) -> str:
    """Medians over the seeds of the shares of bent sines at the end, over those at the start."""
    lines = []
    for setting, own in settings.items():
        curves = [own.curves(f"bent_{k}") for k in FREQUENCIES]
        ratios = [statistics.median(curve[-1] / curve[0] for curve in seeds) for seeds in curves]
        lines.append([setting, *(f"{ratio:.2g}" for ratio in ratios)])
    return markdown_table(["setting", *(f"k = {k}" for k in FREQUENCIES)], lines)


def _reached(at: Sequence[int], curve: Sequence[float], level: float = 0.5) -> float:
    """When a curve is first below a level; infinite if it never is."""
    return next((n for n, value in zip(at, curve, strict=False) if value < level), math.inf)


def _steps(number: float) -> str:
    return "never" if math.isinf(number) else f"{math.ceil(float(f'{number:.2g}')):,}"


def _figure(settings: Mapping[str, Runs]) -> Any:
    """A panel for each setting: the error of every frequency over the evaluations, medians and ranges."""
    columns = 4
    lines = -(-len(settings) // columns)
    figure, grid = panels(lines, columns, 12, 3 * lines, sharey=True)
    places = [max(n, 5) for n in AT]  # 0 has no place on a logarithmic axis
    for axes, (setting, own) in zip(grid, settings.items(), strict=False):
        for number, k in enumerate(FREQUENCIES):
            draw_range(axes, places, own.curves(f"mode_{k}"), f"C{number}", shade=0.15, label=f"k = {k}")
        axes.axhline(1.0, color="grey", lw=0.8, ls=":")
        axes.set(title=setting, xlabel="evaluations")
    for axes in grid[len(settings) :]:
        axes.set_visible(False)
    for axes in grid[::columns]:
        axes.set_ylabel("relative error of the mode")
    grid[0].legend(fontsize=8)
    return figure
