"""A heat equation over long times: its reference."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pinnlab.problems import LongHeat
from pinnlab.problems.references.long_heat import LongHeat as SineSolution
from pinnlab.samplers import UniformRandom

DATA = Path(os.environ.get("PINNLAB_REFERENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "reference"))


def test_the_reference_satisfies_the_equation_and_the_start():
    """By differences of fourth order, in cells of both signs, while layers form."""
    solution = SineSolution(0.001, 3.0)
    at = np.array([[0.11, 0.22, 0.5], [0.3, 0.8, 1.2], [0.62, 0.4, 2.2], [0.9, 0.13, 0.9], [0.4, 0.52, 1.7]])

    def by(column, order, h):
        v = [solution(at + k * h * np.eye(3)[column]) for k in (-2, -1, 0, 1, 2)]
        if order == 1:
            return (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * h)
        return (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h**2)

    x, y, t = at.T
    shape = np.sin(4 * np.pi * x) * np.sin(2 * np.pi * y)
    reaction = 5 * np.sin(solution(at) ** 2) * (1 + 2 * np.sin(np.pi * t / 4)) * shape
    diffusion = 0.001 * (by(0, 2, 4e-3) + by(1, 2, 4e-3))
    np.testing.assert_allclose(by(2, 1, 1e-2), diffusion + reaction, atol=1e-2)
    assert np.abs(reaction).max() > 1
    points = np.random.default_rng(0).uniform(0, 1, (200, 3)) * [1, 1, 0]
    expected = np.sin(4 * np.pi * points[:, 0]) * np.sin(3 * np.pi * points[:, 1])
    np.testing.assert_allclose(solution(points), expected, atol=1e-6)


@pytest.mark.slow
def test_fewer_waves_and_longer_steps_change_it_by_what_it_says():
    problem = LongHeat(horizon=20.0)
    points = UniformRandom().sample(problem.domain, 2000, seed=0)
    fine = problem.reference_values(points)[:, 0].numpy()
    coarse = SineSolution(0.001, 20.0, modes=(23, 95))(points.numpy())
    assert 1e-5 < np.linalg.norm(coarse - fine) / np.linalg.norm(fine) < 2e-3
    longer = SineSolution(0.001, 20.0, step=0.04)(points.numpy())
    assert np.linalg.norm(longer - fine) / np.linalg.norm(fine) < 2e-3


def test_the_benchmarks_file_is_of_the_same_problem():
    path = DATA / "pinnacle" / "heat_longtime.dat.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in PINNLAB_REFERENCE_DATA")
    with gzip.open(path, "rt") as lines:
        data = np.loadtxt(lines, comments="%")
    places, values = data[:, :2], data[:, 2 + 5 * np.arange(11)]  # t = 0, 1, ... 10
    points = np.array([[x, y, t] for x, y in places for t in range(11)], dtype=float)
    found = LongHeat(horizon=20.0).reference_values(torch.from_numpy(points))[:, 0].numpy()
    error = np.linalg.norm(found - values.ravel()) / np.linalg.norm(values)
    assert 1e-3 < error < 0.1  # the file's own
