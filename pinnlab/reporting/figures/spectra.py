"""Spectra as figures: eigenvalues of each block over time, and the density of a curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pinnlab.analysis.curvature import Curvature
from pinnlab.analysis.ntk import WHOLE
from pinnlab.reporting.figures.style import colour_of, empty_figure, new_figure
from pinnlab.reporting.figures.surface import Array

_COLUMNS = 4
_EPSILON = float(np.finfo(np.float64).eps)


def spectrum_figure(history: Sequence[tuple[int, Mapping[str, ArrayLike]]]) -> Figure:
    """Shows the eigenvalues of each block at several times, one panel for each block, the colour saying when.

    A line that is straight and steep is a kernel with a hard order: what lies a decade lower takes ten times as many
    steps of gradient descent. Below the dotted line there is nothing but round-off.

    Args:
        history: evaluations of the loss, and the eigenvalues `(k,)` of each block then, in descending order; those
            that are not positive and finite are left out.
    """
    if not history:
        return empty_figure("no spectra yet")
    blocks = list(history[-1][1])
    if len(blocks) == 2:
        blocks.remove(WHOLE)  # it is that of the only condition
    width, height = min(len(blocks), _COLUMNS), -(-len(blocks) // _COLUMNS)
    figure = new_figure(max(3.4 * width + 1.2, 5.0), 3.4 * height + 0.5)
    panels = list(figure.subplots(height, width, squeeze=False, sharey=True).flat)
    first = min((evaluations for evaluations, _ in history if evaluations), default=1)
    norm, colours = LogNorm(first / 2, max(history[-1][0], 2 * first), clip=True), colormaps["viridis_r"]
    for axes, block in zip(panels, blocks, strict=False):
        for evaluations, spectra in history:
            values = np.asarray(spectra[block], dtype=np.float64)
            floor = _draw_falling(axes, values, color=colours(norm(evaluations)))
        if floor > 0:
            axes.axhline(floor, color="0.5", linestyle=":", linewidth=0.8)
        axes.set_title("all conditions" if block == WHOLE else block, fontsize=11)
        axes.set_xlabel("eigenvalue number")
        _logarithmic(axes)
        axes.minorticks_off()  # they take half of the time that a figure takes
    for axes in panels[len(blocks) :]:
        axes.set_visible(False)
    panels[0].set_ylabel("eigenvalue")
    figure.colorbar(ScalarMappable(norm, colours), ax=panels, label="evaluations")
    figure.suptitle("Spectrum of the neural tangent kernel", fontsize=13)
    return figure


def curvature_figure(curvatures: Mapping[str, Curvature]) -> Figure:
    """Shows which share of the eigenvalues exceeds a size, for several matrices, and their largest eigenvalues.

    Full lines are for positive eigenvalues, dashed ones for the size of negative ones. The further left a line falls,
    the more directions hardly have any curvature.

    Args:
        curvatures: by name.
    """
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    for k, (name, found) in enumerate(curvatures.items()):
        nodes, weights = found.density.nodes.cpu().numpy(), found.density.weights.cpu().numpy()
        top = float(np.abs(nodes).max(initial=0.0))
        for sign, style in ((1, "-"), (-1, "--")):
            sizes = sign * nodes
            kept = sizes > found.density.size * _EPSILON * top
            order = np.argsort(-sizes[kept])
            if kept.any():
                look: dict[str, Any] = {"label": name if sign > 0 else None, "linewidth": max(3 - k, 1)}
                left.step(
                    sizes[kept][order], np.cumsum(weights[kept][order]), style, where="post", color=colour_of(k), **look
                )
        values = np.abs(found.eigenvalues.cpu().numpy())
        _draw_falling(right, np.sort(values)[::-1], color=colour_of(k), marker=".")
    left.set(xlabel="size of an eigenvalue", ylabel="share of eigenvalues beyond it")
    right.set(xlabel="eigenvalue number, by size", ylabel="size of the eigenvalue")
    for axes in (left, right):
        _logarithmic(axes)
    if left.lines:
        left.legend(frameon=False, fontsize=9)
    figure.suptitle("Curvature of the loss", fontsize=13)
    return figure


def _draw_falling(axes: Axes, values: Array, **style: Any) -> float:
    """Draws eigenvalues against their numbers down to round-off; returns where that is, 0 if nothing is so small."""
    values = values[np.isfinite(values)]
    floor = len(values) * _EPSILON * float(values.max(initial=0.0))
    if floor > 0:
        axes.plot(np.arange(1, len(values) + 1), np.where(values > floor, values, np.nan), linewidth=1.2, **style)
    return floor if (values <= floor).any() else 0.0


def _logarithmic(axes: Axes) -> None:
    """Makes both scales logarithmic, which they cannot be without anything drawn."""
    if axes.lines:
        axes.set(xscale="log", yscale="log")
