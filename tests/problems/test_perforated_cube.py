"""A cube with balls cut out: its reference."""

import numpy as np
import pytest
import torch

from pinnlab.problems import PerforatedCube
from pinnlab.problems.perforated_cube import BALLS, RATES, _solution
from pinnlab.problems.references import cube_spheres
from pinnlab.problems.references.cube_spheres import CubeWithoutBalls
from pinnlab.samplers import UniformRandom


def test_the_cube_alone_is_solved_for_a_solution_that_is_known():
    """Cosines in x and y; in z what has the same k on both sides."""

    def exact(x, y, z):
        return np.cos(np.pi * x) * np.cos(2 * np.pi * y) * np.cos(np.pi * z)

    whole = cube_spheres._WholeCube((3.0, 3.0), lambda *at: (9 + 6 * np.pi**2) * exact(*at), 2)
    points = np.random.default_rng(0).uniform(0, 1, (300, 3))
    np.testing.assert_allclose(whole(points), exact(*points.T), atol=1e-9)
    slope = -np.pi * np.sin(np.pi * points[:, 0]) * exact(0, *points[:, 1:].T)
    np.testing.assert_allclose(whole(points, 0), slope, atol=1e-7)


def test_the_reference_satisfies_the_equation_in_both_halves():
    """By differences of fourth order, from the definition."""
    h, at = 4e-3, np.array([[0.1, 0.15, 0.1], [0.9, 0.5, 0.3], [0.35, 0.52, 0.2], [0.5, 0.5, 0.8], [0.85, 0.1, 0.62]])

    def second(axis):
        v = [_solution()(at + k * h * np.eye(3)[axis]) for k in (-2, -1, 0, 1, 2)]
        return (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h**2)

    x, y, z = at.T
    a, b, c, s = np.sin(np.pi * x), np.sin(10 * np.pi * y), np.sin(5 * np.pi * z), x**2 + y**2 + z**2
    source = 20 * np.exp(a + b + c) * (s - 1) / (s + 1) + 100 * a * b * c
    square = np.where(z < 0.5, 64, 100)
    np.testing.assert_allclose(-sum(map(second, range(3))) + square * _solution()(at), source, atol=0.05)


@pytest.mark.parametrize("name", ["walls", "spheres"])
def test_nothing_flows_through_walls_and_spheres_between_the_points_of_the_fit(name):
    """Compared with the slopes of the solution in the whole cube there, which are of size one."""
    region = PerforatedCube().conditions[name].region
    points = UniformRandom().sample(region, 1000, seed=1)
    normals = region.normals(points).numpy()
    flux = _solution().slopes(points.numpy(), normals)
    assert np.sqrt((flux**2).mean()) < (3e-3 if name == "spheres" else 5e-4)


def test_the_halves_meet():
    points = np.random.default_rng(0).uniform(0, 1, (1000, 3))
    points[:, 2] = 0.5
    points = points[[all(np.linalg.norm(p - ball[:3]) > ball[3] for ball in BALLS) for p in points]]
    upwards = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    for along in (None, upwards):
        low, high = (half.columns(points, along) @ factors for half, factors in _solution()._fitted)
        assert np.sqrt(((low - high) ** 2).mean()) < (1e-4 if along is None else 2e-3)


@pytest.mark.slow
def test_fewer_sources_and_cosines_change_it_by_less_than_a_thousandth(monkeypatch):
    monkeypatch.setattr(cube_spheres, "MODES", 11)
    monkeypatch.setattr(cube_spheres, "BESIDE", 35)
    problem = PerforatedCube()

    def source(*at):
        return problem.source(*(torch.from_numpy(s) for s in at)).numpy()

    points = UniformRandom().sample(problem.domain, 1500, seed=0).numpy()
    coarse, fine = CubeWithoutBalls(RATES, source, BALLS, (150, 150, 60, 60))(points), _solution()(points)
    assert 1e-5 < np.linalg.norm(coarse - fine) / np.linalg.norm(fine) < 1e-3
