"""What the study of widths found: spectra and times to learn a frequency against width, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pinnlab.studies.engine.recording import numbers, settled
from pinnlab.studies.engine.runner import DONE, Row
from pinnlab.studies.engine.tables import geometric_mean, markdown_table, mean_interval, slope, wrapped

SPECTRUM = ("top", "ratio_2", "ratio_4", "ratio_8", "ratio_16", "effective_rank")
MODES = (1, 4, 8)


def write_report(rows: Sequence[Row], folder: Path, at: Sequence[int]) -> list[Path]:
    """Writes `width.md` and its figure.

    Args:
        rows: the runs.
        folder: where to.
        at: the steps at which errors were measured.

    Returns:
        The files.
    """
    done = [row for row in rows if row["status"] == DONE]
    families = list(dict.fromkeys(row["problem"] for row in done))
    parts = [
        HEAD.format(runs=len(rows), seeds=len({row["seed"] for row in rows}), steps=at[-1]),
        "## The spectrum at the initial weights\n",
        SPECTRA,
        _spectra(done, families),
        "How they grow: the exponent s of width^s, with its 95 % interval over the seeds.\n",
        _growth(done, families),
        "![Spectrum and learning against width](width.png)\n",
        "## How soon a frequency is learned\n",
        TIMES,
        _times(done, families, at),
        "## What follows\n",
        wrapped(_reading(done)),
    ]
    report, figure = folder / "width.md", folder / "width.png"
    report.write_text("\n".join(parts))
    _draw(done, families, figure)
    return [report, figure]


HEAD = """# Is the kernel of a wider network better conditioned?

The theory of the neural tangent kernel is that of infinite width: there the kernel no longer depends on the draw of
the weights and hardly moves in training, and its condition number says how slowly the slowest part of the error
decays. From it one expects that the spectrum settles as the width grows, and that spectral bias stays what it is.

This study replicates that on the regression of sin(pi x) + sin(4 pi x) + sin(8 pi x) on [-1, 1] from 128 points:
{runs} runs, {seeds} seeds, two hidden layers of equal width. Each run takes the eigenvalues of the kernel at the
initial weights, and then {steps} steps of gradient descent with half of the largest stable rate (the inverse of the
largest eigenvalue), so that all widths are equally far from instability. `pinnlab study width` makes the runs and
writes this page.

The networks: `plain` is an `MLP`; `plain_unit` the same but for its first weights, which are drawn from N(0, 1) for any
width; `siren` is the one with its default frequency 5; `fourier` is the `MLP` behind 64 Fourier features of scale 10.
"""

SPECTRA = """*1 : k* is the largest eigenvalue over the k-th one, geometric means over the seeds. The whole condition
number says nothing here: a smooth kernel on 128 points has eigenvalues below any round-off. Eigenvalues are squares of
the Jacobian's singular values, so that ratios up to about 1e28 are not noise; 1 : 16 of the widest plain networks is,
and its exponent below is too small.
"""

TIMES = """Steps after which the error of a frequency of the target stays below one half, medians over the seeds. The
frequencies are the sines of the target; they are not the eigenvectors of the kernel, so they couple: `siren` learns
k = 1 first as well, and loses it again while k = 4 comes.
"""

READING = """\
- **A wider plain network is worse conditioned.** Its eighth eigenvalue is {plain_narrow} times smaller than the first
  one with 8 neurons and {plain_wide} times with 256. Theory promises a limit; Glorot's initialisation takes it away
  where there are few coordinates: the first weights have the variance 2 / (coordinates + width), so that a wider
  network sees its input on a smaller scale and is more nearly linear. `plain_unit`, which differs in nothing but these
  weights, has {unit_narrow} and {unit_wide}, though its first eigenvalue leaves all others behind.

- **What comes before the hidden layers decides, not how wide they are.** The spectra of `siren` and `fourier` settle at
  width 16 to 32, as the theory says: 1 : 8 is {siren_wide} and {fourier_wide} with 256 neurons. The effective rank
  tells the networks apart, and hardly the widths.

- **Width does not cure spectral bias.** The plain networks learn k = 1 only, and `plain` the later the wider it is.
  `siren` is best with 32 or 64 neurons (loss {siren_best} with 64, {siren_loss} with 256), though the spectrum at the
  start is the same; probably because the kernel of narrower networks moves more ([when training is lazy](lazy.md)).
  Behind Fourier features 8 neurons ({fourier_parameters} parameters, loss {fourier_loss}) do better than 256 without
  ({plain_parameters} parameters, loss {plain_loss}).

- The largest eigenvalue grows with the width everywhere but in the plain network, up to in proportion, so the largest
  stable rate falls: a rate of gradient descent that was tuned for one width is wrong for another.

- Where a network learns too slowly, widen it last: first give it the frequencies (Fourier features, a periodic
  embedding, `SIREN`), or an optimizer that does not follow the kernel ([spectral bias](spectral_bias.md)).
