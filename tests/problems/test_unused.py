"""What is sought and stands in no condition is told; what an integral, a derivative or an ansatz takes is not."""

import warnings

import pytest
import torch
from terms import TERMS

from pinnlab.domains import Interval
from pinnlab.problems import Coefficient, Dirichlet, Mean, Periodic, Problem, Residual
from pinnlab.problems.unused import warn_of_unused

LINE = Interval("x", 0, 1)


def told(problem):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_unused(problem)
    return [str(warning.message) for warning in caught]


def posed(*unknowns, coefficients=("k",), guess=0.5, ansatz=None, **conditions):
    problem = Problem(LINE, unknowns, conditions, {name: Coefficient(guess) for name in coefficients})
    problem.ansatz = ansatz
    return problem


def test_an_unknown_and_a_coefficient_in_no_condition_are_told():
    k = 0.5  # what a function reads beside its arguments is a number
    found = told(posed("u", "v", pde=Residual(LINE, lambda u: u.xx + k * u), end=Dirichlet(LINE.face(x=0.0), u=1.0)))
    assert found == [
        "unknown 'v' is in no condition, so that nothing says what it is; write its equation, or leave it out",
        "coefficient 'k' is in no condition, and stays as it begins; functions get it as an argument",
    ]


def test_what_is_asked_for_but_not_used_is_told():
    assert len(told(posed("u", "v", pde=Residual(LINE, lambda u, v, k: u.xx + 0 * k + v - v)))) == 2


@pytest.mark.parametrize(
    "problem",
    [
        posed("u", "v", pde=Residual(LINE, lambda u, v, k: u.xx + k * v.x)),
        posed("u", "v", pde=Residual(LINE, lambda u, k: u.xx + k), mean=Mean(LINE, lambda v: v)),
        posed("u", "v", pde=Residual(LINE, lambda u, k: torch.log(k) * (u.x * u).d("x")), ring=Periodic(LINE, "x")),
        posed(
            "u", coefficients=("start",), pde=Residual(LINE, lambda u: u.x), ansatz=lambda u, x, start: start + x * u
        ),
        posed("u", guess=0.0, pde=Residual(LINE, lambda u, k: u.x - k)),
        posed("u", guess=[0.0, 0.0], pde=Residual(LINE, lambda u, x, k: u.x - k[0] - k[1] * x)),
        TERMS["own_unknowns"](),
        TERMS["weak"](),
        TERMS["observations"](),
    ],
)
def test_what_is_used_is_not_told(problem):
    assert told(problem) == []
