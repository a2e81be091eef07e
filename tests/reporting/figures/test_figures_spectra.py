"""Figures of spectra: the data in their artists."""

import numpy as np
import pytest
import torch

from pinnlab.analysis.curvature import Curvature
from pinnlab.numerics.lanczos import Density
from pinnlab.reporting.figures.spectra import curvature_figure, spectrum_figure
from pinnlab.reporting.figures.style import save

FALLING = torch.tensor([10.0, 1.0, 0.1, 1e-17, -1e-16], dtype=torch.float64)


def history(*blocks, times=(0, 100, 1000)):
    return [(time, {name: (1 + time) * FALLING for name in blocks}) for time in times]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_one_panel_for_each_condition_and_one_for_all(count, tmp_path):
    names = [f"condition {k}" for k in range(count)]
    figure = spectrum_figure(history(*names, "total"))
    shown = [axes for axes in figure.axes[:-1] if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [*names, "all conditions"]
    for axes in shown:
        *curves, floor = axes.lines
        assert len(curves) == 3
        np.testing.assert_allclose(curves[1].get_ydata()[:3], 101 * FALLING[:3].numpy())
        assert np.isnan(curves[1].get_ydata()[3:]).all()  # round-off
        assert curves[1].get_xdata().tolist() == [1, 2, 3, 4, 5]
        assert floor.get_ydata()[0] == pytest.approx(5 * 2.22e-16 * 10 * 1001, rel=1e-2)
        colours = [curve.get_color() for curve in curves]
        assert len(set(colours)) == 3
    assert figure.axes[-1].get_ylabel() == "evaluations"
    save(figure, tmp_path / "spectra.png", dpi=40)


def test_a_single_condition_is_shown_once():
    figure = spectrum_figure(history("pde", "total"))
    assert [axes.get_title() for axes in figure.axes[:-1]] == ["pde"]


def test_spectra_that_cannot_be_drawn(tmp_path):
    for values in (torch.full((3,), torch.nan), torch.zeros(3)):
        save(spectrum_figure([(0, {"pde": values, "total": values})]), tmp_path / "none.png", dpi=40)
    assert "no spectra" in spectrum_figure([]).get_suptitle()
    nothing = torch.zeros(3)
    save(spectrum_figure([(0, {"pde": FALLING, "wall": nothing, "total": FALLING})]), tmp_path / "one.png", dpi=40)


def test_share_of_the_curvature_beyond_a_size(tmp_path):
    density = Density(
        torch.tensor([-2.0, 1.0, 3.0], dtype=torch.float64), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), 10
    )
    found = Curvature(torch.tensor([3.0, -2.0], dtype=torch.float64), torch.zeros(2), density, 5)
    figure = curvature_figure({"hessian": found, "preconditioned": found})
    shares, largest = figure.axes
    positive, negative = shares.lines[:2]
    np.testing.assert_allclose(positive.get_xdata(), [3, 1])
    np.testing.assert_allclose(positive.get_ydata(), [0.3, 0.8])
    np.testing.assert_allclose([negative.get_xdata()[0], negative.get_ydata()[0]], [2, 0.2])
    assert negative.get_linestyle() == "--"
    assert [text.get_text() for text in shares.get_legend().get_texts()] == ["hessian", "preconditioned"]
    np.testing.assert_allclose(largest.lines[0].get_ydata(), [3, 2])
    save(figure, tmp_path / "curvature.png", dpi=40)
    save(curvature_figure({}), tmp_path / "empty.png", dpi=40)
    blown_up = Curvature(
        torch.full((2,), torch.nan), torch.zeros(2), Density(torch.full((3,), torch.nan), density.weights, 10), 5
    )
    save(curvature_figure({"hessian": blown_up}), tmp_path / "none.png", dpi=40)
