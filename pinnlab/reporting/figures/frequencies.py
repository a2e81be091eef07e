"""Which frequencies a network has learned, over the course of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pinnlab.analysis.frequencies import BANDS, FLOOR, ErrorByFrequency
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures.style import PALETTE, new_figure
from pinnlab.reporting.figures.surface import Array

ROWS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 51, 64)
"""The first wave number of each row: one by one at first, then thirds of octaves; bands begin with a row."""
ROUND_OFF = 1e-12
"""Norms below this share of the reference's are not drawn."""
FAINTEST = -10.0
"""Colours stop at this power of ten: what is below is round-off, and left grey."""
FLOOR_COLOR = "0.85"


def frequency_figure(
    steps: Sequence[int], errors: Tensor, last: ErrorByFrequency, unknown: str, switches: Sequence[int] = ()
) -> Figure:
    """Shows the relative error of wave numbers over the steps, beside the spectra of reference and error.

    Spectral bias is a bright region that stays at the top, where the reference has something. Rows in which it has less
    than `FLOOR` of its norm have errors relative to the whole (see `relative_to_band`).

    Args:
        steps: the k steps at which the error was measured, rising; at least one.
        errors: `(k, m)` the mean squares of the error, `ErrorByFrequency.error`, at each of them.
        last: the spectrum at the last one, of m wave numbers.
        unknown: the name of the quantity.
        switches: the steps at which another phase began.

    Raises:
        ConfigurationError: shapes do not fit together.
    """
    if not len(steps) or errors.shape != (len(steps), len(last.wave_numbers)):
        raise ConfigurationError(
            f"errors: expected shape ({len(steps)}, {len(last.wave_numbers)}) for so many steps and wave numbers, and "
            f"at least one step; got {tuple(errors.shape)}"
        )
    rows = last.gathered(ROWS)
    values = torch.stack([replace(last, error=error.to(last.error)).gathered(ROWS).by_mode() for error in errors])
    logarithms = np.log10(np.maximum(values.cpu().numpy(), np.finfo(float).tiny))
    figure = new_figure(9.0, 4.8)
    spectra, course = figure.subplots(1, 2, sharey=True, width_ratios=(1, 2.2))
    _draw_spectra(spectra, rows)
    seen = np.ma.masked_where(~(logarithms > FAINTEST), logarithms)
    edges = _edges(np.asarray(steps, dtype=np.float64))
    colors = colormaps["magma"].with_extremes(bad=FLOOR_COLOR)
    artist = course.pcolormesh(
        edges, np.arange(len(rows.wave_numbers) + 1) - 0.5, seen.T, cmap=colors, rasterized=True,
        vmin=float(min(seen.compressed().min(initial=0.0), -1.0)), vmax=0.0,
    )  # fmt: skip
    figure.colorbar(artist, ax=course, extend="max", label="log10 relative error")
    if seen.mask.any():
        course.set_title(f"grey: below 1e{FAINTEST:.0f}, round-off", fontsize=9, loc="right", color="0.3")
    for step in switches:
        course.axvline(step, color="white", linewidth=1.2, linestyle=":")
    course.set(xlabel="step", xlim=(edges[0], edges[-1]))
    firsts = rows.wave_numbers.tolist()
    for name, places in _bands(firsts).items():
        for axes in (spectra, course):
            axes.axhline(places[0] - 0.5, color="0.6", linewidth=0.8)
        middle = (places[0] + places[-1]) / 2
        course.text(
            1.015,
            middle,
            name,
            transform=course.get_yaxis_transform(),
            rotation=90,
            va="center",
            color="0.3",
            fontsize=9,
        )
    spectra.set_yticks(range(len(firsts)), _labels(last.wave_numbers, rows.wave_numbers))
    spectra.set_ylabel("half waves across the domain")
    figure.suptitle(f"{unknown}: relative error by frequency", fontsize=13)
    return figure


def _draw_spectra(axes: Axes, rows: ErrorByFrequency) -> None:
    """The norms of reference and error in each row, relative to the whole reference."""
    whole = float(rows.reference.sum()) or 1.0
    for energy, label, color, size in (
        (rows.reference, "reference", "0.65", 9),
        (rows.error, "error now", PALETTE[1], 4),
    ):
        share = np.sqrt(energy.cpu().numpy() / whole)
        seen = np.where(share > ROUND_OFF, share, np.nan)
        axes.plot(seen, np.arange(len(share)), "o", markersize=size, color=color, label=label)
    axes.axvline(FLOOR, color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xscale="log", xlabel="norm, relative to the reference's")
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 0.99), columnspacing=1)


def _bands(firsts: Sequence[float]) -> dict[str, list[int]]:
    """The numbers of the rows in each band that has some."""
    starts = list(BANDS.values())
    band = [sum(first >= start for start in starts) - 1 for first in firsts]
    rows = {name: [k for k, own in enumerate(band) if own == number] for number, name in enumerate(BANDS)}
    return {name: places for name, places in rows.items() if places}


def _labels(numbers: Tensor, firsts: Tensor) -> list[str]:
    """The wave numbers of each row, as `10-12`."""
    row = torch.bucketize(numbers, firsts, right=True) - 1
    ends = [(int(numbers[row == k].min()), int(numbers[row == k].max())) for k in range(len(firsts))]
    labels = [f"{low}" if low == high else f"{low}-{high}" for low, high in ends]
    return [*labels[:-1], f"{ends[-1][0]}+"]


def _edges(places: Array) -> Array:
    """Half-way between places, and as far beyond the outer ones."""
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    middle = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])
