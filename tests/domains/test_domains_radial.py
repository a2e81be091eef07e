"""The ball whose points have a uniform distance from the center."""

import pytest
import torch

from pinnlab.domains import Ball, Disk, GradedInterval, Interval, RadialBall, Union
from pinnlab.samplers import UniformRandom

AXES = [f"x{k}" for k in range(1, 41)]


def test_distances_are_uniform_and_directions_as_in_every_ball():
    ball = RadialBall(AXES, center=0.5, radius=2.0)
    offsets = UniformRandom().sample(ball, 20_000, seed=0) - 0.5
    distances = offsets.norm(dim=1) / 2
    shares = torch.histc(distances, 10, 0.0, 1.0) / 20_000
    assert (shares - 0.1).abs().max() < 0.01
    directions = offsets / offsets.norm(dim=1, keepdim=True)
    assert directions.mean(0).abs().max() < 0.006  # each has a variance of 1/40
    assert (directions.T @ directions / 20_000 - torch.eye(40) / 40).abs().max() < 0.002
    everywhere = UniformRandom().sample(Ball(AXES, 0.5, 2.0), 20_000, seed=0)
    assert ((everywhere - 0.5).norm(dim=1) / 2).quantile(0.5) > 0.98


def test_all_else_is_that_of_the_ball():
    radial, ball = RadialBall(["x", "y", "z"], 1.0, 2.0), Ball(["x", "y", "z"], 1.0, 2.0)
    assert (radial.measure, radial.low, radial.high) == (ball.measure, ball.low, ball.high)
    for one, other in zip(radial.quadrature(500), ball.quadrature(500), strict=True):
        assert torch.equal(one, other)
    points = torch.randn(50, 3, dtype=torch.float64)
    assert torch.equal(radial.distance(points), ball.distance(points))
    assert repr(radial) == repr(ball).replace("Ball", "RadialBall")


XYZ = ["x", "y", "z"]
RADIAL, TIMES = RadialBall(AXES[:9]), GradedInterval("t", 0, 1)
GATHERED = {  # regions whose points lie closer together somewhere, and the mean of |x|^2 or of t
    "many dimensions": (RADIAL * Interval("t", 0, 1), lambda x: x[:, :9].square().sum(1), 9 / 11),
    "a boundary": ((RADIAL * TIMES).boundary(*RADIAL.coordinates), lambda x: x[:, 9], 0.5),
    "a difference": (
        RadialBall(XYZ) - Ball(XYZ, 0, 0.5),
        lambda x: x.square().sum(1),
        3 / 5 * (1 - 2**-5) / (1 - 2**-3),
    ),
    "a wall": ((Disk() * TIMES - Ball(["x", "y", "t"], [0, 0, 0.5], 0.1)).boundary("x", "y"), lambda x: x[:, 2], 0.5),
    "a moved one": ((Disk() * TIMES - Ball(["x", "y", "t"], 0, 0.1)).translate(t=1), lambda x: x[:, 2], 1.5),
    "a union": (Union([RadialBall(XYZ) - Ball(XYZ, 0, 0.5), Ball(XYZ, [2, 0, 0])]), lambda x: x[:, 0], 2 / (2 - 2**-3)),
}


@pytest.mark.parametrize("name", GATHERED)
def test_integrals_are_those_of_uniform_points(name):
    """Also where quasi-random points stand in for a product of rules: they would take the points' own density along."""
    region, function, mean = GATHERED[name]
    nodes, weights = region.quadrature(1024)
    assert float(weights.sum()) == pytest.approx(region.measure)
    assert float(weights @ function(nodes)) / region.measure == pytest.approx(mean, abs=2e-3)
    assert region.spread_evenly().spread_evenly() is not region
