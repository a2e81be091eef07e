"""Laplace's equation in a square with four holes."""

import numpy as np
import pytest
import torch

from pinnlab.problems import PerforatedLaplace
from pinnlab.samplers import UniformRandom


@pytest.mark.parametrize(("name", "value"), [("square", 1.0), ("circles", 0.0)])
def test_the_reference_has_its_values_on_the_boundary_between_the_points_of_the_fit(name, value):
    """So it has everywhere, by the maximum principle, as it is harmonic."""
    problem = PerforatedLaplace()
    points = UniformRandom().sample(problem.conditions[name].region, 3000, seed=1)
    assert (problem.reference_values(points) - value).abs().max() < 1e-12


def test_the_reference_is_harmonic():
    """The mean over a circle is the value in its middle."""
    problem = PerforatedLaplace()
    angles = 2 * np.pi * np.arange(64) / 64
    circle = torch.from_numpy(0.15 * np.stack([np.cos(angles), np.sin(angles)], 1))
    for center in ([0.0, 0.0], [0.02, 0.3], [-0.3, 0.01]):
        middle = torch.tensor([center], dtype=torch.float64)
        mean = problem.reference_values(middle + circle).mean()
        assert problem.reference_values(middle).item() == pytest.approx(mean.item(), abs=1e-12)


def test_the_circles_hold_exactly_with_their_ansatz():
    problem = PerforatedLaplace(exact_circles=True)
    assert set(problem.conditions) == {"pde", "square"}
    points = UniformRandom().sample(PerforatedLaplace().conditions["circles"].region, 100, seed=0)
    anything = torch.ones(100, dtype=torch.float64)
    assert problem.ansatz(anything, *points.unbind(1)).abs().max() < 1e-12
