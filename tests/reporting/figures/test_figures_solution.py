"""Figures: their panels, labels and the data in their artists; nothing global is touched."""

from __future__ import annotations

import ast
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyQuadMesh, QuadMesh, TriMesh
from matplotlib.colors import LogNorm

from pinnlab.domains import Box, Union
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures import style
from pinnlab.reporting.figures.solution import solution_figure
from pinnlab.reporting.figures.style import save


def grid(nx=9, nt=6):
    return np.stack(np.meshgrid(np.linspace(-1, 1, nx), np.linspace(0, 2, nt), indexing="ij"), -1).reshape(-1, 2)


def annulus(count=1500):
    points = np.random.default_rng(0).uniform(-1, 1, (count, 2))
    radius = np.hypot(*points.T)
    return points[(radius < 1) & (radius > 0.5)]


def wave(points):
    return np.sin(3 * points[:, 0]) + points[:, -1]


def panels(figure):
    """Axes by title, colour bars left out."""
    return {axes.get_title(): axes for axes in figure.axes if axes.get_label() != "<colorbar>"}


def mesh(axes):
    (artist,) = (c for c in axes.collections if isinstance(c, QuadMesh | PolyQuadMesh | TriMesh))
    return artist


def test_a_grid_is_drawn_as_it_is_in_any_order_of_points():
    points = np.random.default_rng(1).permutation(grid())
    exact = wave(points)
    figure = solution_figure(points, exact + 0.01, exact, ("x", "t"), "u")
    axes = panels(figure)
    assert list(axes)[:3] == ["prediction u", "reference u", "|error|"]
    expected = wave(grid()).reshape(9, 6).T
    np.testing.assert_allclose(mesh(axes["prediction u"]).get_array(), expected + 0.01)
    np.testing.assert_allclose(mesh(axes["reference u"]).get_array(), expected)
    np.testing.assert_allclose(mesh(axes["|error|"]).get_array(), 0.01)
    assert isinstance(mesh(axes["|error|"]).norm, LogNorm)
    assert mesh(axes["prediction u"]).get_clim() == mesh(axes["reference u"]).get_clim()
    assert axes["prediction u"].get_xlabel() == "x"
    assert axes["prediction u"].get_ylabel() == "t"
    error = np.linalg.norm(np.full(54, 0.01)) / np.linalg.norm(exact)
    assert figure.get_suptitle() == f"u: relative L2 error {error:.2e}"


def test_profiles_over_time_show_the_rows_of_the_grid():
    points = grid()
    axes = panels(solution_figure(points, wave(points), wave(points), ("x", "t"), "u", slices=(0.41, 2.0)))
    assert list(axes)[3:] == ["t = 0.4", "t = 2"]
    for line in axes["t = 0.4"].lines:
        np.testing.assert_allclose(line.get_xdata(), np.linspace(-1, 1, 9))
        np.testing.assert_allclose(line.get_ydata(), wave(points[np.isclose(points[:, 1], 0.4)]))


def test_profiles_between_scattered_points_are_interpolated():
    points = np.random.default_rng(2).uniform(0, 1, (3000, 2))
    exact = 2 * points[:, 0] - points[:, 1]
    axes = panels(solution_figure(points, exact, exact, ("x", "t"), "u"))
    assert [round(float(title.removeprefix("t = ")), 2) for title in list(axes)[3:]] == [0.1, 0.4, 0.7, 0.95]
    time = points[:, 1].min() + 0.4 * np.ptp(points[:, 1])
    x, u = axes["t = 0.4"].lines[0].get_data()
    inside = np.isfinite(u)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(u[inside], 2 * x[inside] - time, atol=1e-12)
    for name in list(axes)[3:]:
        assert np.isfinite(axes[name].lines[0].get_ydata()).mean() > 0.9


def test_a_space_without_time_has_maps_only_and_a_hole_stays_open():
    points = annulus()
    axes = panels(solution_figure(points, wave(points), wave(points) + 0.1, ("x", "y"), "p"))
    assert list(axes) == ["prediction p", "reference p", "|error|"]
    triangles = mesh(axes["prediction p"])._triangulation
    np.testing.assert_allclose(mesh(axes["prediction p"]).get_array(), wave(points))
    centres = points[triangles.get_masked_triangles()].mean(axis=1)
    assert np.hypot(*centres.T).min() > 0.3
    assert len(centres) > 1.8 * len(points)
    assert axes["prediction p"].get_aspect() == 1


