"""Pictures of problems, and what they say of themselves."""

import numpy as np
import pytest
import torch

from pinnlab.criteria import LossPlateau, TimeBudget
from pinnlab.domains import Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers, Dirichlet, Observations, Poisson, Poisson1D, Problem, Residual


class OnADisk(Problem):
    """An equation with two unknowns, data and a coefficient, without a reference."""

    def __init__(self):
        disk = Disk(("x", "y"), (0.0, 0.0), 1.0)
        super().__init__(
            domain=disk,
            unknowns=("u", "v"),
            conditions={
                "pde": Residual(disk, lambda u, v: (u.xx + v, v.yy)),
                "rim": Dirichlet(disk.boundary(), u=0.0, weight=10),
                "data": Observations(np.zeros((3, 2)), u=np.zeros(3)),
            },
        )


def test_one_coordinate_has_rows_of_points_and_curves():
    figure = Poisson1D(frequency=2).plot(points=50)
    geometry, reference = figure.axes
    assert [text.get_text() for text in geometry.get_yticklabels()] == ["pde", "boundary"]
    assert [len(line.get_xdata()) for line in geometry.lines] == [50, 2]
    x, y = reference.lines[0].get_data()
    problem = Poisson1D(frequency=2)
    assert np.allclose(y, problem.reference_values(torch.from_numpy(x)[:, None])[:, 0])


def test_two_coordinates_have_maps():
    problem = Burgers(viscosity=0.1, exact_conditions=False)
    geometry, reference, _ = problem.plot().axes
    assert [line.get_label() for line in geometry.lines] == list(problem.conditions)
    mesh = reference.collections[0]
    grid = mesh.get_array()
    coordinates = mesh.get_coordinates()
    assert np.isfinite(grid).all()
    middle = tuple(size // 2 for size in grid.shape)
    cell = coordinates[middle[0] : middle[0] + 2, middle[1] : middle[1] + 2].mean(axis=(0, 1))
    expected = problem.reference_values(torch.from_numpy(cell)[None])
    assert grid[middle] == pytest.approx(float(expected), abs=1e-3)


def test_a_disk_without_a_reference_has_points_only():
    (geometry,) = OnADisk().plot(points=20).axes
    radii = [np.hypot(*line.get_data()) for line in geometry.lines]
    assert [len(r) for r in radii] == [20, 20, 3]
    assert radii[0].max() <= 1
    assert np.allclose(radii[1], 1)


def test_many_coordinates_are_projected():
    figure = Poisson(dim=4).plot()
    assert len(figure.axes) == 1
    assert "(on x1, x2)" in figure.get_suptitle()


def test_a_notebook_gets_a_picture():
    assert OnADisk().plot()._repr_png_().startswith(b"\x89PNG")


def test_a_number_of_points_is_checked():
    with pytest.raises(ConfigurationError, match=r"plot\.points: must be at least 1, got 0"):
        Poisson1D().plot(points=0)


def test_everything_says_what_it_is():
    problem = OnADisk()
    assert repr(problem) == f"OnADisk: u(x, y), v(x, y) on {problem.domain!r}; conditions pde, rim, data"
    rim = problem.conditions["rim"]
    assert repr(rim) == f"Dirichlet({problem.domain.boundary()!r}, weight=10)"
    assert repr(problem.conditions["data"]) == "Observations(given points)"
    assert repr(Residual(Interval("x", 0, 1), lambda u: u.x)) == "Residual(Interval('x', 0, 1))"
    assert repr(TimeBudget(5)) == "TimeBudget(seconds=5)"
    assert repr(LossPlateau(window=7)).startswith("LossPlateau(window=7")
