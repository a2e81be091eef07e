"""References of systems against other methods, their own refinement, and the equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pinnlab import problems
from pinnlab.errors import ConfigurationError
from pinnlab.problems.references import Lorenz
from pinnlab.problems.references.spectral import KortewegDeVries, KuramotoSivashinsky, Schroedinger

USUAL = (10.0, 28.0, 8 / 3, (-8.0, 7.0, 27.0))


def relative(u, reference):
    return np.linalg.norm(u - reference) / np.linalg.norm(reference)


def lorenz_by_runge_kutta(times):
    def slope(_, s):
        return [10 * (s[1] - s[0]), 28 * s[0] - s[0] * s[2] - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    solved = solve_ivp(slope, (0, times[-1]), USUAL[3], method="DOP853", rtol=1e-13, atol=1e-13, t_eval=times)
    return solved.y.T


def test_lorenz_agrees_with_a_runge_kutta_method():
    times = np.linspace(0, 5, 41)
    values = Lorenz(*USUAL, horizon=5.0)(times[:, None])
    np.testing.assert_allclose(values[0], USUAL[3], rtol=0, atol=0)
    np.testing.assert_allclose(values[:25], lorenz_by_runge_kutta(times)[:25], atol=1e-11)
    np.testing.assert_allclose(values, lorenz_by_runge_kutta(times), atol=1e-10)


@pytest.mark.parametrize("horizon", [3.0, 10.0])
def test_lorenz_converges_as_it_says(horizon):
    times = np.linspace(0, horizon, 777)[:, None]
    finer = Lorenz(*USUAL, horizon=horizon, steps=170)(times)
    accuracy = problems.Lorenz(horizon=horizon).reference().accuracy
    assert relative(Lorenz(*USUAL, horizon=horizon)(times), finer) < accuracy < 1e-9


@pytest.mark.parametrize(("points", "message"), [([[3.1]], "horizon"), ([[-0.1]], "horizon"), ([0.5], "shape")])
def test_lorenz_refuses_bad_points(points, message):
    with pytest.raises(ConfigurationError, match=message):
        Lorenz(*USUAL, horizon=3.0)(points)


def grid(x, t):
    return np.stack(np.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)


class Soliton(KortewegDeVries):
    """A wave of speed 1 that keeps its shape: narrow enough to be exact on the periodic interval."""

    def start(self, x):
        return 3 / np.cosh(np.sqrt(1 / (4 * self.dispersion)) * x) ** 2


def test_korteweg_de_vries_moves_a_soliton_as_it_is():
    solution = Soliton(0.001, horizon=0.5, modes=128, steps=4000)
    points = grid(np.linspace(-1, 1, 41), np.linspace(0, 0.5, 9))
    x, t = points.T
    distance = np.mod(x - t + 1, 2) - 1
    np.testing.assert_allclose(solution(points), solution.start(distance), atol=3e-9)


class Breather(Schroedinger):
    """The same start on an interval so long that it is exact: the soliton of second order, a formula."""

    def __init__(self):
        super().__init__(modes=384, steps=4000)
        self.low, self.high, self.waves = -20.0, 20.0, self.waves / 4


def test_schroedinger_agrees_with_the_soliton_of_second_order():
    x, t = grid(np.linspace(-5, 5, 41), np.linspace(0, np.pi / 2, 9)).T
    # Satsuma and Yajima, Prog. Theor. Phys. Suppl. 55 (1974).
    above = 4 * np.exp(0.5j * t) * (np.cosh(3 * x) + 3 * np.exp(4j * t) * np.cosh(x))
    h = above / (np.cosh(4 * x) + 4 * np.cosh(2 * x) + 3 * np.cos(4 * t))
    values = Breather()(np.stack([x, t], axis=1))
    np.testing.assert_allclose(values, np.stack([h.real, h.imag], axis=1), atol=2e-7)


def test_kuramoto_sivashinsky_agrees_with_a_runge_kutta_method():
    """Pseudo-spectral on a grid of its own, with steps that an error estimate chooses."""
    numbers = 100 / 16, 100 / 16**2, 100 / 16**4
    count, times = 192, np.array([0.05, 0.1])
    x, k = 2 * np.pi * np.arange(count) / count, np.fft.rfftfreq(count, 1 / count)
    symbol = numbers[1] * k**2 - numbers[2] * k**4

    def slope(_, spectrum):
        return symbol * spectrum - 0.5j * numbers[0] * k * np.fft.rfft(np.fft.irfft(spectrum, count) ** 2)

    start = np.fft.rfft(np.cos(x) * (1 + np.sin(x)))
    solved = solve_ivp(slope, (0, 0.1), start, method="DOP853", rtol=1e-10, atol=1e-10, t_eval=times)
    expected = np.fft.irfft(solved.y.T, count)
    solution = KuramotoSivashinsky(*numbers, horizon=0.1, steps=4000)
    found = solution(grid(x, times)).reshape(count, 2).T
    np.testing.assert_allclose(found[0], expected[0], atol=1e-7)
    np.testing.assert_allclose(found[1], expected[1], atol=5e-6)  # a steep front, for both


CONVERGED = {
    "kdv": (problems.KortewegDeVries, lambda: KortewegDeVries(0.0025, modes=112, steps=12_000)),
    "ks": (
        lambda: problems.KuramotoSivashinsky(horizon=0.3),
        lambda: KuramotoSivashinsky(100 / 16, 100 / 16**2, 100 / 16**4, horizon=0.3, modes=112, steps=8000),
    ),
    "schroedinger": (problems.Schroedinger, lambda: Schroedinger(modes=512, steps=6000)),
}


@pytest.mark.parametrize("name", CONVERGED)
def test_spectral_references_converge_as_they_say(name):
    problem, finer = CONVERGED[name][0](), CONVERGED[name][1]()
    points = grid(np.linspace(finer.low, finer.high, 61), np.linspace(0, finer.horizon, 37))
    reference = problem.reference()
    assert relative(reference.function(points), finer(points)) < reference.accuracy


@pytest.mark.slow
def test_kuramoto_sivashinsky_converges_to_the_end():
    reference = problems.KuramotoSivashinsky().reference()
    points = grid(np.linspace(0, 2 * np.pi, 101), np.linspace(0, 1, 72))
    finer = KuramotoSivashinsky(100 / 16, 100 / 16**2, 100 / 16**4, modes=112, steps=36_000)
    assert relative(reference.function(points), finer(points)) < reference.accuracy


@pytest.mark.parametrize("make", [lambda: KortewegDeVries(0.0025, steps=200), lambda: Schroedinger(steps=200)])
def test_spectral_references_do_not_depend_on_company(make):
    """Points on a grid and points one by one go different ways."""
    solution = make()
    points = grid(np.linspace(-0.9, 0.9, 7), np.linspace(0.01, 0.99, 9))
    together = solution(points)
    scattered = np.concatenate([points, np.random.default_rng(0).uniform(0, 1, (300, 2))])
    np.testing.assert_allclose(solution(scattered)[: len(points)], together, atol=1e-12)
    width = solution.high - solution.low
    np.testing.assert_allclose(solution(points + np.array([width, 0])), together, atol=1e-10)


def test_spectral_references_refuse_times_beyond_the_horizon():
    with pytest.raises(ConfigurationError, match="horizon"):
        KortewegDeVries(0.0025)([[0.0, 1.1]])
