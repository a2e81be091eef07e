"""Conditions beside the domain, and normals that lead into it, are refused; interfaces and rough data are not."""

import warnings

import pytest
import torch

from pinnlab.domains import Ball, Box, Cloud, Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Dirichlet, Energy, Integral, Mean, Neumann, Observations, Problem, Residual, Robin, Unknown

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
    "integral": (PLATE, Integral(HOLE.boundary(), along, value=1.0)),
    "scanned": (PLATE, Neumann(RIM, u=1.0)),
    "in space": (ROOM - BUBBLE, Robin(BUBBLE.boundary(), u=0.0)),
    "with time": (PLATE * Interval("t", 0, 1), Robin((HOLE * Interval("t", 0, 1)).boundary("x", "y"), u=0.0)),
    "half outside": (SQUARE - Disk(radius=0.2), Robin(Disk(radius=0.2).boundary(), u=0.0)),
}


@pytest.mark.parametrize("case", INWARDS)
def test_normals_that_lead_into_the_domain_are_refused(case):
    with pytest.raises(ConfigurationError, match=r"^condition 'c': its normals .* domain.boundary\(on=hole\)"):
        posed(*INWARDS[case])


TWO = {"inner": Unknown(on=HOLE), "outer": Unknown(on=PLATE)}


@pytest.mark.parametrize(
    "condition",
    [
        Neumann(HOLE.boundary(), outer=1.0),
        Robin(HOLE.boundary(), outer=0.0),
        Residual(HOLE.boundary(), lambda outer, normal: outer.along(normal) + outer - 1),
    ],
)
def test_normals_that_lead_into_the_part_where_the_only_unknown_lives_are_refused(condition):
    with pytest.raises(ConfigurationError, match=r"^condition 'c': its normals lead into the part where outer lives"):
        Problem(SQUARE, TWO, {"c": condition})


@pytest.mark.parametrize(
    "condition",
    [
        Neumann(PLATE.boundary(on=HOLE), outer=1.0),
        Neumann(HOLE.boundary(), inner=1.0),
        Neumann(HOLE.boundary(), outer=lambda inner, outer: outer - inner),  # a contact, along the inner normal
        Residual(HOLE.boundary(), lambda inner, outer, normal: inner.along(normal) - outer.along(normal)),
    ],
)
def test_an_interface_may_take_the_normal_of_either_side(condition):
    assert Problem(SQUARE, TWO, {"c": condition}).conditions


FINE = {
    "what the domain says": (PLATE, Robin(PLATE.boundary(on=HOLE), u=1.0)),
    "the outer sides": (PLATE, Robin(SQUARE.boundary(), u=1.0)),
    "no flux either way": (PLATE, Neumann(HOLE.boundary(), u=0.0)),
    "no flux in all": (PLATE, Integral(HOLE.boundary(), along)),
    "a flux in all": (PLATE, Integral(PLATE.boundary(on=HOLE), along, value=1.0)),
    "values": (PLATE, Dirichlet(HOLE.boundary(), u=1.0)),
    "rough places": (PLATE, Dirichlet(Cloud(["x", "y"], [[0.5, 0.65], [0.5, 1.05]]), u=1.0)),
    "an interface": (SQUARE, Residual(HOLE.boundary(), along)),
    "a start": (SQUARE * Interval("t", 0, 1), Neumann((SQUARE * Interval("t", 0, 1)).face(t=0.0), u=1.0)),
    "equation in a part": (SQUARE, Residual(HOLE, lambda u: u.x)),
    "integral over a part": (SQUARE, Integral(HOLE, lambda u: u, value=1.0)),
    "flux through an interface": (SQUARE, Integral(HOLE.boundary(), along, value=1.0)),
    "equation around a rough hole": (PLATE, Residual(SQUARE - HOLE.scale(0.98, (0.5, 0.5)), lambda u: u.x)),
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


LINE, LONG = Interval("x", 0, 1), Interval("x", 0, 2)
REACHES_OUT = {
    "equation": (LINE, Residual(LONG, lambda u: u.xx)),
    "integral": (LINE, Integral(LONG, lambda u: u, value=1.0)),
    "mean": (LINE, Mean(LONG, lambda u: u)),
    "integral at each time": (
        LINE * Interval("t", 0, 1),
        Integral(LONG * Interval("t", 0, 1), lambda u: u, each="t"),
    ),
    "equation in a hole": (PLATE, Residual(SQUARE, lambda u: u.laplacian())),
    "integral over a hole": (PLATE, Integral(SQUARE, lambda u: u, value=1.0)),
}


@pytest.mark.parametrize("case", REACHES_OUT)
def test_a_region_that_reaches_out_of_the_domain_is_told(case):
    with pytest.warns(UserWarning, match=r"condition 'c': a part of it lies outside of the domain, see x = "):
        posed(*REACHES_OUT[case])
