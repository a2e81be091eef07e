"""Figures of points: the data in their artists."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures.points import points_figure, residual_figure
from pinnlab.reporting.figures.style import save


def cloud(d, count=300):
    rng = np.random.default_rng(3)
    return rng.uniform(size=(count, d)), rng.uniform(0.01, 1, count)


def test_points_of_one_coordinate():
    sets = {"pde": np.linspace(0, 1, 30)[:, None], "ends": np.array([[0.0], [1.0]])}
    histogram, rug = points_figure(sets, ("x",)).axes
    for artist, values in zip(rug.collections, sets.values(), strict=True):
        np.testing.assert_allclose(artist.get_offsets()[:, 0], values[:, 0])
    assert [label.get_text() for label in rug.get_yticklabels()] == ["pde", "ends"]
    assert rug.get_xlabel() == "x"
    assert len(histogram.patches) == 2


@pytest.mark.parametrize("d", [2, 3])
def test_points_of_more_coordinates(d, tmp_path):
    sets = {"pde": np.random.default_rng(9).uniform(size=(50, d)), "none": np.empty((0, d))}
    figure = points_figure(sets, ("x", "y", "t")[:d])
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), sets["pde"][:, :2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pde (50)", "none (0)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert ("projected on x, y" in figure.get_suptitle()) == (d == 3)
    save(figure, tmp_path / "points.png")


def test_more_sets_than_colours_stay_distinct():
    figure = points_figure({str(k): np.random.default_rng(k).uniform(size=(5, 2)) for k in range(14)}, ("x", "y"))
    looks = {(c.get_facecolor().tobytes(), c.get_paths()[0].vertices.tobytes()) for c in figure.axes[0].collections}
    assert len(looks) == 14


@pytest.mark.parametrize("d", [2, 3])
def test_density_beside_the_points_coloured_by_residual(d, tmp_path):
    points, residual = cloud(d)
    figure = residual_figure(points, -residual, ("x", "y", "t")[:d], "pde")
    spread, marks = figure.axes[:2]
    assert spread.collections[0].get_array().sum() == 300
    shown = marks.collections[0]
    order = np.argsort(residual)
    np.testing.assert_allclose(shown.get_offsets(), points[order, :2])
    np.testing.assert_allclose(shown.get_array(), residual[order])
    assert isinstance(shown.norm, LogNorm)
    assert ("projected" in figure.get_suptitle()) == (d == 3)
    save(figure, tmp_path / "points.png", dpi=40)


def test_one_coordinate_is_a_histogram_and_the_residual_over_it():
    points, residual = cloud(1)
    spread, marks = residual_figure(points, residual, ("x",), "pde").axes
    assert sum(bar.get_height() for bar in spread.patches) == 300
    np.testing.assert_allclose(marks.collections[0].get_offsets(), np.column_stack([points[:, 0], residual]))


def test_points_that_are_not_finite_are_left_out(tmp_path):
    points, residual = cloud(2)
    residual[:290] = np.nan
    assert residual_figure(points, residual, ("x", "y"), "pde").get_suptitle() == "pde: 10 points"
    save(residual_figure(points, np.full(300, np.nan), ("x", "y"), "pde"), tmp_path / "none.png", dpi=40)
    save(residual_figure(points, np.zeros(300), ("x", "y"), "pde"), tmp_path / "zero.png", dpi=40)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="residual"):
        residual_figure(np.zeros((3, 2)), np.zeros(4), ("x", "y"), "pde")


def test_point_sets_of_the_wrong_width_are_refused():
    with pytest.raises(ConfigurationError, match="wall"):
        points_figure({"wall": np.zeros((3, 2))}, ("x",))
