"""Integrals of solutions against those by hand: on boxes, disks, boundaries and parts of them; what is refused."""

import math

import numpy as np
import pytest
import torch
from known_solutions import Decay, InBox, OnDisk, bowl, waves
from refused import assert_refused_in_one_line

from pinnlab import PINN
from pinnlab.domains import Box, Disk, Interval
from pinnlab.solution import Solution

# u = x^2 + 3 y^2 in the box [0, 2] x [0, 1], and on the unit disk; with time + t.
IN_BOX, ON_DISK, TIMED = bowl(InBox()), bowl(OnDisk()), bowl(OnDisk(timed=True))
BOX, DISK = IN_BOX.problem.domain, Disk()

CASES = {
    "box": (IN_BOX, BOX, lambda u: u, 14 / 3, {}),
    "derivatives": (IN_BOX, BOX, lambda u, x: u.xx + x * u.y, 4 + 6, {}),
    "expression": (IN_BOX, BOX, lambda u, x: (x * u.x).d("x"), 8, {}),
    "constant": (IN_BOX, BOX, lambda: 3.0, 6, {}),
    "part of the box": (IN_BOX, Box(["x", "y"], 0, 1), lambda u: u, 4 / 3, {}),
    "disk": (ON_DISK, DISK, lambda u: u, math.pi, {}),
    "flux out of a box": (IN_BOX, BOX.boundary(), lambda u, normal: u.along(normal), 16, {}),
    "flux through a face": (IN_BOX, BOX.face(x=2.0), lambda u, normal: u.along(normal), 4, {}),
    "part of a face": (IN_BOX, BOX.boundary(where=lambda x, y: (x == 2) & (y < 0.5)), lambda u, y: u, 2 + 0.125, {}),
    "flux out of a disk": (ON_DISK, DISK.boundary(), lambda u, normal: u.along(normal), 8 * math.pi, {}),
    "at a time": (TIMED, DISK, lambda u: u, math.pi * 1.5, {"t": 0.5}),
    "flux at a time": (TIMED, DISK.boundary(), lambda u, normal: u.along(normal), 8 * math.pi, {"t": 0.5}),
    "over all times": (TIMED, TIMED.problem.domain, lambda u: u, math.pi * 1.5, {}),
    "over time at a place": (TIMED, Interval("t", 0, 1), lambda u, t: u * t, 1 / 2 + 1 / 3, {"x": 1.0, "y": 0.0}),
    "ends of a line": (
        waves(),
        Interval("x", 0, 3).boundary(),
        lambda u, normal: u.along(normal),
        math.cos(3) - 1,
        {"t": 0},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_they_are_those_by_hand(case):
    solution, region, function, exact, others = CASES[case]
    found = solution.integral(region, function, **others)
    assert isinstance(found, float)
    assert found == pytest.approx(exact, rel=1e-3 if case == "part of a face" else 1e-11)


def test_several_at_once_and_coefficients():
    solution = Solution(PINN(Decay(), torch.nn.Linear(1, 1), scale_inputs=False))
    k = solution.coefficients["k"]
    found = solution.integral(solution.problem.domain, lambda t, k: (k * t, torch.ones_like(t)))
    assert isinstance(found, np.ndarray)
    assert found == pytest.approx([k / 2, 1.0])


def test_more_points_are_more_exact_and_taken_in_blocks():
    few, many = (IN_BOX.integral(BOX, lambda x: torch.cos(20 * x), points=n) for n in (16, 40_000))
    exact = math.sin(40) / 20
    assert abs(few - exact) > 1e-2
    assert many == pytest.approx(exact, rel=1e-10)


BAD = {
    "no region": (lambda: IN_BOX.integral(1.0, lambda u: u), "region must be a domain or a boundary, got float"),
    "other coordinate": (lambda: IN_BOX.integral(Interval("z", 0, 1), lambda u: u), "'z'"),
    "missing": (lambda: TIMED.integral(DISK, lambda u: u), "t: is missing; give it a value"),
    "too many": (lambda: IN_BOX.integral(BOX, lambda u: u, x=1.0), "x: is integrated over; leave it out"),
    "no number": (lambda: TIMED.integral(DISK, lambda u: u, t="now"), "t: must be a number"),
    "points": (lambda: IN_BOX.integral(BOX, lambda u: u, points=0), "a quadrature needs at least one, got 0"),
    "normal inside": (lambda: IN_BOX.integral(BOX, lambda u, normal: u), "argument of the expression 'normal'"),
    "shape": (lambda: IN_BOX.integral(BOX, lambda u: u.value[:1]), "must give a number for each of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case):
    assert_refused_in_one_line(*BAD[case])


def test_a_box_by_another_order_of_its_coordinates():
    assert IN_BOX.integral(Box(["y", "x"], [0, 0], [1, 2]), lambda u: u) == pytest.approx(14 / 3)
