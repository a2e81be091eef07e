"""The figure of runs side by side."""

import numpy as np
import pytest

from pinnlab.reporting.figures.comparison import SPAN, comparison_figure
from pinnlab.reporting.histories import Curve, Run


def run(name, seconds=4.0, with_error=True):
    loss = Curve(np.array([0.0, 10, 20]), np.array([0, 0.5, 1]) * seconds, np.array([1.0, 0.1, 0.01]))
    error = Curve(np.array([10.0, 20]), np.array([0.5, 1]) * seconds, np.array([0.5, 0.25]))
    return Run(name, {"seconds": seconds}, {}, loss, error if with_error else None)


def test_error_and_loss_over_evaluations_and_seconds():
    figure = comparison_figure([run("a"), run("b", with_error=False)])
    errors, error_times, losses, loss_times = figure.axes
    assert [axes.get_xlabel() for axes in (errors, error_times)] == ["evaluations of the loss", "seconds of training"]
    assert [axes.get_ylabel() for axes in (errors, losses)] == ["relative L2 error", "total loss"]
    assert len(errors.lines) == 1
    assert len(losses.lines) == 2
    np.testing.assert_array_equal(error_times.lines[0].get_xydata(), [[2, 0.5], [4, 0.25]])
    np.testing.assert_array_equal(losses.lines[0].get_xydata(), [[10, 0.1], [20, 0.01]])  # 0 has no logarithm
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    assert [axes.get_xscale() for axes in (losses, loss_times)] == ["log", "linear"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1  a", "2  b"]


def test_without_any_reference_there_are_losses_only():
    figure = comparison_figure([run("a", with_error=False)])
    assert [axes.get_ylabel() for axes in figure.axes] == ["total loss", ""]


@pytest.mark.parametrize(("seconds", "scale"), [(SPAN + 1, "log"), (SPAN - 1, "linear")])
def test_time_is_logarithmic_where_runs_differ_much(seconds, scale):
    figure = comparison_figure([run("a", 1.0), run("b", float(seconds))])
    assert figure.axes[1].get_xscale() == scale


def test_a_run_without_any_point_does_no_harm():
    nothing = Curve(*(np.zeros(0) for _ in range(3)))
    figure = comparison_figure([Run("a", {"seconds": 0.0}, {}, nothing, nothing), run("b")])
    figure.canvas.draw()
    assert len(figure.axes[0].lines[0].get_xydata()) == 0
