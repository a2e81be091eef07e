"""Spectra as figures: eigenvalues of each block over time, how modes decay, and the density of a curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pinnlab.curvature import Curvature
from pinnlab.ntk import WHOLE, ModeDecay
from pinnlab.plotting import PALETTE, Array, _empty_figure, _figure

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
        return _empty_figure("no spectra yet")
    blocks = list(history[-1][1])
    width, height = min(len(blocks), _COLUMNS), -(-len(blocks) // _COLUMNS)
    figure = _figure(max(3.4 * width + 1.2, 5.0), 3.4 * height + 0.5)
    panels = figure.subplots(height, width, squeeze=False, sharey=True).flat
    times = [max(evaluations, 1) for evaluations, _ in history]
    norm, colours = LogNorm(1, max(*times, 10)), colormaps["viridis_r"]
    for axes, block in zip(panels, blocks, strict=False):
        for time, (_, spectra) in zip(times, history, strict=True):
            if block in spectra:
                _falling(axes, np.asarray(spectra[block], dtype=np.float64), color=colours(norm(time)))
        axes.set_title("all conditions" if block == WHOLE else block, fontsize=11)
        axes.set(xscale="log", yscale="log", xlabel="eigenvalue number")
    for axes in list(figure.axes)[len(blocks) :]:
        axes.set_visible(False)
    figure.axes[0].set_ylabel("eigenvalue")
    figure.colorbar(ScalarMappable(norm, colours), ax=list(figure.axes), label="evaluations")
    figure.suptitle("Spectrum of the neural tangent kernel", fontsize=13)
    return figure


def decay_figure(decay: ModeDecay) -> Figure:
    """Shows how modes decayed, as dots, over what the kernel at the beginning predicts, as lines.

    Args:
        decay: at most seven modes of it are drawn, evenly chosen.
    """
    values = decay.modes.eigenvalues.cpu().numpy()
    count = min(len(values), len(PALETTE))
    shown = np.unique(np.linspace(0, len(values) - 1, count).astype(int))
    measured, predicted = (
        np.abs(part.cpu().numpy()) / np.abs(decay.measured[0].cpu().numpy())
        for part in (decay.measured, decay.predicted)
    )
    steps = np.arange(len(measured))
    dots = steps[:: max(len(steps) // 25, 1)]
    figure = _figure(7.0, 4.4)
    axes = figure.subplots()
    for colour, k in zip(PALETTE, shown, strict=False):
        axes.plot(steps, predicted[:, k], color=colour, linewidth=1.4)
        axes.plot(dots, measured[dots, k], "o", color=colour, markersize=4, label=f"{k + 1}: {values[k]:.2g}")
    axes.set(yscale="log", xlabel="steps of gradient descent", ylabel="|coefficient| / at the beginning")
    axes.legend(title="mode: eigenvalue", frameon=False, fontsize=9)
    figure.suptitle("Decay of the modes: predicted (lines) and measured (dots)", fontsize=13)
    return figure


def curvature_figure(curvatures: Mapping[str, Curvature]) -> Figure:
    """Shows which share of the eigenvalues exceeds a size, for several matrices, and their largest eigenvalues.

    Full lines are for positive eigenvalues, dashed ones for the size of negative ones. The further left a line falls,
    the more directions hardly have any curvature.

    Args:
        curvatures: by name.
    """
    figure = _figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    for k, (name, found) in enumerate(curvatures.items()):
        colour = PALETTE[k % len(PALETTE)]
        nodes, weights = found.density.nodes.cpu().numpy(), found.density.weights.cpu().numpy()
        top = float(np.abs(nodes).max(initial=0.0))
        for sign, style in ((1, "-"), (-1, "--")):
            sizes = sign * nodes
            kept = sizes > found.density.size * _EPSILON * top
            order = np.argsort(-sizes[kept])
            share = np.cumsum(weights[kept][order])
            left.step(sizes[kept][order], share, style, where="post", color=colour, label=name if sign > 0 else None)
        values = np.abs(found.eigenvalues.cpu().numpy())
        _falling(right, np.sort(values)[::-1], color=colour, marker=".")
    left.set(xscale="log", yscale="log", xlabel="size of an eigenvalue", ylabel="share of eigenvalues beyond it")
    right.set(xscale="log", yscale="log", xlabel="eigenvalue number, by size", ylabel="size of the eigenvalue")
    if curvatures:
        left.legend(frameon=False, fontsize=9)
    figure.suptitle("Curvature of the loss", fontsize=13)
    return figure


def _falling(axes: Axes, values: Array, **style: object) -> None:
    """Eigenvalues against their numbers down to round-off, which a dotted line marks."""
    values = values[np.isfinite(values)]
    floor = len(values) * _EPSILON * float(values.max(initial=0.0))
    shown = np.where(values > floor, values, np.nan)
    axes.plot(np.arange(1, len(values) + 1), shown, linewidth=1.2, **style)  # type: ignore[arg-type]
    if floor > 0 and (values <= floor).any():
        axes.axhline(floor, color="0.5", linestyle=":", linewidth=0.8)
