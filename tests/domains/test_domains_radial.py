"""The ball whose points have a uniform distance from the center."""

import torch

from pinnlab.domains import Ball, RadialBall
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
