"""Heat and waves in random media: the fields and the references."""

import numpy as np
import pytest
import torch

from pinnlab.problems import RandomMediumHeat, RandomMediumWave
from pinnlab.problems.random_fields import RandomField
from pinnlab.problems.references.random_media import MediumHeat, MediumWave


def test_a_field_is_periodic_of_mean_zero_and_variance_one_and_always_the_same():
    field = RandomField([0, -1], [1, 3], seed=0, waves=5)
    x, y = np.meshgrid(np.arange(16) / 16, -1 + np.arange(16) / 4, indexing="ij")
    values = field.values(np.stack([x.ravel(), y.ravel()], axis=1))
    assert abs(values.mean()) < 1e-12
    assert abs((values**2).mean() - 1) < 1e-12
    points = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    np.testing.assert_allclose(field.values(points + np.array([2, -4])), field.values(points), atol=1e-12)
    np.testing.assert_allclose(values[:3], [-0.069104479566, 0.417018062494, 1.139075149267], rtol=1e-9)
    other = RandomField([0, -1], [1, 3], seed=1, waves=5)
    assert np.abs(other.values(points) - field.values(points)).max() > 0.5


def test_amplitudes_of_a_field_fall_by_its_power():
    """The mean squares of many fields, long waves over short ones; and all waves of a cube are there."""
    squares = np.zeros((2, 2))
    for k, power in enumerate((0.0, 2.0)):
        for seed in range(60):
            field = RandomField([0, 0], [1, 1], seed=seed, waves=4, power=power, shape="cube")
            lengths = np.linalg.norm(field.numbers, axis=1) / (2 * np.pi)
            own = (field.factors**2).sum(1)
            squares[k] += own[lengths < 1.1].mean(), own[abs(lengths - 4) < 0.1].mean()
    assert len(field.numbers) == (9**2 - 1) // 2
    assert 0.7 < squares[0, 0] / squares[0, 1] < 1.4
    assert 0.7 < squares[1, 0] / squares[1, 1] / 4**4 < 1.4


def test_torch_and_numpy_say_the_same_of_a_field_and_its_slope_is_its_derivative():
    field, points = RandomField([-1, -1], [1, 1], seed=3), torch.rand(30, 2, dtype=torch.float64) * 2 - 1
    points.requires_grad_()
    values, slope = field.with_slope(points)
    np.testing.assert_allclose(values.detach().numpy(), field.values(points.detach().numpy()), atol=1e-12)
    torch.testing.assert_close(field(points), values)
    torch.testing.assert_close(torch.autograd.grad(values.sum(), points)[0], slope)


def derivative(solution, at, column, order, h):
    """By differences of fourth order."""
    v = [solution(at + k * h * np.eye(3)[column]) for k in (-2, -1, 0, 1, 2)]
    if order == 1:
        return (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * h)
    return (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h**2)


@pytest.fixture(scope="module")
def heat():
    problem = RandomMediumHeat()
    return problem, problem.reference().function


def test_the_heat_satisfies_its_equation_and_its_conditions(heat):
    """With the coefficient itself differentiated by differences, too: div(a grad u) from fluxes at half steps."""
    problem, solution = heat
    at, h = np.random.default_rng(2).uniform(0.1, 0.9, (40, 3)) * [1, 1, 5], 2e-3
    spread = 0.0
    for e in (np.array([h, 0, 0]), np.array([0, h, 0])):
        for sign in (1, -1):
            a = np.exp(problem.logarithm.values(at[:, :2] + sign * e[:2] / 2))
            spread = spread + a * (solution(at + sign * e) - solution(at)) / h**2
    x, y, t = at.T
    source = 200 * np.sin(np.pi * x) * np.sin(5 * np.pi * y) * np.sin(np.pi * t)
    left_over = derivative(solution, at, 2, 1, 1e-3) - spread - source
    assert np.linalg.norm(left_over) < 0.03 * np.linalg.norm(source)
    rim = np.array([[0, 0.3, 1.0], [1, 0.7, 2.0], [0.4, 0, 3.0], [0.2, 1, 0.5], [0.3, 0.6, 0.0]])
    np.testing.assert_allclose(solution(rim), 0, atol=1e-12)