"""


def _width(row: Row) -> int:
    return int(row["setting"].removeprefix("width_"))


def _widths(rows: Sequence[Row]) -> list[int]:
    return sorted({_width(row) for row in rows})


def _own(rows: Sequence[Row], family: str, width: int) -> list[Row]:
    return [row for row in rows if row["problem"] == family and _width(row) == width]


def _mean(rows: Sequence[Row], family: str, width: int, name: str) -> float:
    """The geometric mean over the seeds."""
    return geometric_mean([float(row[name]) for row in _own(rows, family, width)])


def _spectra(rows: Sequence[Row], families: Sequence[str]) -> str:
    lines = []
    for family in families:
        for width in _widths(rows):
            values = [f"{_mean(rows, family, width, name):.2g}" for name in SPECTRUM]
            lines.append([family, str(width), _own(rows, family, width)[0]["parameters"], *values])
    names = ["largest", *(name.replace("ratio_", "1 : ") for name in SPECTRUM[1:-1]), "effective rank"]
    return markdown_table(["network", "width", "parameters", *names], lines)


def _growth(rows: Sequence[Row], families: Sequence[str]) -> str:
    lines = []
    for family in families:
        cells = []
        for name in SPECTRUM:
            slopes = []
            for seed in sorted({row["seed"] for row in rows}):
                own = [row for row in rows if (row["problem"], row["seed"]) == (family, seed)]
                logs = [(math.log(_width(row)), math.log(float(row[name]))) for row in own]
                slopes.append(slope([x for x, _ in logs], [y for _, y in logs]))
            mean, half = mean_interval(slopes)
            cells.append(f"{mean:.2f} ± {half:.2f}")
        lines.append([family, *cells])
    names = ["largest", *(name.replace("ratio_", "1 : ") for name in SPECTRUM[1:-1]), "effective rank"]
    return markdown_table(["network", *names], lines)


def _reading(rows: Sequence[Row]) -> str:
    narrow, wide = _widths(rows)[0], _widths(rows)[-1]

    def mean(family: str, width: int, name: str) -> str:
        return f"{_mean(rows, family, width, name):.2g}"

    return READING.format(
        plain_narrow=mean("plain", narrow, "ratio_8"),
        plain_wide=mean("plain", wide, "ratio_8"),
        siren_wide=mean("siren", wide, "ratio_8"),
        fourier_wide=mean("fourier", wide, "ratio_8"),
        unit_narrow=mean("plain_unit", narrow, "ratio_8"),
        unit_wide=mean("plain_unit", wide, "ratio_8"),
        siren_best=f"{_loss(_own(rows, 'siren', 64)):.2g}",
        siren_loss=f"{_loss(_own(rows, 'siren', wide)):.2g}",
        fourier_parameters=_own(rows, "fourier", narrow)[0]["parameters"],
        fourier_loss=f"{_loss(_own(rows, 'fourier', narrow)):.2g}",
        plain_parameters=_own(rows, "plain", wide)[0]["parameters"],
        plain_loss=f"{_loss(_own(rows, 'plain', wide)):.2g}",
    )


def _loss(rows: Sequence[Row]) -> float:
    return statistics.median(float(row["loss"]) for row in rows)


def _median_time(rows: Sequence[Row], mode: int, at: Sequence[int]) -> float:
    return statistics.median(settled(at, numbers(row[f"mode_{mode}"])) for row in rows)


def _times(rows: Sequence[Row], families: Sequence[str], at: Sequence[int]) -> str:
    lines = []
    for family in families:
        for width in _widths(rows):
            own = _own(rows, family, width)
            times = [_median_time(own, mode, at) for mode in MODES]
            cells = ("never" if math.isinf(time) else f"{time:.0f}" for time in times)
            lines.append([family, str(width), *cells, f"{_loss(own):.1e}"])
    return markdown_table(["network", "width", *(f"k = {k} halved" for k in MODES), "last loss"], lines)


def _draw(rows: Sequence[Row], families: Sequence[str], path: Path) -> None:
    """Ratios of eigenvalues, effective rank, and the loss after training, against width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    widths = _widths(rows)
    for number, family in enumerate(families):
        color = f"C{number}"
        for axes, name, style, label in (
            (left, "ratio_8", "-", f"{family}, 8th"),
            (left, "ratio_4", ":", f"{family}, 4th"),
            (middle, "effective_rank", "-", family),
        ):
            values = [_mean(rows, family, width, name) for width in widths]
            axes.loglog(widths, values, color=color, ls=style, marker=".", label=label)
        losses = [_loss(_own(rows, family, width)) for width in widths]
        right.loglog(widths, losses, color=color, marker=".")
    left.set(ylabel="largest eigenvalue / 8th (solid), 4th (dotted)", title="spread of the kernel's spectrum")
    middle.set(ylabel="effective rank", title="directions that matter")
    right.set(ylabel="loss", title="after training")
    for axes in (left, middle, right):
        axes.set_xlabel("width of both hidden layers")
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.xaxis.minorticks_off()
    left.set_ylim(top=left.get_ylim()[1] * 1e5)  # room for the legend
    left.legend(fontsize=7, ncols=2, loc="upper left")
    middle.legend(fontsize=8)
    middle.set_yscale("linear")
    middle.set_ylim(0, None)
    figure.savefig(path, dpi=110)
