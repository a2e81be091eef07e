"""What figures have in common: how they are made and written, colours and markers.

Figures are built on the Agg canvas without pyplot, so there is no global state and nothing to close.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pinnlab.reporting.files import whole

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colour-blind safe, of Okabe and Ito (2008)."""

Layout = Literal["constrained", "compressed"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def colour_of(number: int) -> str:
    """That of the first line, the second, and so on; the palette begins again after its end."""
    return PALETTE[number % len(PALETTE)]


def marker_of(number: int) -> str:
    """Likewise, another one for each line of a colour."""
    return MARKERS[(number + number // len(PALETTE)) % len(MARKERS)]


class ShownFigure(Figure):
    """A figure that a notebook shows where pyplot, which would see to that, was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def new_figure(width: float, height: float, layout: Layout | None = "constrained") -> Figure:
    """A figure of so many inches, whose panels make room for their labels.

    Args:
        width: in inches.
        height: in inches.
        layout: matplotlib's name; `"compressed"` where panels have their own proportions, None where to look for room
            takes too long.
    """
    figure = ShownFigure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def empty_figure(title: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = new_figure(6.0, 2.0)
    figure.suptitle(title, fontsize=13)
    return figure


def enlarge(figure: Figure, text: float = 16, ticks: float = 14) -> Figure:
    """Gives all axes of a figure type that is read where TensorBoard shows it on some 320 pixels; returns it.

    Args:
        figure: with its axes, those of colour bars included.
        text: points, of titles and names of axes.
        ticks: points, of numbers at axes, legends and words inside.
    """
    for axes in figure.axes:
        for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(text)
        axes.tick_params(which="both", labelsize=ticks)
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    for words in (*(t for legend in legends for t in legend.get_texts()), *(t for a in figure.axes for t in a.texts)):
        words.set_fontsize(ticks)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Writes a PNG, whole or not at all; missing folders are made. Returns the path."""
    return whole(Path(path), lambda part: figure.savefig(part, format="png", dpi=dpi))
