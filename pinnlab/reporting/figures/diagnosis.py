"""A diagnosis as one figure: the kernel's spectrum, the terms of the loss, their gradients, and frequencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from pinnlab.analysis.signatures import OCTAVES, Bands
from pinnlab.reporting.figures.style import MARKERS, PALETTE, colour_of, new_figure
from pinnlab.reporting.figures.surface import Array

_WIDEST = 3
_ROUND_OFF = 1e-13
"""Amplitudes below this share of the largest one are not drawn."""


@dataclass(frozen=True)
class Panels:
    """What is shown.

    Attributes:
        title: above all of it.
        kernel: eigenvalues `(k,)` of the kernel's blocks, in descending order, those above round-off.
        terms: for each condition its part of the loss and the norm of its gradient.
        cosines: `(terms, terms)` between the gradients.
        hessian: eigenvalues of the Hessian that are largest in size.
        bands: error by frequency of each unknown, or the residual of each equation.
    """

    title: str
    kernel: Mapping[str, ArrayLike]
    terms: Mapping[str, tuple[float, float]]
    cosines: Sequence[Sequence[float]]
    hessian: Sequence[float]
    bands: Mapping[str, Bands]


def diagnosis_figure(shown: Panels) -> Figure:
    """Draws a panel for each thing that there is to show.

    A kernel whose eigenvalues fall steeply is learned in a few directions only. A term whose gradient is far below the
    others has no say. Gradients with a cosine near -1 pull against each other, as they do at every minimum.

    Args:
        shown: the numbers.
    """
    draw: list[Callable[[Axes, Panels], None]] = [_kernel, _terms]
    draw += [_cosines] if len(shown.terms) > 1 else []
    draw += [_hessian] + ([_frequencies] if shown.bands else [])
    columns = min(len(draw), _WIDEST)
    rows = -(-len(draw) // columns)
    figure = new_figure(4.4 * columns, 3.7 * rows + 0.5)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, panel in zip(panels, draw, strict=False):
        panel(axes, shown)
    for axes in panels[len(draw) :]:
        axes.set_visible(False)
    figure.suptitle(shown.title, fontsize=13)
    return figure


def _kernel(axes: Axes, shown: Panels) -> None:
    for k, (name, values) in enumerate(shown.kernel.items()):
        found = _positive(values)
        style = {"color": "0.25", "linewidth": 3.0, "alpha": 0.45} if name == "total" else {"color": colour_of(k)}
        axes.plot(np.arange(1, len(found) + 1), found, label=name, **style)
    axes.set(xscale="log", xlabel="number", ylabel="eigenvalue", title="kernel by condition")
    _logarithmic(axes, np.concatenate([line.get_ydata() for line in axes.lines]))
    axes.legend(frameon=False, fontsize=9)


def _terms(axes: Axes, shown: Panels) -> None:
    places = np.arange(len(shown.terms))
    for offset, label, colour, values in (
        (-0.2, "part of the loss", PALETTE[0], [loss for loss, _ in shown.terms.values()]),
        (0.2, "norm of its gradient", PALETTE[1], [gradient for _, gradient in shown.terms.values()]),
    ):
        axes.bar(places + offset, _positive(values), 0.38, color=colour, label=label)
    axes.set_xticks(places, list(shown.terms))
    axes.set_title("terms of the loss")
    axes.margins(y=0.25)
    _logarithmic(axes, np.asarray(list(shown.terms.values())))
    axes.legend(frameon=False, fontsize=9)


def _cosines(axes: Axes, shown: Panels) -> None:
    names, values = list(shown.terms), np.asarray(shown.cosines, dtype=np.float64)
    axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else f"{value:.2f}"
        axes.text(j, i, text, ha="center", va="center", color="white" if abs(value) > 0.6 else "black", fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_title("cosines of their gradients")


def _hessian(axes: Axes, shown: Panels) -> None:
    values = np.asarray(shown.hessian, dtype=np.float64)
    for sign, label, colour, marker in (
        (1, "positive", PALETTE[0], MARKERS[0]),
        (-1, "negative", PALETTE[1], MARKERS[1]),
    ):
        sizes = np.sort((sign * values)[sign * values > 0])[::-1]
        if len(sizes):
            axes.plot(np.arange(1, len(sizes) + 1), sizes, marker, color=colour, label=label)
    axes.set(xlabel="number", ylabel="size", title="largest curvatures of the loss")
    _logarithmic(axes, np.abs(values))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)


def _frequencies(axes: Axes, shown: Panels) -> None:
    names = [f"{high:.0f}" if np.isfinite(high) else "more" for high in OCTAVES]
    places = np.arange(len(names))
    for k, (name, bands) in enumerate(shown.bands.items()):
        if bands.reference:
            reference = np.sqrt(np.asarray(bands.reference))
            axes.plot(
                places, _positive(reference), color=colour_of(k), linewidth=3.5, alpha=0.45, label=f"{name}: solution"
            )
        what = "error" if bands.reference else "residual"
        axes.plot(places, _amplitudes(bands.error), "o-", color=colour_of(k), label=f"{name}: {what}")
    axes.set_xticks(places, names)
    axes.set(xlabel="half waves, up to", ylabel="root mean square", title="frequencies")
    _logarithmic(axes, np.concatenate([line.get_ydata() for line in axes.lines]))
    axes.legend(frameon=False, fontsize=9)


def _logarithmic(axes: Axes, values: Array) -> None:
    """A logarithmic scale, unless there is nothing to show on it."""
    if (values > 0).any():
        axes.set_yscale("log")


def _amplitudes(energies: Sequence[float]) -> Array:
    found = np.sqrt(np.asarray(energies, dtype=np.float64))
    return np.where(found > _ROUND_OFF * found.max(), found, np.nan)


def _positive(values: ArrayLike) -> Array:
    found = np.asarray(values, dtype=np.float64)
    return np.where(found > 0, found, np.nan)
