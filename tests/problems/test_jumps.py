"""Expressions, and slopes of an ansatz, that jump and are differentiated are told; what is steep, or a pole, is not."""

import warnings

import pytest
import torch
from cases import PROBLEMS, built

from pinnlab.domains import Box, Interval
from pinnlab.networks import MLP
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Continuity, Problem, Residual, Tiled, Weak
from pinnlab.problems.jumps import warn_of_bent_ansatz, warn_of_jumps

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


def test_an_expression_with_a_kink_is_told_where_it_is_differentiated_twice():
    for twice in (lambda e: e.d("x", "x"), lambda e: e.d("x").d("x"), lambda e: e.laplacian()):
        bent = Problem(LINE, ["u"], {"pde": Residual(LINE, lambda u, x, d=twice: d(torch.relu(x - 0.25) + u))})
        with pytest.warns(UserWarning, match=r"^condition 'pde': .* jumps, at x = 0\.25, "):
            warn_of_jumps(bent)


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


def test_a_jump_at_the_border_of_a_part_is_not_inside_of_it():
    left = Interval("x", 0, 0.5)
    quiet(Problem(LINE, ["u"], {"pde": Residual(left, lambda u, x: (JUMPING["where"](x) * u.x).d("x"))}))


@pytest.mark.parametrize("name", [name for name in PROBLEMS if built(name).expressive])
def test_shipped_problems_are_quiet(name):
    quiet(built(name))


# ---------------------------------------------------------------------------- of an ansatz


class Bent(Problem):
    """Payoffs and obstacles have kinks, and are what people put into an ansatz."""

    def __init__(self, bend, conditions, domain=SQUARE):
        self.bend = bend
        super().__init__(domain, ["u"], conditions)

    def ansatz(self, u, x, y):
        return self.bend(x) + y * u


def look(problem, engine="taylor"):
    d, m = len(problem.coordinates), len(problem.unknowns)
    warn_of_bent_ansatz(problem, Trial(problem, MLP(d, m, hidden=[2])), engine, torch.device("cpu"))


HEAT = {"pde": Residual(SQUARE, lambda u: u.y - u.xx)}
BENT = {
    "relu": (lambda x: torch.relu(0.25 - x), HEAT, "its derivative by x"),
    "jump": (JUMPING["where"], {"pde": Residual(SQUARE, lambda u: u.y - u.x)}, "it"),
    "laplacian": (CONTINUOUS["kink"], {"pde": Residual(SQUARE, lambda u: u.laplacian())}, "its derivative by x"),
    "third order": (lambda x: torch.relu(x - 0.25) ** 2, {"pde": Residual(SQUARE, lambda u: u.xxx)}, "by x, x"),
}
SMOOTH = {
    "steep": (CONTINUOUS["steep"], HEAT),
    "first order": (CONTINUOUS["kink"], {"pde": Residual(SQUARE, lambda u: u.y - u.x)}),
    "second order": (lambda x: torch.relu(x - 0.25) ** 2, HEAT),
    "weak": (CONTINUOUS["kink"], {"pde": Weak(SQUARE, lambda u, v: u.x * v.x + u.y * v.y - v, cells=2)}),
    "at the border": (CONTINUOUS["kink"], {"pde": Residual(Box(["x", "y"], 0, [0.5, 1]), lambda u: u.xx)}),
}


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", BENT)
def test_an_ansatz_that_bends_is_told_with_its_place(name, engine):
    bend, conditions, what = BENT[name]
    with pytest.warns(UserWarning, match=rf"^ansatz: .*{what} jumps at x = 0\.\d+, where condition 'pde' ") as caught:
        look(Bent(bend, conditions), engine)
    assert len(caught) == 1


@pytest.mark.parametrize("name", SMOOTH)
def test_an_ansatz_that_is_as_smooth_as_the_equation_is_not(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look(Bent(*SMOOTH[name]))


@pytest.mark.parametrize("name", [name for name in PROBLEMS if built(name).ansatz is not None])
def test_the_ansatz_of_shipped_problems_is_quiet(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look(built(name))
