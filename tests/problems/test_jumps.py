"""Expressions that jump and are differentiated are told; steep ones, kinks and poles are not."""

import warnings

import pytest
import torch
from cases import PROBLEMS, built

from pinnlab.domains import Box, Interval
from pinnlab.problems import Continuity, Problem, Residual, Tiled
from pinnlab.problems.jumps import warn_of_jumps

LINE, SQUARE = Interval("x", 0, 1), Box(["x", "y"], 0, 1)

JUMPING = {
    "where": lambda x: torch.where(x < 0.5, 1.0, 10.0),
    "sign": lambda x: 5.5 + 4.5 * torch.sign(x - 0.5),
    "heaviside": lambda x: 1 + 9 * torch.heaviside(x - 0.5, torch.zeros_like(x)),
    "comparison": lambda x: 1 + 9 * (x > 0.5).to(torch.float64),
    "floor": lambda x: 1 + 9 * torch.floor(2 * x).clamp(max=1),
}
CONTINUOUS = {
    "constant": lambda x: 1 + 0 * x,
    "steep": lambda x: torch.tanh(1000 * (x - 0.5)),
    "kink": lambda x: torch.where(x < 0.5, x, 1 - x),
    "root": torch.sqrt,
    "pole": lambda x: 1 / (x - 0.503),
}


def flux(k):
    return Problem(LINE, ["u"], {"pde": Residual(LINE, lambda u, x: (k(x) * u.x).d("x"))})


@pytest.mark.parametrize("name", JUMPING)
def test_a_jump_is_told_with_its_place(name):
    with pytest.warns(UserWarning, match=r"^condition 'pde': .* jumps, at x = 0\.5, .*use Weak") as caught:
        warn_of_jumps(flux(JUMPING[name]))
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def quiet(problem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_jumps(problem)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_what_is_continuous_is_not(name):
    quiet(flux(CONTINUOUS[name]))


def layers(*names):
    def residual(u, y):
        k = torch.where(y > 0.3, 1.0, 2.0)
        return sum((k * u.d(name)).d(name) for name in names)

    return Problem(SQUARE, ["u"], {"pde": Residual(SQUARE, residual)})


def test_a_jump_counts_along_the_coordinate_of_the_derivative():
    quiet(layers("x"))
    with pytest.warns(UserWarning, match=r"at y = 0\.3,"):
        warn_of_jumps(layers("x", "y"))


def test_parts_that_are_coupled_may_jump():
    problem = Tiled(flux(JUMPING["where"]), [2])
    assert any(isinstance(condition, Continuity) for condition in problem.conditions.values())
    quiet(problem)


@pytest.mark.parametrize("name", [name for name in PROBLEMS if built(name).expressive])
def test_shipped_problems_are_quiet(name):
    quiet(built(name))
