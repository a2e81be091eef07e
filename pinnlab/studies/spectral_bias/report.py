"""What the study of spectral bias found: when each frequency is learned, how the kernel changes, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pinnlab.studies.engine.recording import numbers, settled
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import markdown_table, wrapped


def write_report(rows: Sequence[Row], folder: Path, frequencies: Sequence[int], at: Sequence[int]) -> list[Path]:
    """Writes `spectral_bias.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        frequencies: of the target.
        at: the evaluations at which was measured; shorter runs have fewer of them.

    Returns:
        The files.
    """
    done = [row for row in rows if row["status"] == DONE]
    settings = list(dict.fromkeys(row["setting"] for row in done))
    parts = [
        HEAD.format(runs=len(rows), seeds=len({row["seed"] for row in rows}), budget=at[-1]),
        "## When a frequency is learned\n",
        LEARNED,
        _learned(done, settings, frequencies, at),
        "![Error by frequency](spectral_bias.png)\n",
        "## What the kernel says\n",
        KERNEL,
        _predicted(done, frequencies, at),
        MOVES,
        _moved(done, settings, frequencies),
        *_reading(done, settings, at),
    ]
    report, figure = folder / "spectral_bias.md", folder / "spectral_bias.png"
    report.write_text("\n".join(parts))
    _draw(done, settings, frequencies, at, figure)
    return [report, figure]


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


def _own(rows: Sequence[Row], setting: str) -> list[Row]:
    return [row for row in rows if row["setting"] == setting]


def _learned(rows: Sequence[Row], settings: Sequence[str], frequencies: Sequence[int], at: Sequence[int]) -> str:
    """Medians over the seeds of the evaluations that halve a mode's error, of its last error, and of the whole one."""
    lines = []
    for setting in settings:
        own = _own(rows, setting)
        halved = [statistics.median(settled(at, numbers(row[f"mode_{k}"])) for row in own) for k in frequencies]
        last = [statistics.median(numbers(row[f"mode_{k}"])[-1] for row in own) for k in frequencies]
        whole = statistics.median(float(row["relative_l2"]) for row in own)
        cells = [_steps(n) for n in halved] + [f"{e:.1e}" for e in last]
        lines.append([setting, *cells, f"{whole:.1e}", own[0]["evaluations"]])
    heading = ["setting", *(f"k = {k} halved" for k in frequencies), *(f"error, k = {k}" for k in frequencies)]
    return markdown_table([*heading, "whole", "of evaluations"], lines)


def _predicted(rows: Sequence[Row], frequencies: Sequence[int], at: Sequence[int]) -> str:
    """Of both networks: shares at the start, and the steps that these and gradient descent take to halve an error."""
    lines = []
    for network, setting in (("plain", "gd_fast"), ("fourier", "gd_fast_fourier")):
        own = _own(rows, setting)
        for k in frequencies if own else ():
            shares = [f"{_share(own, name, k):.2g}" for name in ("rate", "bent")]
            lines.append([network, str(k), *shares, *_halved(own, k, at)])
    heading = ["share, sine", "share, bent sine", "halved, sine", "halved, bent sine", "halved, `gd_fast`"]
    return markdown_table(["network", "k", *heading], lines)


def _share(rows: Sequence[Row], name: str, k: int) -> float:
    return statistics.median(numbers(row[f"{name}_{k}"])[0] for row in rows)


def _halved(rows: Sequence[Row], k: int, at: Sequence[int]) -> list[str]:
    """Steps until an error is halved: as the quotients of the sine and of the bent sine have it, and as they were."""
    predicted = [math.log(2) / -math.log1p(-_share(rows, name, k)) for name in ("rate", "bent")]
    taken = statistics.median(_reached(at, numbers(row[f"mode_{k}"])) for row in rows)
    return [_steps(number) for number in (*predicted, taken)]


def _reading(rows: Sequence[Row], settings: Sequence[str], at: Sequence[int]) -> list[str]:
    """The conclusions; none from a part of the runs."""
    if not {"adam", "lbfgs", "gd_fast", "gd_fast_fourier", "lbfgs_fourier"} <= set(settings):
        return []
    facts: dict[str, object] = {
        setting: statistics.median(float(row["relative_l2"]) for row in _own(rows, setting)) for setting in settings
    }
    for k in (1, 4):
        facts |= dict(zip((f"sine_{k}", f"bent_{k}", f"taken_{k}"), _halved(_own(rows, "gd_fast"), k, at), strict=True))
    facts["fourier_1"], _, facts["fourier_taken_1"] = _halved(_own(rows, "gd_fast_fourier"), 1, at)
    return ["## What follows\n", wrapped(READING.format(**facts))]


def _moved(rows: Sequence[Row], settings: Sequence[str], frequencies: Sequence[int]) -> str:
    """Medians over the seeds of the shares of bent sines at the end, over those at the start."""
    lines = []
    for setting in settings:
        curves = [[numbers(row[f"bent_{k}"]) for row in _own(rows, setting)] for k in frequencies]
        ratios = [statistics.median(curve[-1] / curve[0] for curve in seeds) for seeds in curves]
        lines.append([setting, *(f"{ratio:.2g}" for ratio in ratios)])
    return markdown_table(["setting", *(f"k = {k}" for k in frequencies)], lines)


def _reached(at: Sequence[int], curve: Sequence[float], level: float = 0.5) -> float:
    """When a curve is first below a level; infinite if it never is."""
    return next((n for n, value in zip(at, curve, strict=False) if value < level), math.inf)


def _steps(number: float) -> str:
    return "never" if math.isinf(number) else f"{math.ceil(float(f'{number:.2g}')):,}"


def _draw(
    rows: Sequence[Row], settings: Sequence[str], frequencies: Sequence[int], at: Sequence[int], path: Path
) -> None:
    """A panel for each setting: the error of every frequency over the evaluations, medians and ranges."""
    from matplotlib.figure import Figure

    columns = 4
    lines = -(-len(settings) // columns)
    figure = Figure(figsize=(12, 3 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axes in panels[len(settings) :]:
        axes.set_visible(False)
    for axes, setting in zip(panels, settings, strict=False):
        for number, k in enumerate(frequencies):
            curves = [numbers(row[f"mode_{k}"]) for row in _own(rows, setting)]
            seeds = list(zip(*curves, strict=False))
            x = [max(n, 5) for n in at[: len(seeds)]]  # 0 has no place on a logarithmic axis
            medians = [statistics.median(values) for values in seeds]
            axes.loglog(x, medians, color=f"C{number}", label=f"k = {k}")
            axes.fill_between(x, [min(v) for v in seeds], [max(v) for v in seeds], color=f"C{number}", alpha=0.15)
        axes.axhline(1.0, color="grey", lw=0.8, ls=":")
        axes.set(title=setting, xlabel="evaluations")
    figure.axes[0].legend(fontsize=8)
    for line in range(lines):
        figure.axes[line * columns].set_ylabel("relative error of the mode")
    figure.savefig(path, dpi=110)
