"""Thumbnails: two panels of solution and error with type that is read when they are small."""

import itertools

import numpy as np
import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures.thumbnail import SIZE, thumbnail

LINE = np.linspace(0, 1, 101)[:, None]
PLANE = np.stack(np.meshgrid(np.linspace(-1, 1, 21), np.linspace(0, 1, 11), indexing="ij"), -1).reshape(-1, 2)
CUBE = np.random.default_rng(0).uniform(size=(300, 3))
CASES = {"line": (LINE, ["x"]), "plane": (PLANE, ["x", "t"]), "cube": (CUBE, ["x", "y", "z"])}


def drawn(points, names, error=1e-3, reference=True):
    exact = points.sum(1)
    prediction = exact + error * np.cos(9 * points[:, 0])
    figure = thumbnail(points, prediction, exact if reference else None, names, "u", "step 64")
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("case", CASES)
def test_two_panels_with_large_type_that_does_not_run_into_each_other(case):
    figure = drawn(*CASES[case])
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 2
    assert tuple(figure.get_size_inches()) == SIZE
    width, _ = figure.canvas.get_width_height()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for box in boxes:  # nothing is cut off
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
    title = figure._suptitle.get_window_extent()
    assert all(box.y1 <= title.y0 + 1 for box in boxes)
    for one, two in itertools.pairwise(panels):
        assert one.get_tightbbox().x1 <= two.get_tightbbox().x0
    for axes in figure.axes:
        shown = [t for t in (*axes.get_xticklabels(), *axes.get_yticklabels()) if t.get_text() and t.get_visible()]
        assert shown
        assert all(label.get_fontsize() == 14 for label in shown)


def test_the_title_says_when_and_how_good():
    error = 1e-3 * np.cos(9 * LINE[:, 0])
    relative = np.linalg.norm(error) / np.linalg.norm(LINE[:, 0])
    assert drawn(LINE, ["x"])._suptitle.get_text() == f"step 64, relative L2 error {relative:.2e}"
    assert drawn(LINE, ["x"], reference=False)._suptitle.get_text() == "step 64"


def test_the_panels_show_the_error_and_without_a_reference_the_solution_alone():
    left, right = drawn(LINE, ["x"]).axes
    (line,) = right.get_lines()
    assert np.allclose(line.get_ydata(), 1e-3 * np.abs(np.cos(9 * LINE[:, 0])))
    assert right.get_yscale() == "log"
    assert np.allclose(left.get_lines()[0].get_ydata(), LINE[:, 0])
    _, error = (axes.collections[0] for axes in drawn(PLANE, ["x", "t"]).axes[:2])
    assert np.allclose(np.asarray(error.get_array()).T.ravel(), 1e-3 * np.abs(np.cos(9 * PLANE[:, 0])))
    assert len(drawn(LINE, ["x"], reference=False).axes) == 1


@pytest.mark.parametrize("case", CASES)
def test_a_solution_without_error_and_one_that_is_no_number_are_drawn(case):
    points, names = CASES[case]
    assert "0.00e+00" in drawn(points, names, error=0.0)._suptitle.get_text()
    lost = drawn(points, names, error=np.nan)
    assert "no finite values" in lost._suptitle.get_text()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="prediction"):
        thumbnail(LINE, np.zeros(3), None, ["x"], "u", "")
