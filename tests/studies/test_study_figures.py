"""Parts of figures: what they draw, read from the axes."""

import numpy as np
import pytest

from pinnlab.studies.engine.figures import draw_dots, draw_range, draw_settings, panels
from pinnlab.studies.engine.runs_table import Runs


def test_panels_come_line_by_line():
    figure, grid = panels(2, 3, 6, 4, sharey=True)
    assert figure.get_size_inches() == pytest.approx((6, 4))
    figure.draw_without_rendering()
    corners = [(-round(axes.get_position().y0, 2), round(axes.get_position().x0, 2)) for axes in grid]
    assert len(set(corners)) == 6
    assert corners == sorted(corners)
    assert grid[0].get_shared_y_axes().joined(grid[0], grid[5])


def dots(axes):
    """By name what is drawn in its line: the dots, and the place of the bar."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    found = {}
    for points, bar in zip(axes.collections, axes.lines, strict=True):
        offsets = points.get_offsets()
        (place,) = set(offsets[:, 1])
        assert np.mean(bar.get_ydata()) == pytest.approx(place)
        found[names[int(place)]] = (list(offsets[:, 0]), bar.get_xdata()[0])
    return names[::-1], found


def test_dots_and_their_averages():
    _, (axes,) = panels(1, 1, 3, 3)
    draw_dots(axes, {"top": [1.0, 4.0, 2.0], "bottom": [3.0, 5.0]}, average=max)
    assert dots(axes) == (["top", "bottom"], {"top": ([1.0, 4.0, 2.0], 4.0), "bottom": ([3.0, 5.0], 5.0)})


def test_a_range_of_curves_ends_with_the_shortest():
    _, (axes,) = panels(1, 1, 3, 3)
    draw_range(axes, [1, 10, 100], [[1, 2, 3], [4, 8], [2, 3, 1]], "C0", shade=0.2, label="median")
    (line,) = axes.lines
    assert (list(line.get_xdata()), list(line.get_ydata()), line.get_label()) == ([1, 10], [2, 3], "median")
    (area,) = axes.collections
    corners = {tuple(corner) for corner in area.get_paths()[0].vertices}
    assert corners == {(1.0, 1.0), (1.0, 4.0), (10.0, 2.0), (10.0, 8.0)}
    assert area.get_alpha() == 0.2
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_settings_are_drawn_by_problem_and_column_the_best_on_top():
    errors = {"a": {"one": (4, 2), "two": (1, 3)}, "b": {"one": (5, 7), "two": (8, 6)}}
    rows = [
        {"problem": p, "setting": s, "seed": str(i), "status": "done", "relative_l2": str(e), "rank": str(10 * e)}
        for p, settings in errors.items()
        for s, values in settings.items()
        for i, e in enumerate(values)
    ]
    figure = draw_settings(Runs(rows), {"relative_l2": ("error", "log"), "rank": ("its rank", "linear")})
    shown = [(axes.get_title(), axes.get_xlabel(), axes.get_xscale()) for axes in figure.axes]
    assert shown == [(p, *what) for p in "ab" for what in (("error", "log"), ("its rank", "linear"))]
    assert dots(figure.axes[1]) == (["two", "one"], {"two": ([10, 30], 20), "one": ([40, 20], 30)})
    assert dots(figure.axes[2]) == (["one", "two"], {"one": ([5, 7], 6), "two": ([8, 6], 7)})
