"""A screened equation in a square with four holes: its reference."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pinnlab.problems import ScreenedPoisson
from pinnlab.samplers import UniformRandom

DATA = Path(os.environ.get("PINNLAB_REFERENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "reference"))


@pytest.mark.parametrize(("name", "value"), [("square", 0.2), ("circles", 1.0)])
def test_the_reference_has_its_values_on_the_boundary_between_the_points_of_the_fit(name, value):
    """So it has everywhere, by the maximum principle, as it satisfies the equation."""
    problem = ScreenedPoisson()
    points = UniformRandom().sample(problem.conditions[name].region, 3000, seed=1)
    assert (problem.reference_values(points) - value).abs().max() < 2e-8


def test_the_reference_satisfies_the_equation():
    """By differences of fourth order, from the definition."""
    h, at = 5e-3, np.array([[0.0, 0.0], [0.1, 0.3], [-0.6, -0.2], [0.9, -0.9], [0.65, 0.72], [-0.1, -0.55]])

    def u(dx, dy):
        return ScreenedPoisson().reference_values(torch.from_numpy(at + h * np.array([dx, dy])))[:, 0].numpy()

    def second(x, y):
        return (16 * (u(x, y) + u(-x, -y)) - u(2 * x, 2 * y) - u(-2 * x, -2 * y) - 30 * u(0, 0)) / (12 * h**2)

    x, y = at.T
    source = 10 * (17 + x**2 + y**2) * np.sin(np.pi * x) * np.sin(4 * np.pi * y)
    np.testing.assert_allclose(-second(1, 0) - second(0, 1) + 64 * u(0, 0), source, atol=2e-3)


def test_the_data_of_others_agree_to_what_they_are_good_for():
    path = DATA / "pinnacle" / "poisson_boltzmann2d.dat.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in PINNLAB_REFERENCE_DATA")
    with gzip.open(path, "rt") as lines:
        data = np.loadtxt(lines, comments="%")
    found = ScreenedPoisson().reference_values(torch.from_numpy(data[:, :2]))[:, 0].numpy()
    assert 8e-5 < np.linalg.norm(data[:, 2] - found) / np.linalg.norm(found) < 1e-4  # finite elements
