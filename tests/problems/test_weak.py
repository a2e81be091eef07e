"""Weak forms: against integrals by hand, the strong form, and a problem that only they can solve."""

import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.domains import Ball, Box, Disk, Interval, Parameter, Polygon
from pinnlab.errors import ConfigurationError
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Problem, Weak
from pinnlab.samplers import Sobol
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


def test_no_test_function_has_a_hole_within():
    """Four hats of nine are not zero on a small hole in the middle, or two on one at the edge, between their nodes."""
    square, form = Box(["x", "y"], 0, 1), lambda u, v: u.x * v.x
    for center, count in (((0.51, 0.49), 5), ((0.375, 0.0), 7), ((0.375, 0.375), 5)):
        assert len(Weak(square - Disk(center=center, radius=0.005), form, cells=4).fixed_points()) == count


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


def wave(x, y):
    """A function with Delta u = -3.75 u."""
    return torch.sin(2 * x) * torch.exp(0.5 * y)


def outflow(v, x, y, normal):
    slopes = torch.stack([2 * torch.cos(2 * x) * torch.exp(0.5 * y), 0.5 * wave(x, y)], -1)
    return -(slopes * normal).sum(1) * v


HOLE = Disk(center=(0.5, 1.0), radius=0.3)
PLATE, HOUSE = SQUARE - HOLE, Polygon(["x", "y"], [[0, 0], [4, 0], [4, 2], [2, 3.5], [0, 2]])
FLUXES = {  # domain, cells, parts, how many hats there are, what a residual may be
    "one side": (SQUARE, 6, [SQUARE.face(x=1.0)], 5 * 6, 1e-10),
    "all around": (SQUARE, 6, [SQUARE.boundary()], 7 * 7, 1e-10),
    "a part of two sides": (SQUARE, 6, [SQUARE.boundary(where=lambda x, y: (x > 0.99) & (y > 0.7))], 5 * 5 + 2, 1e-10),
    "a hole": (PLATE, 8, [PLATE.boundary(on=HOLE)], 7 * 7 - 1, 1e-6),
    "a hole and a side": (PLATE, 8, [PLATE.boundary(on=HOLE), SQUARE.face(x=1.0)], 7 * 8 - 1, 1e-6),
    "lines across cells": (HOUSE, 16, [HOUSE.boundary()], 11 * 17 + 15 + 13 + 11 + 9 + 7 + 5, 1e-8),
}


@pytest.mark.parametrize("case", FLUXES)
def test_fluxes_are_a_part_of_the_weak_form(case):
    """Green's formula: with the true flux on the boundary, a solution of the equation leaves nothing."""
    domain, cells, parts, count, size = FLUXES[case]

    def form(u, v, x, y):
        return u.x * v.x + u.y * v.y - 3.75 * wave(x, y) * v

    places, found = of_formula(Weak(domain, form, cells=cells, boundary=dict.fromkeys(parts, outflow)), wave)
    assert len(places) == count
    assert bool(domain.contains(places).all())
    assert found.abs().max() < size
    _, without = of_formula(Weak(domain, form, cells=cells, boundary=dict.fromkeys(parts)), wave)
    assert without.abs().max() > 0.1  # no flux is another solution's


def test_a_half_hat_by_hand():
    """-u'' = 0, u'(1) = 2 + u(1): half a hat of width h at 1 has integral h / 2; u = x^2 is no solution."""
    term = {LINE.face(x=1.0): lambda u, v: -(2 + u) * v}
    places, found = of_formula(Weak(LINE, lambda u, v: u.x * v.x, cells=5, boundary=term), lambda x: x * x)
    assert torch.allclose(places[-1], torch.tensor([0.9], dtype=torch.float64))
    assert found[:-1] == pytest.approx(-2.0)
    assert float(found[-1]) == pytest.approx(((1 - 0.8**2) / 0.2 - 3) / 0.1)


def test_no_hat_has_a_small_hole_in_space_within():
    """Between the nodes of a cell, with all of its boundary free of conditions: eight hats of 125 see the cell."""
    cube = Box(["x", "y", "z"], 0, 1)
    plate = cube - Ball(["x", "y", "z"], 0.4, 0.02)
    assert len(Weak(plate, lambda u, v: u.x * v.x, cells=4, boundary={cube.boundary(): None}).fixed_points()) == 125 - 8


