"""What a GPU records neither copies nor waits however it is evaluated; `test_device_objective` sees to each problem."""

import numpy as np
import pytest
import torch
from card import card
from cases import PROBLEMS
from test_device_objective import built, products, small_network
from watched import RECORDED, watched

from pinnlab.domains import Box, Disk, Interval, distance
from pinnlab.numerics.constants import constant_like
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Coefficient, Dirichlet, Given, Problem, Residual
from pinnlab.problems.enhancement import Enhancement
from pinnlab.problems.window import Window


@pytest.fixture
def copies():
    """What recorded functions copied or waited for; all of them have to be evaluated."""
    with watched() as watch:
        yield watch.seen
    assert watch.evaluated == RECORDED


def evaluate(problem, network, width=None, **options):
    """Has each recorded function evaluated."""
    with card() as device:
        objective, system, rows, weights = built(problem, network, device, **options)
        system.set_width(width)
        objective(rows, weights).backward()
        with torch.no_grad():
            for name, part in rows.items():
                system.score(name, part)
        around = objective.linearization(rows, weights)
        around.gram()
        around.loss()
        products(objective, system, rows, weights)


HOW = {
    "reverse": {"engine": "reverse"},
    "enhanced": {"enhancements": {"pde": Enhancement({(0,): 1.0, (1,): 1.0})}},
    "narrow": {"width": 3},
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["burgers_soft", "kdv_soft", "plane_burgers"])
def test_however_it_is_evaluated(name, how, copies):
    problem = PROBLEMS[name]()
    evaluate(problem, small_network(problem), **HOW[how])
    assert not copies


SQUARE = Box(["x", "y"], 0, 1)
LINE = Interval("x", 0, 1)
MANY = Box([f"x{k}" for k in range(1001)], 0, 1)
TABLE = torch.tensor([1.0, 2.0])
SPREAD = torch.tensor([[1.0], [2.0]])
AXIS = np.linspace(-0.1, 1.1, 9)
PLACES = np.random.default_rng(0).random((30, 2))


def written(residual, domain=LINE, **more):
    return Problem(domain, ["u"], {"pde": Residual(domain, residual)}, **more)


def given(**arrays):
    return written(lambda u, a: u.x - a * u, SQUARE, given=[Given("a", arrays)])


class Around(Problem):
    """Held at zero on its boundary by a smooth distance."""

    def __init__(self):
        plate = SQUARE - Disk(center=(0.5, 0.5), radius=0.2)
        phi = distance(plate)
        self.ansatz = lambda u, x, y: phi(x, y) * u
        super().__init__(plate, ["u"], {"pde": Residual(plate, lambda u: u.laplacian() + 1)})


class Held(Problem):
    """With an ansatz that has a number, or a tensor of one, on one side."""

    def __init__(self, other):
        self.ansatz = lambda u, x: torch.where(x < 0.5, x * u, other)
        super().__init__(LINE, ["u"], {"pde": Residual(LINE, lambda u: u.x - 1)})


USERS = {
    "grid": lambda: given(x=AXIS, y=AXIS, a=np.outer(AXIS, AXIS)),
    "scattered": lambda: given(x=PLACES[:, 0], y=PLACES[:, 1], a=PLACES.sum(1)),
    "number": lambda: written(lambda u, x: torch.where(x < 0.5, u.x, 0.0)),
    "number in the ansatz": lambda: Held(0.5),
    "tensor in the ansatz": lambda: Held(torch.tensor(0.5)),
    "table": lambda: written(lambda u, x: u.x - constant_like(TABLE, x)[(x > 0.5).long()]),
    "trace": lambda: written(lambda u: u.trace_hessian(SPREAD, "x", "y") - u.z, Box(["x", "z", "y"], 0, 1)),
    "other points": lambda: written(
        lambda u, x, d: u.at(x=0.3).x - torch.where(x < d, 1.0, u.at(x=x - d)), coefficients={"d": Coefficient(0.5)}
    ),
    "smooth distance": Around,
    "one of many coordinates": lambda: written(lambda u: u.d("x7") - u, MANY),
}
"""What users write."""


@pytest.mark.parametrize("name", USERS)
def test_what_users_write(name, copies):
    problem = USERS[name]()
    evaluate(problem, small_network(problem))
    assert not copies


COPYING = {
    "number": lambda u, x: u.x - torch.tensor(3.0, device=x.device),
    "table": lambda u, x: u.x - TABLE.to(x)[(x > 0.5).long()],
    "tensor of one number": lambda u, x: torch.where(x < 0.5, u.x, torch.tensor(1.0)),
}


@pytest.mark.parametrize("low", [1.0, 2.0])
def test_a_delay_into_a_window_before(low, copies):
    """All of whose places are there, or some."""
    t = Interval("t", 0, 3)
    delayed = Residual(t, lambda u, t: u.t + torch.where(t < 0.7, 1.0, u.at(t=t - 0.7)))
    whole = Problem(t, ["u"], {"ode": delayed, "start": Dirichlet(t.face(t=0.0), u=1.0)})
    first = Window(whole, "t", 0.0, 1.0)
    before = Trial(first, small_network(first)).double().frozen()
    problem = Window(whole, "t", low, low + 1, before)
    evaluate(problem, small_network(problem))
    assert not copies


@pytest.mark.parametrize("name", COPYING)
def test_what_copies_is_seen(name, copies):
    problem = written(COPYING[name])
    evaluate(problem, small_network(problem))
    assert copies
