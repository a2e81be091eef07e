"""Regions cut at two values of a coordinate."""

import math

import pytest
import torch

from pinnlab.domains import Box, Cloud, Disk, Interval, Parameter
from pinnlab.domains.cut import cut, overlapping
from pinnlab.errors import ConfigurationError
from pinnlab.samplers import Sobol

X, T = Interval("x", 0, 3), Interval("t", 0, 2)

REGIONS = {
    "interval": T,
    "box": X * T,
    "box of three": Box(["x", "t", "y"], 0.0, [1.0, 2.0, 3.0]),
    "product with a disk": Disk(("y", "z")) * T,
    "product with a parameter": X * Parameter("nu", 1, 2) * T,
    "walls": (X * T).boundary("x"),
    "wall of a disk": (Disk(("y", "z")) * T).boundary("y", "z"),
    "walls of a product": (Disk(("y", "z")) * X * T).boundary("x", "y", "z"),
}


@pytest.mark.parametrize("name", REGIONS)
def test_what_is_left_is_what_lies_between(name):
    region = REGIONS[name]
    part = cut(region, "t", 0.5, 1.25)
    column = region.coordinates.index("t")
    assert part.coordinates == region.coordinates
    assert part.dimension == region.dimension
    assert part.measure == pytest.approx(region.measure * 0.75 / 2)  # all of these go straight along t
    points = Sobol().sample(part, 200, seed=0)
    assert region.contains(points).all()
    t = points[:, column]
    assert 0.5 <= t.min() < 0.55
    assert 1.2 < t.max() <= 1.25
    own = Sobol().sample(region, 500, seed=1)
    inside = (own[:, column] >= 0.5) & (own[:, column] <= 1.25)
    assert torch.equal(part.contains(own), inside)
    if not region.is_full_dimensional:
        assert torch.allclose(part.normals(points), region.normals(points))


def test_a_cut_at_the_ends_is_the_region_to_the_last_bit():
    assert repr(cut(X * T, "t", 0.0, 2.0)) == repr(X * T)
    assert cut(X * T, "t", 0.1 + 0.2, 1.0).low == (0.0, 0.1 + 0.2)
    assert isinstance(cut(Parameter("nu", 1, 2), "nu", 1.0, 1.5), Parameter)


@pytest.mark.parametrize("domain", [X * T, Box(["x", "t"], 0, [3, 2]), Disk(("x", "y")) * T])
def test_faces_at_the_ends_become_those_of_the_part(domain):
    column = domain.coordinates.index("t")
    for face, at in ((domain.face(t=0.0), [0.5]), (domain.face(t=2.0), [1.0]), (domain.boundary("t"), [0.5, 1.0])):
        points = Sobol().sample(cut(face, "t", 0.5, 1.0, ends=True), 20, seed=0)
        assert points[:, column].unique().tolist() == at
        assert domain.contains(points).all()
    whole = cut(domain.boundary(), "t", 0.5, 1.0, ends=True)
    assert whole.measure == pytest.approx(cut(domain, "t", 0.5, 1.0).boundary().measure)


def test_points_at_the_ends_become_those_of_the_part():
    """As those at which an unknown of a surface begins."""
    points = Cloud(["x", "t"], [[1.0, 0.0], [3.0, 0.0]], normals=[[-1.0, 0.0], [1.0, 0.0]])
    moved = cut(points, "t", 0.5, 1.0, ends=True)
    assert moved.quadrature(1)[0].tolist() == [[1.0, 0.5], [3.0, 0.5]]
    assert moved.normals(moved.quadrature(1)[0]).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    both = cut(Cloud(["t"], [[0.0], [2.0]]), "t", 0.5, 1.0, ends=True)
    assert both.quadrature(1)[0].tolist() == [[0.5], [1.0]]


@pytest.mark.parametrize(
    ("region", "low", "high", "match"),
    [
        (Cloud(["x", "t"], [[1.0, 0.0]]), 0.5, 1.0, "cannot be cut at values of t"),
        ((X * T).face(t=0.0), 0.5, 1.0, "cannot be cut at values of t"),
        ((X * T).boundary(), 0.5, 1.0, "cannot be cut at values of t"),
        (Disk(("x", "t")), 0.0, 0.5, "cannot be cut at values of t"),
        (X * T, 1.0, 0.5, "t must stay within 0 and 2, got 1 to 0.5"),
        (X * T, 1.0, 2.5, "t must stay within 0 and 2, got 1 to 2.5"),
    ],
)
def test_what_cannot_be_cut_is_refused(region, low, high, match):
    with pytest.raises(ConfigurationError, match=match):
        cut(region, "t", low, high)


def test_the_disk_is_whole():
    assert cut(Disk(("y", "z")) * T, "t", 0.0, 1.0).measure == pytest.approx(math.pi)


@pytest.mark.parametrize("name", REGIONS)
def test_what_overlaps_is_as_much_as_there_is(name):
    region = REGIONS[name]
    assert repr(overlapping(region, "t", -1.0, 3.0)) == repr(region)
    assert repr(overlapping(region, "t", 0.5, 3.0)) == repr(cut(region, "t", 0.5, 2.0))
    assert overlapping(region, "t", 2.0, 3.0) is None