@pytest.mark.slow
def test_the_heat_converges_as_it_says(heat):
    problem, solution = heat
    points = np.random.default_rng(1).uniform(0, 1, (1000, 3)) * [1, 1, 5]
    fewer = MediumHeat(solution.conductivity, 200.0, 5.0, degrees=(36, 44))(points)
    error = np.linalg.norm(fewer - solution(points)) / np.linalg.norm(fewer)
    assert problem.reference().accuracy < error < 2e-3


def test_heat_in_one_material_is_the_formula():
    """a = 2: one sine, which follows its source."""
    solution = MediumHeat(lambda points: np.full(len(points), 2.0), 200.0, 2.0, degrees=(14, 20))
    points = np.random.default_rng(0).uniform(0, 1, (100, 3)) * [1, 1, 2]
    x, y, t = points.T
    rate = 2 * 26 * np.pi**2
    swing = (rate * np.sin(np.pi * t) - np.pi * np.cos(np.pi * t) + np.pi * np.exp(-rate * t)) / (rate**2 + np.pi**2)
    expected = 200 * np.sin(np.pi * x) * np.sin(5 * np.pi * y) * swing
    np.testing.assert_allclose(solution(points), expected, atol=1e-8)


def test_waves_in_one_material_are_the_formula():
    """c = 4: a standing wave of cosines, which keeps its height."""

    def standing(points):
        return np.cos(1.5 * np.pi * (points[:, 0] + 1)) * np.cos(np.pi * (points[:, 1] + 1))

    solution = MediumWave(lambda points: np.full(len(points), 4.0), standing, 1.0, count=24, step=1e-3)
    points = np.random.default_rng(0).uniform(-1, 1, (100, 3)) * [1, 1, 0.5] + np.array([0, 0, 0.5])
    expected = standing(points) * np.cos(2 * np.pi * np.sqrt(1.5**2 + 1) * points[:, 2])
    np.testing.assert_allclose(solution(points), expected, atol=1e-5)


def test_the_waves_satisfy_their_equation_and_their_conditions():
    """Where the start's kinks at x = -1 have not come yet: they run through the slower material by at most 0.5."""
    problem = RandomMediumWave(horizon=0.4)
    solution = problem.reference().function
    at = np.array([[-0.3, 0.1, 0.12], [-0.2, -0.2, 0.1], [0.4, 0.0, 0.13], [-0.4, 0.2, 0.11], [0.0, -0.4, 0.14]])
    spread = derivative(solution, at, 0, 2, 0.02) + derivative(solution, at, 1, 2, 0.02)
    rise = np.tanh(2 * problem.field.values(at[:, :2]))
    np.testing.assert_allclose(
        derivative(solution, at, 2, 2, 0.01), 12 ** ((1 + rise) / 2) * spread, rtol=0.02, atol=0.1
    )
    assert np.abs(spread).max() > 1.5
    places = np.random.default_rng(0).uniform(-0.9, 0.9, (50, 3)) * [1, 1, 0]
    bump = np.exp(-((places[:, 0] + 0.5) ** 2 + places[:, 1] ** 2) / 0.18)
    np.testing.assert_allclose(solution(places), bump, atol=2e-3)
    np.testing.assert_allclose(solution(places + np.array([0, 0, 1e-3])), bump, atol=3e-3)


@pytest.mark.slow
def test_more_points_and_shorter_steps_change_the_waves_by_what_it_says():
    problem = RandomMediumWave(horizon=1.0)
    solution, points = problem.reference().function, np.random.default_rng(1).uniform(0, 1, (1000, 3))
    points = points * [2, 2, 1] - [1, 1, 0]
    other = MediumWave(solution.square, solution.initial, 1.0, count=192, step=1.25e-3)(points)
    assert np.linalg.norm(other - solution(points)) / np.linalg.norm(other) < problem.reference().accuracy
