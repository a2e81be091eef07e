"""The interval with more points near its lower end."""

import pytest
import torch

from pinnlab.domains import GradedInterval, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.samplers import UniformRandom


def test_roots_are_uniform():
    times = UniformRandom().sample(GradedInterval("t", 1.0, 5.0, power=3.0), 20_000, seed=0)[:, 0]
    shares = torch.histc(((times - 1) / 4) ** (1 / 3), 10, 0.0, 1.0) / 20_000
    assert (shares - 0.1).abs().max() < 0.01


def test_all_else_is_that_of_the_interval():
    graded, plain = GradedInterval("t", 1.0, 5.0), Interval("t", 1.0, 5.0)
    assert (graded.measure, graded.low, graded.high) == (plain.measure, plain.low, plain.high)
    for one, other in zip(graded.quadrature(50), plain.quadrature(50), strict=True):
        assert torch.equal(one, other)
    both = Interval("x", 0, 1) * graded
    assert both.boundary("x").measure == 8.0
    assert torch.equal(UniformRandom().sample(both.face(t=1.0), 3, seed=0)[:, 1], torch.ones(3).double())
    assert repr(graded) == "GradedInterval('t', 1, 5, power=2)"


@pytest.mark.parametrize("power", [0.5, float("nan"), "2", True])
def test_powers_that_cannot_be_are_refused(power):
    with pytest.raises(ConfigurationError, match="power"):
        GradedInterval("t", 0, 1, power=power)