@pytest.mark.parametrize("width", [0.5, 0.9, 1.0, 1.05, 1.3, 2.0])
def test_titles_and_names_of_axes_have_room(width):
    """Also where a panel is about as high as there is room."""
    points = grid(31, 31) / 2 + (0.5, 0)
    exact = np.sin(np.pi * points).prod(1)
    figure = solution_figure(points * [width, 1], exact * (1 + 1e-5 * points[:, 0]), exact, ("x", "y"), "u")
    figure.canvas.draw()
    title = figure._suptitle.get_window_extent()
    for axes in figure.axes:
        words = (axes.title, axes.xaxis.label, axes.yaxis.label)
        for box in (text.get_window_extent() for text in words if text.get_text()):
            assert not title.overlaps(box)
            assert box.x0 >= 0
            assert box.y0 >= 0


def corner(t="y"):
    """A grid on an L, in the coordinates x and t."""
    domain = Union([Box(["x", t], [0, 0], [2, 1]), Box(["x", t], [0, 1], [1, 2])])
    points = np.stack(np.meshgrid(np.linspace(0, 2, 41), np.linspace(0, 2, 21), indexing="ij"), -1).reshape(-1, 2)
    return points[domain.contains(torch.from_numpy(points)).numpy()]


def test_a_grid_on_an_l_is_a_mesh_that_is_open_outside_of_it():
    points = np.random.default_rng(1).permutation(corner())
    axes = panels(solution_figure(points, wave(points), wave(points) + 0.1, ("x", "y"), "u"))
    shown = mesh(axes["prediction u"]).get_array()
    assert isinstance(mesh(axes["prediction u"]), QuadMesh | PolyQuadMesh)
    x, y = np.meshgrid(np.linspace(0, 2, 41), np.linspace(0, 2, 21))
    np.testing.assert_array_equal(shown.mask, (x > 1) & (y > 1))
    expected = wave(np.stack([x, y], -1).reshape(-1, 2)).reshape(21, 41)
    np.testing.assert_allclose(shown.compressed(), expected[~shown.mask])


def test_profiles_on_an_l_end_where_it_does():
    points = corner("t")
    axes = panels(solution_figure(points, wave(points), None, ("x", "t"), "u", slices=(0.5, 1.5)))
    ends = {name: axes[name].lines[0].get_data() for name in ("t = 0.5", "t = 1.5")}
    assert np.isfinite(ends["t = 0.5"][1]).all()
    np.testing.assert_array_equal(np.isfinite(ends["t = 1.5"][1]), np.linspace(0, 2, 41) <= 1)


def test_a_line_does_not_cross_a_gap_of_the_domain():
    x = np.concatenate([np.linspace(0, 1, 21), np.linspace(2, 3, 21)])[:, None]
    top, bottom = solution_figure(x, wave(x) + 1e-3, wave(x), ("x",), "u").axes
    for line in (*top.lines, bottom.lines[0]):
        (gap,) = np.flatnonzero(np.isnan(line.get_ydata()))
        assert gap == 21
        assert len(line.get_ydata()) == 43
    assert bottom.get_yscale() == "log"


def test_uniform_random_points_leave_no_gap():
    points = np.random.default_rng(3).uniform(0, 1, (4000, 2))
    axes = panels(solution_figure(points, wave(points), None, ("x", "y"), "u"))
    triangles = mesh(axes["prediction u"])._triangulation.get_masked_triangles()
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2
    assert area > 0.98


def test_one_coordinate_gives_lines_and_the_error_below():
    x = np.random.default_rng(4).permutation(np.linspace(0, 1, 50))[:, None]
    top, bottom = solution_figure(x, wave(x) + 1e-3, wave(x), ("r",), "u").axes
    reference, prediction = top.lines
    np.testing.assert_allclose(reference.get_data(), (np.sort(x[:, 0]), wave(np.sort(x, axis=0))))
    np.testing.assert_allclose(prediction.get_ydata(), wave(np.sort(x, axis=0)) + 1e-3)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 1e-3)
    assert (top.get_ylabel(), bottom.get_xlabel(), bottom.get_ylabel()) == ("u", "r", "|error|")
    assert bottom.get_yscale() == "log"


