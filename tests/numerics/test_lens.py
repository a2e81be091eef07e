"""The map behind `Lens` and `Focused`: what a formula of tangents says, and that there and back is where it began."""

import math

import pytest
import torch

from pinnlab.numerics.lens import LensMap

X = torch.linspace(-1, 1, 201, dtype=torch.float64)
MAPS = [
    LensMap(at, width, periodic)
    for at in (0.0, 0.3, -1.0)
    for width in (0.02, 0.125, 1.0, 3.0)
    for periodic in (False, True)
]


@pytest.mark.parametrize("lens", MAPS, ids=repr)
def test_there_and_back(lens):
    away = (lens.gather(torch.remainder(lens.magnify(X) + 1, 2) - 1 if lens.periodic else lens.magnify(X)) - X).abs()
    assert float(torch.minimum(away, (away - 2).abs()).max()) < 1e-12  # a periodic one has -1 and 1 for one point


@pytest.mark.parametrize("lens", MAPS, ids=repr)
def test_order_is_kept(lens):
    assert bool((lens.magnify(X).diff() > 0).all())


@pytest.mark.parametrize("lens", [m for m in MAPS if not m.periodic], ids=repr)
def test_ends_stay_ends(lens):
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(lens.magnify(ends), ends, rtol=0, atol=1e-14)
    torch.testing.assert_close(lens.gather(ends), ends, rtol=0, atol=1e-14)
    assert bool((lens.gather(X).abs() <= 1).all())


@pytest.mark.parametrize("lens", [m for m in MAPS if m.periodic], ids=repr)
def test_a_periodic_one_is_the_map_of_tangents(lens):
    x = X[1:-1][(X[1:-1] - lens.at).abs() < 0.99]
    tangents = torch.tan(math.pi / 2 * (lens.magnify(x) - lens.at)) * lens.width
    torch.testing.assert_close(tangents, torch.tan(math.pi / 2 * (x - lens.at)), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(lens.magnify(X + 2), lens.magnify(X) + 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("width", [0.02, 0.125])
def test_it_is_steep_at_the_place(width, periodic):
    lens = LensMap(0.25, width, periodic)
    x = torch.tensor([0.25, -0.75], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(lens.magnify(x).sum(), x)
    steepest = 1 / width if periodic else 2 / width / (math.asinh(0.75 / width) + math.asinh(1.25 / width))
    assert float(slopes[0]) == pytest.approx(steepest)
    assert float(slopes[1]) < 1  # and flat elsewhere


def test_what_is_odd_between_two_walls_stays_odd():
    lens = LensMap(0.0, 0.1, True)
    torch.testing.assert_close(lens.magnify(-X), -lens.magnify(X), rtol=0, atol=1e-14)
    torch.testing.assert_close(lens.magnify(2 - X), 2 - lens.magnify(X), rtol=0, atol=1e-14)
