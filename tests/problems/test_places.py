"""Conditions beside the domain, and normals that lead into it, are refused; interfaces and rough data are not."""

import warnings

import pytest
import torch

from pinnlab.domains import Ball, Box, Cloud, Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Dirichlet, Energy, Neumann, Observations, Problem, Residual, Robin

SQUARE, HOLE = Box(["x", "y"], 0, 1), Disk(center=(0.5, 0.5), radius=0.2)
PLATE = SQUARE - HOLE
RIM, ROOM = Cloud(["x", "y"], [[0.7, 0.5]], normals=[[1.0, 0.0]]), Box(["x", "y", "z"], 0, 1)
BUBBLE = Ball(["x", "y", "z"], 0.5, 0.2)


def posed(domain, condition):
    return Problem(domain, ["u"], {"c": condition})


def along(u, normal):
    return u.along(normal)


INWARDS = {
    "slope": (PLATE, Neumann(HOLE.boundary(), u=1.0)),
    "slope by a function": (PLATE, Neumann(HOLE.boundary(), u=lambda x: x)),
    "mixed": (PLATE, Robin(HOLE.boundary(), u=0.0)),
    "residual": (PLATE, Residual(HOLE.boundary(), along)),
    "energy": (PLATE, Energy(HOLE.boundary(), along)),
    "scanned": (PLATE, Neumann(RIM, u=1.0)),
    "in space": (ROOM - BUBBLE, Robin(BUBBLE.boundary(), u=0.0)),
    "with time": (PLATE * Interval("t", 0, 1), Robin((HOLE * Interval("t", 0, 1)).boundary("x", "y"), u=0.0)),
    "half outside": (SQUARE - Disk(radius=0.2), Robin(Disk(radius=0.2).boundary(), u=0.0)),
}


@pytest.mark.parametrize("case", INWARDS)
def test_normals_that_lead_into_the_domain_are_refused(case):
    with pytest.raises(ConfigurationError, match=r"^condition 'c': its normals .* domain.boundary\(on=hole\)"):
        posed(*INWARDS[case])


FINE = {
    "what the domain says": (PLATE, Robin(PLATE.boundary(on=HOLE), u=1.0)),
    "the outer sides": (PLATE, Robin(SQUARE.boundary(), u=1.0)),
    "no flux either way": (PLATE, Neumann(HOLE.boundary(), u=0.0)),
    "values": (PLATE, Dirichlet(HOLE.boundary(), u=1.0)),
    "an interface": (SQUARE, Residual(HOLE.boundary(), along)),
    "a start": (SQUARE * Interval("t", 0, 1), Neumann((SQUARE * Interval("t", 0, 1)).face(t=0.0), u=1.0)),
    "equation in a part": (SQUARE, Residual(HOLE, lambda u: u.x)),
}


@pytest.mark.parametrize("case", FINE)
def test_others_are_not(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert posed(*FINE[case]).conditions


@pytest.mark.parametrize(
    "condition",
    [
        Dirichlet(Disk(center=(9, 9)).boundary(), u=1.0),
        Dirichlet(Cloud(["x", "y"], [[0.5, 7.0]]), u=1.0),
        Observations([[500.0, 200.0], [300.0, 400.0]], u=[1.0, 2.0]),
    ],
)
def test_a_condition_beside_the_domain_is_refused(condition):
    with pytest.raises(ConfigurationError, match=r"^condition 'c': none of its points lies in the domain, see x = "):
        posed(PLATE, condition)


def test_single_measurements_far_outside_are_told():
    places = torch.tensor([[0.5, 0.1], [1.05, 0.5], [3.0, 0.25]])
    with pytest.warns(UserWarning, match="1 of its 3 points lie outside of the domain, see x = 3, y = 0.25"):
        posed(PLATE, Observations(places, u=torch.ones(3)))


def test_a_region_that_reaches_out_of_the_domain_is_told():
    line = Interval("x", 0, 1)
    with pytest.warns(UserWarning, match=r"condition 'pde': a part of it lies outside of the domain, see x = "):
        Problem(line, ["u"], {"pde": Residual(Interval("x", 0, 2), lambda u: u.xx)})