def test_many_coordinates_give_agreement_and_error_distribution():
    points = np.random.default_rng(5).uniform(size=(300, 4))
    exact = wave(points)
    error = 10 ** np.random.default_rng(6).uniform(-9, -2, 300)
    left, right = solution_figure(points, exact + error, exact, tuple("abcd"), "u").axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), np.stack([exact, exact + error], axis=1))
    assert (left.get_xlabel(), left.get_ylabel()) == ("reference u", "prediction u")
    assert sum(bar.get_height() for bar in right.patches) == 300
    assert right.get_xscale() == "log"


@pytest.mark.parametrize(("d", "count"), [(1, 1), (2, 1), (3, 1)])
def test_without_a_reference_only_the_prediction_is_shown(d, count, tmp_path):
    points = np.random.default_rng(7).uniform(size=(80, d))
    figure = solution_figure(points, wave(points), None, ("x", "y", "z")[:d], "u")
    assert len(panels(figure)) == count
    assert figure.get_suptitle() == "u"
    save(figure, tmp_path / "u.png", dpi=30)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("case", ["exact", "constant", "zero", "one point", "nan", "all nan", "infinite"])
def test_awkward_values_are_drawn_without_a_warning(d, case, tmp_path):
    points = np.random.default_rng(8).uniform(size=(1 if case == "one point" else 40, d))
    exact = np.zeros(len(points)) if case == "zero" else wave(points)
    u = {
        "exact": exact,
        "constant": np.full_like(exact, 3.0),
        "nan": np.where(np.arange(len(exact)) == 3, np.nan, exact),
        "all nan": np.full_like(exact, np.nan),
        "infinite": np.where(np.arange(len(exact)) == 3, np.inf, exact),
    }.get(case, exact + 0.1)
    exact = u if case == "constant" else exact
    figure = solution_figure(points, u, exact, ("x", "t", "z")[:d], "u")
    save(figure, tmp_path / "u.png", dpi=30)
    title = figure.get_suptitle()
    expected = {
        "nan": "error nan",
        "all nan": "no finite values",
        "infinite": "inf",
        "zero": "the reference is zero",
    }
    assert expected.get(case, "relative L2 error") in title


def test_points_on_a_line_of_the_plane_are_drawn(tmp_path):
    x = np.linspace(0, 1, 20)
    points = np.stack([x, 2 * x], axis=1)
    figure = solution_figure(points, wave(points), wave(points) + 0.1, ("x", "t"), "u")
    np.testing.assert_allclose(panels(figure)["prediction u"].collections[0].get_offsets(), points)
    save(figure, tmp_path / "u.png", dpi=30)


def test_save_leaves_a_readable_png_and_nothing_else(tmp_path):
    figure = solution_figure(grid(), wave(grid()), None, ("x", "t"), "u")
    path = save(figure, tmp_path / "new" / "points.png", dpi=50)
    assert path == tmp_path / "new" / "points.png"
    assert matplotlib.image.imread(path).shape[2] in (3, 4)
    assert [entry.name for entry in path.parent.iterdir()] == ["points.png"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    figure = solution_figure(grid(), wave(grid()), None, ("x", "t"), "u")
    path = tmp_path / "points.png"
    path.write_bytes(b"old")

    def half(target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("points", "u", "exact", "names", "key"),
    [
        (np.zeros((4, 2)), np.zeros(4), None, ("x",), "points"),
        (np.zeros(4), np.zeros(4), None, ("x",), "points"),
        (np.zeros((4, 1)), np.zeros((4, 1)), None, ("x",), "prediction"),
        (np.zeros((4, 1)), np.zeros(4), np.zeros(3), ("x",), "reference"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(points, u, exact, names, key):
    with pytest.raises(ConfigurationError, match=key):
        solution_figure(points, u, exact, names, "u")


@pytest.mark.parametrize("path", sorted(Path(style.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_pyplot_is_not_imported(path):
    tree = ast.parse(path.read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not any("pyplot" in (name or "") for name in modules + names)
