"""Conditions that contradict each other are told; those that meet at corners, or agree, are not."""

import warnings

import pytest
from cases import PROBLEMS, built

from pinnlab.domains import Box, Interval
from pinnlab.problems import Dirichlet, Problem, Residual
from pinnlab.problems.conflicts import warn_of_conflicts

LINE, SQUARE = Interval("x", 0, 1), Box(["x", "y"], 0, 1)


def posed(domain, unknowns=("u",), **conditions):
    return Problem(domain, unknowns, {"pde": Residual(domain, lambda u: u.xx), **conditions})


def quiet(problem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_conflicts(problem)


@pytest.mark.parametrize("order", [("left", "ends"), ("ends", "left")])
def test_two_values_at_one_place_are_told(order):
    known = {"left": Dirichlet(LINE.face(x=0.0), u=0.0), "ends": Dirichlet(LINE.boundary(), u=1.0)}
    with pytest.warns(UserWarning, match=r"'\w+' and '\w+' give u values that differ by 1 at x = 0; leave") as caught:
        warn_of_conflicts(posed(LINE, **{name: known[name] for name in order}))
    assert len(caught) == 1


def test_of_several_unknowns_the_one_is_named():
    one = Dirichlet(SQUARE.face(x=0.0), u=lambda y: y, v=1.0)
    two = Dirichlet(SQUARE.boundary(), v=lambda x, y: 1 + x, u=lambda x, y: y * (1 - x) + 0.5 * (y > 0.7))
    with pytest.warns(UserWarning, match=r"give u values that differ by 0\.5 at x = 0, y = 0\.[7-9]"):
        warn_of_conflicts(posed(SQUARE, ("u", "v"), one=one, two=two))


def test_what_agrees_or_meets_at_corners_is_not():
    quiet(posed(LINE, a=Dirichlet(LINE.boundary(), u=lambda x: x), b=Dirichlet(LINE.face(x=1.0), u=1.0)))
    quiet(posed(SQUARE, lid=Dirichlet(SQUARE.face(y=1.0), u=1.0), wall=Dirichlet(SQUARE.face(x=0.0), u=0.0)))
    quiet(posed(SQUARE, ("u", "v"), a=Dirichlet(SQUARE.boundary(), u=1.0), b=Dirichlet(SQUARE.boundary(), v=2.0)))


@pytest.mark.parametrize("name", PROBLEMS)
def test_shipped_problems_are_quiet(name):
    quiet(built(name))
