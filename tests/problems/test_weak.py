"""Weak forms: against integrals by hand, the strong form, and a problem that only they can solve."""

import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.domains import Box, Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Problem, Weak
from pinnlab.training.phases import Phase

LINE, SQUARE = Interval("x", 0, 1), Box(["x", "y"], 0, [1, 2])


class Formula(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, points):
        return self.function(*points.unbind(-1))[..., None]


def of_formula(condition, function):
    problem = Problem(condition.over, ["u"], {"c": condition})
    rows = condition.rows(condition.fixed_points())
    found = ResidualSystem(problem, Trial(problem, Formula(function)), "taylor").residuals({"c": rows})["c"]
    return condition.fixed_points(), found[:, 0]


def test_hats_by_hand():
    """The hat around x_k has integral h, so its mean of x^2 is x_k^2 + h^2 / 6; u' tested by v' is -(x^2)'' = -2."""
    places, found = of_formula(Weak(LINE, lambda u, v: u * v, cells=5), lambda x: x * x)
    assert torch.allclose(places[:, 0], torch.linspace(0.2, 0.8, 4, dtype=torch.float64))
    assert torch.allclose(found, places[:, 0] ** 2 + 0.04 / 6)
    _, found = of_formula(Weak(LINE, lambda u, v: u.x * v.x, cells=5), lambda x: x * x)
    assert torch.allclose(found, torch.full((4,), -2.0, dtype=torch.float64))


@pytest.mark.parametrize(
    "options", [{"cells": (4, 3)}, {"cells": 2, "degree": 3}, {"cells": 1, "degree": 4, "points": 20}]
)
def test_integration_by_parts(options):
    """-Delta u tested by v is grad u tested by grad v, as every v vanishes where its support ends."""

    def u(x, y):
        return torch.sin(2 * x) * torch.exp(0.5 * y)

    _, weak = of_formula(Weak(SQUARE, lambda u, v: u.x * v.x + u.y * v.y, **options), u)
    _, strong = of_formula(Weak(SQUARE, lambda u, v: -u.laplacian() * v, **options), u)
    cells = options["cells"] if isinstance(options["cells"], tuple) else (options["cells"],) * 2
    degree = options.get("degree")
    assert len(weak) == (cells[0] - 1) * (cells[1] - 1) if degree is None else cells[0] * cells[1] * degree**2
    assert torch.allclose(weak, strong, rtol=1e-5, atol=1e-6)
    assert strong.abs().max() > 0.1


def test_only_test_functions_inside_the_domain():
    disk = Disk()
    condition = Weak(disk, lambda u, v: v * u, cells=8)
    places, found = of_formula(condition, lambda x, y: 1 + 0 * x)
    assert 0 < len(places) < 49
    assert bool((places.norm(dim=1) < 1).all())
    assert torch.allclose(found, torch.ones(len(found), dtype=torch.float64))


@pytest.mark.filterwarnings("ignore")
def test_a_conductivity_that_jumps():
    """(k u')' = 0 with k = 1 and 3: the flux is one number, u has a kink, and the pointwise equation says nothing."""

    def flux(u, v, x):
        return torch.where(x < 0.5, 1.0, 3.0) * u.x * v.x

    class Jump(Problem):
        def __init__(self):
            super().__init__(LINE, ["u"], {"pde": Weak(LINE, flux, cells=16)})

        def ansatz(self, u, x):
            return x + x * (1 - x) * u

    kinked = small_module(Jump(), [Phase(ADAM, steps=20), Phase(LevenbergMarquardt, steps=30)])
    quiet_trainer(val_check_interval=1000).fit(kinked, small_data(kinked.problem, points={}))
    x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    expected = torch.where(x < 0.5, 1.5 * x, 0.5 + 0.5 * x)  # k u' = 1.5
    assert (kinked(x).detach() - expected).abs().max() < 0.05


BAD = {
    "a domain": lambda: Weak(LINE.boundary(), lambda u, v: u * v),
    "of the test function v": lambda: Weak(LINE, lambda u: u),
    "cells must be a whole number >= 2": lambda: Weak(LINE, lambda u, v: u * v, cells=1),
    "or 2 of them": lambda: Weak(SQUARE, lambda u, v: u * v, cells=[3]),
    "degree must be": lambda: Weak(LINE, lambda u, v: u * v, degree=0),
    "points must be": lambda: Weak(LINE, lambda u, v: u * v, points=0),
    "no test function fits": lambda: Weak(Disk(), lambda u, v: u * v, cells=1, degree=1),
    "linear in v, every term": lambda: Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: u.x * v.x - 1)}),
    "linear in v": lambda: Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: u * v * v)}),
    "must be linear": lambda: Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: u * v * v.x)}),
    "first derivatives only": lambda: Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: u * v.xx)}),
    "one tensor of shape (n,)": lambda: Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: (u * v).sum())}),
    "needs the coordinates": lambda: Problem(SQUARE, ["u"], {"c": Weak(Box(["y", "x"], 0, 1), lambda u, v: u * v)}),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_input_is_one_line_that_names_the_key(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)
