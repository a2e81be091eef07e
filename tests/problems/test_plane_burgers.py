"""Burgers' equations in the plane: the start and the reference."""

import numpy as np
import pytest
import torch

from pinnlab.problems import Burgers, PlaneBurgers
from pinnlab.problems.references.plane import PlaneBurgers as SpectralSolution


@pytest.fixture(scope="module")
def solution():
    return PlaneBurgers().reference().function


def test_the_start_has_waves_up_to_four_and_a_largest_value_of_two(solution):
    problem, s = PlaneBurgers(), 4 * np.arange(64) / 64
    points = np.stack([a.ravel() for a in np.meshgrid(s, s, indexing="ij")] + [np.zeros(64 * 64)], axis=1)
    found = torch.stack([problem.initial(torch.from_numpy(points), k) for k in range(2)], 1).numpy()
    np.testing.assert_allclose(solution(points), found, atol=1e-6)
    for k in range(2):
        values = found[:, k].reshape(64, 64)
        assert 1.9 < np.abs(values).max() < 2 + 1e-12
        spectrum = np.abs(np.fft.fft2(values)) / 64**2
        number = np.abs(np.fft.fftfreq(64, 1 / 64))
        outside = (number[:, None] > 4) | (number > 4)
        assert spectrum[outside].max() < 1e-12
        assert np.count_nonzero(spectrum > 1e-6) == 9**2 - 1  # all waves of the square but the mean
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.5  # u and v are drawn apart


def test_the_reference_satisfies_the_equations(solution):
    at = np.random.default_rng(0).uniform(0, 1, (60, 3)) * [4, 4, 0.03] + np.array([0, 0, 0.01])

    def by(column, order, h):
        v = [solution(at + k * h * np.eye(3)[column]) for k in (-2, -1, 0, 1, 2)]
        if order == 1:
            return (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * h)
        return (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h**2)

    now = solution(at)
    carried = now[:, :1] * by(0, 1, 5e-3) + now[:, 1:] * by(1, 1, 5e-3)
    spread = 1e-3 * (by(0, 2, 5e-3) + by(1, 2, 5e-3))
    np.testing.assert_allclose(by(2, 1, 1e-3), spread - carried, atol=2e-3)
    assert np.abs(carried).max() > 5
    around = at + np.array([4, -4, 0])
    np.testing.assert_allclose(solution(around), now, atol=1e-9)


def test_along_a_line_it_is_burgers_equation():
    """U depends on x alone: the shock of the problem in one dimension, viscosity 0.05, stretched to a side of 4."""

    def initial(points):
        return np.stack([-np.sin(np.pi * (points[:, 0] - 2) / 2), 0 * points[:, 0]], axis=1)

    plane = SpectralSolution(0.2, initial, 1.0, modes=32, step=0.02)
    points = np.random.default_rng(0).uniform(0, 1, (200, 3)) * [4, 4, 1]
    # With x = 2 + 2 s and t = 2 r the equation for s and r has the viscosity nu / 2.
    line = Burgers(viscosity=0.1).reference().function(np.stack([(points[:, 0] - 2) / 2, points[:, 2] / 2], axis=1))
    np.testing.assert_allclose(plane(points)[:, 0], line.ravel(), atol=2e-5)
    np.testing.assert_allclose(plane(points)[:, 1], 0, atol=1e-12)


@pytest.mark.slow
def test_modes_and_steps_change_it_by_what_it_says(solution):
    points = np.random.default_rng(1).uniform(0, 1, (200, 3)) * [4, 4, 0.05]
    expected = solution(points)
    for options in ({"modes": 80}, {"modes": 64, "step": 2e-3}):
        found = SpectralSolution(1e-3, solution.initial, 0.05, **options)(points)
        assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < PlaneBurgers().reference().accuracy
    later = PlaneBurgers(horizon=0.1).reference()
    points[:, 2] *= 2
    fewer = SpectralSolution(1e-3, solution.initial, 0.1, modes=64)(points)
    error = np.linalg.norm(fewer - later.function(points)) / np.linalg.norm(fewer)
    assert later.accuracy / 5 < error < 5 * later.accuracy  # there half the modes are felt
