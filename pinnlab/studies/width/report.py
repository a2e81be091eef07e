"""What the study of widths found: spectra and times to learn a frequency against width, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import settled
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean, mean_interval, slope
from pinnlab.studies.width.runs import AT, MODES, PLACES, STUDY

SPECTRUM = {"top": "largest", **{f"ratio_{k}": f"1 : {k}" for k in PLACES}, "effective_rank": "effective rank"}
"""What the tables show of a spectrum, and how they call it."""

Cases = dict[str, dict[int, Runs]]
"""The runs by network and width."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `width.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    cases = {network: _by_width(own) for network, own in runs.done.by("problem").items()}
    page.add(HEAD.format(runs=len(runs), seeds=len(runs.seeds), steps=AT[-1]))
    page.section(
        "The spectrum at the initial weights", SPECTRA, if_made(_spectra, cases), GROWTH, if_made(_growth, runs.done)
    )
    page.figure("Spectrum and learning against width", if_made(_figure, cases))
    page.section("How soon a frequency is learned", TIMES, if_made(_times, cases))
    page.section("What follows", if_made(_reading, cases))
    return page.write(folder)


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

GROWTH = "How they grow: the exponent s of width^s, with its 95 % interval over the seeds.\n"

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


def _by_width(runs: Runs) -> dict[int, Runs]:
    return dict(sorted((_width(own.rows[0]), own) for own in runs.by("setting").values()))


def _spectra(cases: Cases) -> str:
    lines = []
    for network, widths in cases.items():
        for width, own in widths.items():
            values = [f"{geometric_mean(own.values(name)):.2g}" for name in SPECTRUM]
            lines.append([network, str(width), own.rows[0]["parameters"], *values])
    return markdown_table(["network", "width", "parameters", *SPECTRUM.values()], lines)


def _growth(runs: Runs) -> str:
    lines = []
    for network, found in runs.by("problem").items():
        cells = []
        for name in SPECTRUM:
            seeds = [
                ([math.log(_width(row)) for row in own], [math.log(float(row[name])) for row in own])
                for own in found.by("seed").values()
            ]
            mean, half = mean_interval([slope(x, y) for x, y in seeds])
            cells.append(f"{mean:.2f} ± {half:.2f}")
        lines.append([network, *cells])
    return markdown_table(["network", *SPECTRUM.values()], lines)


def _reading(cases: Cases) -> str:
    narrow, *_, wide = cases["plain"]

    def eighth(network: str, width: int) -> str:
        return f"{geometric_mean(cases[network][width].values('ratio_8')):.2g}"

    def loss(network: str, width: int) -> str:
        return f"{cases[network][width].median('loss'):.2g}"

    words = READING.format(
        plain_narrow=eighth("plain", narrow),
        plain_wide=eighth("plain", wide),
        siren_wide=eighth("siren", wide),
        fourier_wide=eighth("fourier", wide),
        unit_narrow=eighth("plain_unit", narrow),
        unit_wide=eighth("plain_unit", wide),
        siren_best=loss("siren", 64),
        siren_loss=loss("siren", wide),
        fourier_parameters=cases["fourier"][narrow].rows[0]["parameters"],
        fourier_loss=loss("fourier", narrow),
        plain_parameters=cases["plain"][wide].rows[0]["parameters"],
        plain_loss=loss("plain", wide),
    )
    return wrapped(words)


def _times(cases: Cases) -> str:
    lines = []
    for network, widths in cases.items():
        for width, own in widths.items():
            times = [statistics.median(settled(AT, curve) for curve in own.curves(mode)) for mode in MODES]
            cells = ("never" if math.isinf(time) else f"{time:.0f}" for time in times)
            lines.append([network, str(width), *cells, f"{own.median('loss'):.1e}"])
    halved = (f"k = {mode.removeprefix('mode_')} halved" for mode in MODES)
    return markdown_table(["network", "width", *halved, "last loss"], lines)


def _figure(cases: Cases) -> Any:
    """Ratios of eigenvalues, effective rank, and the loss after training, against width."""
    figure, (left, middle, right) = panels(1, 3, 12, 4)
    for number, (network, widths) in enumerate(cases.items()):
        for axes, name, style, label in (
            (left, "ratio_8", "-", f"{network}, 8th"),
            (left, "ratio_4", ":", f"{network}, 4th"),
            (middle, "effective_rank", "-", network),
        ):
            values = [geometric_mean(own.values(name)) for own in widths.values()]
            axes.loglog(list(widths), values, color=f"C{number}", ls=style, marker=".", label=label)
        losses = [own.median("loss") for own in widths.values()]
        right.loglog(list(widths), losses, color=f"C{number}", marker=".")
    left.set(ylabel="largest eigenvalue / 8th (solid), 4th (dotted)", title="spread of the kernel's spectrum")
    middle.set(ylabel="effective rank", title="directions that matter")
    right.set(ylabel="loss", title="after training")
    ticks = sorted({width for widths in cases.values() for width in widths})
    for axes in (left, middle, right):
        axes.set_xlabel("width of both hidden layers")
        axes.set_xticks(ticks, [str(width) for width in ticks])
        axes.xaxis.minorticks_off()
    left.set_ylim(top=left.get_ylim()[1] * 1e5)  # room for the legend
    left.legend(fontsize=7, ncols=2, loc="upper left")
    middle.legend(fontsize=8)
    middle.set_yscale("linear")
    middle.set_ylim(0, None)
    return figure
