"""References of systems against other methods, their own refinement, and the equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pinnlab import problems
from pinnlab.errors import ConfigurationError
from pinnlab.problems.references import Lorenz

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
