"""A speed at the first time that is given along the normal, which leads back in time, is told."""

import warnings

import pytest
import torch

from pinnlab.domains import Interval
from pinnlab.problems import Dirichlet, Neumann, Problem, Residual
from pinnlab.problems.initial_speeds import warn_of_initial_speeds

STRIP = Interval("x", 0, 1) * Interval("t", 0, 2)


def told(condition, domain=STRIP):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_initial_speeds(Problem(domain, ["u"], {"pde": Residual(domain, lambda u: u.t - u.xx), "c": condition}))
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("speed", [1.0, lambda x: torch.sin(x)])
def test_a_speed_along_the_normal(speed):
    assert told(Neumann(STRIP.face(t=0.0), u=speed)) == [
        "condition 'c': at the first time Neumann says -du/dt = g, as the outward normal leads back; for a speed v "
        "there write Residual(face, lambda u: u.t - v)"
    ]


@pytest.mark.parametrize(
    "condition",
    [
        Neumann(STRIP.face(t=0.0), u=0.0),
        Neumann(STRIP.face(t=2.0), u=1.0),
        Neumann(STRIP.face(x=0.0), u=1.0),
        Dirichlet(STRIP.face(t=0.0), u=1.0),
        Residual(STRIP.face(t=0.0), lambda u: u.t - 1),
    ],
)
def test_what_is_well(condition):
    assert told(condition) == []
