"""Flow over a backward step: its reference."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.step import Step

DATA = Path(os.environ.get("PINNLAB_REFERENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "reference"))


@pytest.fixture(scope="module")
def step():
    return Step()


def relative(values, reference):
    return np.linalg.norm(values - reference, axis=0) / np.linalg.norm(reference, axis=0)


def points(distance):
    x, y = np.meshgrid(np.linspace(0, 4, 61), np.linspace(0, 2, 33), indexing="ij")
    inside = ((x >= 2) | (y <= 1)) & (np.hypot(x - 2, y - 1) > distance)
    return np.stack([x[inside], y[inside]], axis=1)


def test_it_holds_its_conditions(step):
    s = np.linspace(0, 1, 21)
    inlet = step(np.stack([0 * s, s], axis=1))
    np.testing.assert_allclose(inlet[:, 0], 4 * s * (1 - s), atol=1e-12)
    outlet = step(np.stack([4 + 0 * s, 2 * s], axis=1))
    np.testing.assert_allclose(outlet[1:-1, 1:], 0, atol=2e-4)
    walls = [
        (2 + 0 * s - 1e-15, 1 + s),
        (2 * s, 1 + 0 * s + 1e-15),
        (4 * s, 0 * s),
        (2 * s, 1 + 0 * s),
        (2 + 0 * s, 1 + s),
        (2 + 2 * s, 2 + 0 * s),
    ]
    for x, y in walls:
        np.testing.assert_allclose(step(np.stack([x, y], axis=1))[:, :2], 0, atol=1e-12)


def test_as_much_flows_through_every_section(step):
    at, weights = np.polynomial.legendre.leggauss(40)
    for x, height in ((0.7, 1), (1.9, 1), (2.1, 2), (3.3, 2), (3.99, 2)):
        u = step(np.stack([np.full(40, x), (at + 1) * height / 2], axis=1))[:, 0]
        assert height / 2 * weights @ u == pytest.approx(2 / 3, rel=1e-3)


def test_it_satisfies_the_equations(step):
    """By differences of fourth order, away from the edge and from lines where the elements meet."""
    h, nu = 5e-3, 0.01
    at = np.array([[0.75, 0.45], [1.25, 0.68], [2.35, 0.42], [2.75, 1.35], [2.75, 0.68], [3.2, 0.68], [3.55, 1.65]])

    def moved(dx, dy):
        return step(at + h * np.array([dx, dy]))

    def first(x, y):
        return (8 * (moved(x, y) - moved(-x, -y)) - moved(2 * x, 2 * y) + moved(-2 * x, -2 * y)) / (12 * h)

    def second(x, y):
        near, far = moved(x, y) + moved(-x, -y), moved(2 * x, 2 * y) + moved(-2 * x, -2 * y)
        return (16 * near - far - 30 * step(at)) / (12 * h**2)

    (u, v, _), by_x, by_y, laplacian = step(at).T, first(1, 0), first(0, 1), second(1, 0) + second(0, 1)
    assert np.abs(by_x[:, 0] + by_y[:, 1]).max() < 2e-3
    for k, gradient in ((0, by_x), (1, by_y)):
        residual = u * by_x[:, k] + v * by_y[:, k] + gradient[:, 2] - nu * laplacian[:, k]
        assert np.abs(residual).max() < 2e-3


@pytest.mark.slow
def test_it_converges_as_it_says(step):
    """The error at degree 5, by degree 6; of the edge a disk is left out, as in the problem."""
    at = points(0.1)
    assert (relative(step(at), Step(degree=6)(at)) < [5e-5, 2e-4, 2e-4]).all()


def test_the_data_of_others_have_another_outlet(step):
    """Theirs say p = 0 there, and are not: the solver lowers the pressure where the flow would come back in."""
    path = DATA / "pinnacle" / "ns_0_obstacle.dat.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in PINNLAB_REFERENCE_DATA")
    with gzip.open(path, "rt") as lines:
        data = np.loadtxt(lines, comments="%")
    outlet = data[data[:, 0] > 4 - 1e-9]
    assert np.abs(outlet[:, 4]).max() > 0.02
    assert np.abs(outlet[:, 3]).max() < 2e-3
    data = data[np.hypot(data[:, 0] - 2, data[:, 1] - 1) > 0.1]
    upstream = data[data[:, 0] < 1]
    assert relative(upstream[:, 2:3], step(upstream[:, :2])[:, :1])[0] < 3e-3
    assert (relative(data[:, 2:], step(data[:, :2])) > [0.03, 0.3, 0.3]).all()


@pytest.mark.parametrize(
    ("at", "message"), [([[1.0, 1.5]], "not in the step"), ([[5.0, 1.0]], "must be in"), ([1.0], "shape")]
)
def test_it_refuses_bad_points(at, message, step):
    with pytest.raises(ConfigurationError, match=message):
        step(at)
