"""Flow in pulses through a channel: its reference."""

import numpy as np
import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.pulses import Pulses

NU, HORIZON = 0.01, 0.3


@pytest.fixture(scope="module")
def pulses():
    return Pulses(NU, HORIZON)


def relative(values, reference):
    return np.linalg.norm(values - reference, axis=0) / np.linalg.norm(reference, axis=0)


def anywhere(count):
    return np.random.default_rng(0).uniform([0, 0, 0], [2, 1, HORIZON], (count, 3))


def test_it_holds_its_conditions(pulses):
    s, t = np.linspace(0, 1, 21), 0.28
    beat = sum(np.sin(k * np.pi * t) for k in (1, 3, 5))
    inlet = pulses(np.stack([0 * s, s, t + 0 * s], axis=1))
    np.testing.assert_allclose(inlet[:, 0], np.sin(np.pi * s) * beat, atol=1e-5)
    np.testing.assert_allclose(inlet[:, 1], 0, atol=1e-12)
    outlet = pulses(np.stack([2 + 0 * s, s, t + 0 * s], axis=1))
    assert np.abs(outlet[1:-1, 2]).max() < 1e-2  # of 30; p = 0 holds weakly
    for y in (0, 1):
        np.testing.assert_allclose(pulses(np.stack([2 * s, y + 0 * s, t + 0 * s], axis=1))[:, :2], 0, atol=1e-12)
    np.testing.assert_allclose(pulses(np.stack([2 * s, s, 0 * s], axis=1))[:, :2], 0, atol=1e-12)


def test_as_much_flows_through_every_section(pulses):
    at, weights = np.polynomial.legendre.leggauss(40)
    for t in (0.07, 0.21):
        flow = 2 / np.pi * sum(np.sin(k * np.pi * t) for k in (1, 3, 5))
        for x in (0.3, 1.1, 1.9):
            u = pulses(np.stack([np.full(40, x), (at + 1) / 2, np.full(40, t)], axis=1))[:, 0]
            assert weights @ u / 2 == pytest.approx(flow, rel=1e-3)


def test_it_satisfies_the_equations(pulses):
    """By central differences, away from lines where the elements meet and from the walls."""
    h, dt = 5e-3, 5e-3
    at = np.array([[x, y, t] for x in (0.39, 0.88, 1.38) for y in (0.23, 0.59) for t in (0.11, 0.23)])

    def moved(*step):
        return pulses(at + np.array(step))

    def first(*step):
        return (moved(*step) - moved(*(-s for s in step))) / 2

    def second(*step):
        return moved(*step) + moved(*(-s for s in step)) - 2 * pulses(at)

    (x, y, t), (u, v, _) = at.T, pulses(at).T
    by_x, by_y, by_t = first(h, 0, 0) / h, first(0, h, 0) / h, first(0, 0, dt) / dt
    laplacian = (second(h, 0, 0) + second(0, h, 0)) / h**2
    assert np.abs(by_x[:, 0] + by_y[:, 1]).max() < 5e-3
    force = -np.sin(np.pi * x) * np.sin(np.pi * y) * np.sin(np.pi * t)
    for k, gradient, push in ((0, by_x, 0.0), (1, by_y, force)):
        terms = by_t[:, k] + u * by_x[:, k] + v * by_y[:, k] + gradient[:, 2] - NU * laplacian[:, k] - push
        assert np.abs(terms).max() < 3e-2  # of forces of 30


@pytest.mark.slow
def test_it_converges_in_space_and_time(pulses):
    at = anywhere(2000)
    found = pulses(at)
    assert (relative(found, Pulses(NU, HORIZON, step=1e-3, every=10)(at)) < 1e-3).all()
    assert (relative(found, Pulses(NU, HORIZON, degree=8)(at)) < 1e-3).all()


@pytest.mark.parametrize(
    ("at", "message"), [([[2.5, 0.5, 0.1]], "must be in"), ([[1.0, 0.5, 0.4]], "times from 0"), ([1.0], "shape")]
)
def test_it_refuses_bad_points(at, message, pulses):
    with pytest.raises(ConfigurationError, match=message):
        pulses(at)


def test_steps_that_are_too_long_are_not_stable():
    with np.errstate(all="ignore"), pytest.raises(ConfigurationError, match="too long"):
        Pulses(NU, 5.0, degree=4, step=0.1, every=1)([[1.0, 0.5, 0.1]])