def test_in_space_and_at_both_ends_of_the_time():
    cube = Box(["x", "y", "z"], 0, 1)
    top = {cube.face(z=1.0): lambda v, x, y: -torch.sin(x) * torch.exp(y) * v}
    harmonic = Weak(cube, lambda u, v: u.x * v.x + u.y * v.y + u.z * v.z, cells=3, boundary=top)
    places, found = of_formula(harmonic, lambda x, y, z: torch.sin(x) * torch.exp(y) * (1 + z))
    assert len(places) == 2 * 2 * 3
    assert found.abs().max() < 1e-10
    strip = LINE * Interval("t", 0, 1)
    ends = {strip.face(t=0.0): None, strip.face(t=1.0): None}
    heat = Weak(strip, lambda u, v: u.t * v + u.x * v.x, cells=6, boundary=ends)
    places, found = of_formula(heat, lambda x, t: torch.sin(x) * torch.exp(-t))
    assert len(places) == 5 * 7
    assert found.abs().max() < 1e-8


def test_between_two_times_fluxes_stay_and_ends_are_those_times():
    strip = LINE * Interval("t", 0, 1)
    terms = {
        strip.face(x=1.0): lambda v, t: -0.5403023058681398 * torch.exp(-t) * v,
        strip.boundary("t"): None,
    }
    whole = Weak(strip, lambda u, v: u.t * v + u.x * v.x, cells=6, boundary=terms, weight=3.0)
    part = whole.cut("t", 0.2, 0.4)
    places, found = of_formula(part, lambda x, t: torch.sin(x) * torch.exp(-t))
    assert len(places) == 6 * 7
    assert (places[:, 1].min(), places[:, 1].max()) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.4, abs=0.02))
    assert found.abs().max() < 1e-8
    assert part.weight == 3.0


def test_hats_are_cut_off_at_no_end_of_a_parameter():
    family = LINE * Parameter("a", 1, 2)
    term = {family.face(x=1.0): lambda v: 0.5 * v}
    places, found = of_formula(
        Weak(family, lambda u, v, a: a * u.x * v.x - v, cells=4, boundary=term), lambda x, a: x * (1 - x) / 2 / a
    )
    assert len(places) == 4 * 5
    assert found.abs().max() < 1e-10


@pytest.mark.filterwarnings("ignore")
def test_a_flux_through_a_hole_is_found_by_training():
    class Heated(Problem):
        def __init__(self):
            rim = {PLATE.boundary(on=HOLE): outflow}
            super().__init__(PLATE, ["u"], {"pde": Weak(PLATE, self.balance, cells=10, boundary=rim)})

        def balance(self, u, v, x, y):
            return u.x * v.x + u.y * v.y - 3.75 * wave(x, y) * v

        def ansatz(self, u, x, y):
            return wave(x, y) + x * (1 - x) * y * (2 - y) * u

    module = small_module(Heated(), [Phase(LevenbergMarquardt, steps=15)])
    quiet_trainer(val_check_interval=1000).fit(module, small_data(module.problem, points={}))
    points = Sobol().sample(PLATE, 200, seed=0)
    assert (module(points).detach()[:, 0] - wave(*points.T)).abs().max() < 1e-3


MIDDLE = Interval("x", 0.45, 0.55)


def with_term(term):
    return Problem(LINE, ["u"], {"c": Weak(LINE, lambda u, v: u.x * v.x, boundary={LINE.face(x=1.0): term})})


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
    "got BoxFaces": lambda: Weak(LINE, lambda u, v: u * v, boundary=LINE.boundary()),
    "by parts of the boundary": lambda: Weak(LINE, lambda u, v: u * v, boundary={LINE: None}),
    "a function of v, such as": lambda: Weak(LINE, lambda u, v: u * v, boundary={LINE.boundary(): 1.0}),
    "leave degree out": lambda: Weak(LINE, lambda u, v: u * v, degree=2, boundary={LINE.boundary(): None}),
    "no test function reaches": lambda: Weak(LINE, lambda u, v: u * v, boundary={MIDDLE.boundary(): None}),
    "its term on the boundary must be linear": lambda: with_term(lambda u, v: u - v),
    "its term on the boundary must return one": lambda: with_term(lambda v: 2.0),
    "v itself, not its slopes": lambda: with_term(lambda v: v.x),
    "argument of term on the boundary": lambda: with_term(lambda v, w: v * w),
    "needs the coordinates": lambda: Problem(SQUARE, ["u"], {"c": Weak(Box(["y", "x"], 0, 1), lambda u, v: u * v)}),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_input_is_one_line_that_names_the_key(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)
