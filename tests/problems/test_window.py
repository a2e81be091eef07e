"""A problem in a window of time: its conditions, and what it begins with."""

import pytest
import torch
from torch import nn

from pinnlab.domains import Cloud, Interval, Union
from pinnlab.errors import ConfigurationError
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import (
    Coefficient,
    Dirichlet,
    Energy,
    Integral,
    Mean,
    Neumann,
    Observations,
    Periodic,
    Problem,
    Residual,
    Unknown,
    Wave1D,
    Weak,
)
from pinnlab.problems.continued import orders_of_ansatz
from pinnlab.problems.window import Handover, Window, check_start

X, T = Interval("x", 0, 1), Interval("t", 0, 1)
XT = X * T


class Own(Problem):
    """u_t = u_xx with further conditions, and an ansatz if one is given."""

    def __init__(self, conditions=None, ansatz=None, **options):
        self.ansatz = ansatz
        super().__init__(XT, ("u",), {"pde": Residual(XT, lambda u: u.t - u.xx), **(conditions or {})}, **options)


class Wave(nn.Module):
    """sin(pi x) cos(pi t), which needs no training."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rate", torch.tensor(torch.pi, dtype=torch.float64))

    def forward(self, points):
        return (torch.sin(self.rate * points[:, 0]) * torch.cos(self.rate * points[:, 1]))[:, None]


def before(problem=None):
    return Trial(problem or Own(), Wave()).frozen()


def test_initial_values_and_velocities_are_those_of_the_solution_before():
    window = Window(Wave1D(condition_weight=7.0), "t", 0.25, 0.75, before())
    assert list(window.conditions) == ["pde", "wall", "start", "rest"]
    start, rest = window.conditions["start"], window.conditions["rest"]
    assert isinstance(start, Handover)
    assert start.weight == 7.0
    points = torch.stack([torch.linspace(0, 1, 9), torch.full((9,), 0.25)], -1).double()
    at = torch.tensor(0.25 * torch.pi, dtype=torch.float64)
    shape = torch.sin(torch.pi * points[:, 0])
    assert torch.allclose(start.rows(points)[:, 2], shape * torch.cos(at), atol=1e-14)
    assert torch.allclose(rest.rows(points)[:, 2], -torch.pi * shape * torch.sin(at), atol=1e-13)
    assert window.wanted["rest"].partials  # the velocity of the unknown
    assert window.conditions["wall"].region.contains(points[[0, -1]]).all()
    assert not window.conditions["wall"].region.contains(points[[0]] * 0.0).any()
    assert window.name == "Wave1D"


def test_the_first_window_keeps_what_the_problem_begins_with():
    whole = Wave1D()
    window = Window(whole, "t", 0.0, 0.5)
    assert type(window.conditions["start"]) is Dirichlet
    assert type(window.conditions["rest"]) is Neumann
    values = window.reference_values(torch.tensor([[0.3, 0.2]], dtype=torch.float64))
    assert torch.equal(values, whole.reference_values(torch.tensor([[0.3, 0.2]], dtype=torch.float64)))


def test_observations_are_in_one_window_each():
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    points = torch.stack([torch.full_like(times, 0.5), times], -1)
    sigma = 1 + times
    whole = Own({"data": Observations(points, sigma=sigma, u=times)}, ansatz=lambda u, x, t: t * u)
    first, last = Window(whole, "t", 0.0, 0.5), Window(whole, "t", 0.5, 1.0, before())
    assert first.conditions["data"].targets["u"].tolist() == [0.0, 0.25]
    assert last.conditions["data"].targets["u"].tolist() == [0.5, 0.75, 1.0]
    assert last.conditions["data"].sigmas["u"].tolist() == [1.5, 1.75, 2.0]
    assert last.conditions["data"].rows(last.conditions["data"].points).shape[0] == 3
    assert "data" not in Window(whole, "t", 0.1, 0.2, before()).conditions


@pytest.mark.parametrize(
    ("ansatz", "order"),
    [
        (None, 0),
        (lambda u, x: x * (1 - x) * u, 0),
        (lambda u, x, t: torch.sin(x) + t * u, 1),
        (lambda u, x, t: torch.sin(x) + (1 - torch.exp(-50 * t)) * u, 1),
        (lambda u, x, t: torch.sin(x) + t**2 * x * u, 2),
        (lambda u, x, t: torch.sin(x) + t, 0),  # known altogether
    ],
)
def test_what_an_ansatz_holds_at_the_beginning_is_found(ansatz, order):
    assert orders_of_ansatz(Own(ansatz=ansatz), 1) == [order]


def test_an_ansatz_for_one_of_two_unknowns_goes_on_for_that_one():
    """It was kept as it is for both: nothing said any more with what the one begins that had held by itself."""

    class Two(Problem):
        def __init__(self):
            equations = Residual(XT, lambda u, p: (u.t - p.x, p.t - u.x))
            super().__init__(XT, ("u", "p"), {"pde": equations, "start": Dirichlet(XT.face(t=0.0), p=2.0)})

        def ansatz(self, u, p, x, t):
            return x + t * u, 2 * p

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("slopes", torch.tensor([[3.0, 5.0]], dtype=torch.float64))

        def forward(self, points):
            return self.slopes * points[:, 1:]

    whole = Two()
    assert orders_of_ansatz(whole, 1) == [1, 0]
    window = Window(whole, "t", 0.5, 1.0, Trial(whole, Pair()).frozen())
    found = Trial(window, Pair())(torch.tensor([[0.25, 0.5], [0.25, 0.75]], dtype=torch.float64))
    x, t = 0.25, 0.75
    assert found[:, 0].tolist() == pytest.approx([x + 3 * 0.5**2, x + 3 * 0.5**2 + (t - 0.5) * 3 * t])
    assert found[:, 1].tolist() == pytest.approx([5.0, 2 * 5 * t])
    assert isinstance(window.conditions["start"], Handover)


def test_an_ansatz_for_walls_alone_stays_and_its_start_is_handed_over():
    whole = Own({"start": Dirichlet(XT.face(t=0.0), u=1.0)}, ansatz=lambda u, x: x * (1 - x) * u)
    check_start(whole, "t")
    window = Window(whole, "t", 0.5, 1.0, before())
    assert window.ansatz is whole.ansatz
    assert isinstance(window.conditions["start"], Handover)


def test_unknowns_of_two_halves_begin_each_in_its_own():
    halves = Interval("x", 0, 0.5) * T, Interval("x", 0.5, 1) * T
    conditions = {
        "left": Dirichlet(halves[0].face(t=0.0), weight=3.0, a=1.0),
        "right": Dirichlet(halves[1].face(t=0.0), b=2.0),
    }
    whole = Problem(XT, {"a": Unknown(on=halves[0]), "b": Unknown(on=halves[1])}, conditions)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factors", torch.tensor([2.0, 7.0], dtype=torch.float64))

        def forward(self, points):
            return points[:, :1] * self.factors

    window = Window(whole, "t", 0.5, 1.0, Trial(whole, Both()).frozen())
    left, right = window.conditions["left"], window.conditions["right"]
    assert (repr(left.region), left.weight) == ("Interval('x', 0, 0.5) * BoxFaces(Interval('t', 0.5, 1), t=0.5)", 3.0)
    assert right.rows(torch.tensor([[0.75, 0.5]], dtype=torch.float64))[0, 2].item() == 7 * 0.75


def test_an_unknown_of_an_interface_begins_at_its_corner():
    """A cloud is all that can say so: an edge of the domain has no face of its own."""
    side = XT.face(x=1.0)
    conditions = {
        "growth": Residual(side, lambda u, h: h.t - u),
        "start": Dirichlet(XT.face(t=0.0), u=1.0),
        "corner": Dirichlet(Cloud(["x", "t"], [[1.0, 0.0]]), h=0.5),
    }
    whole = Problem(XT, {"u": Unknown(), "h": Unknown(coordinates=["t"], on=side)}, conditions)

    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factors", torch.tensor([2.0, 3.0], dtype=torch.float64))

        def forward(self, points):
            return points[:, 1:] * self.factors

    corner = Window(whole, "t", 0.25, 0.5, Trial(whole, Line()).frozen()).conditions["corner"]
    assert corner.rows(corner.region.quadrature(1)[0]).tolist() == [[1.0, 0.25, 0.75]]


def test_what_holds_for_some_time_holds_in_the_windows_that_have_it():
    early, late = X * Interval("t", 0, 0.5), X * Interval("t", 0.5, 1)
    both = Union([early.face(x=1.0), late.face(x=0.0)])
    conditions = {
        "cold": Dirichlet(early.face(x=0.0), u=0.0),
        "hot": Dirichlet(late.face(x=1.0), u=1.0),
        "either": Dirichlet(both, u=0.0),
        "mass": Integral(late, lambda u: u, value=1.0, each="t"),
    }
    whole = refused(conditions)
    first, last = Window(whole, "t", 0.0, 0.5), Window(whole, "t", 0.5, 1.0, before())
    assert list(first.conditions) == ["pde", "start", "cold", "either"]
    assert list(last.conditions) == ["pde", "start", "hot", "either", "mass"]
    middle = Window(whole, "t", 0.25, 0.75, before())
    assert middle.conditions["cold"].region.measure == middle.conditions["hot"].region.measure == 0.25
    assert middle.conditions["either"].region.measure == 0.5
    assert first.conditions["either"].region.contains(torch.tensor([[1.0, 0.2], [0.0, 0.2]])).tolist() == [True, False]


def test_values_that_were_observed_at_the_first_time_are_handed_over():
    """The window before is asked at those places: an initial condition that is given by data is one."""
    points = torch.stack([torch.linspace(0, 1, 5), torch.zeros(5)], -1).double()
    measured = {"u": torch.ones(5), "slope": (lambda u: u.x, torch.zeros(5))}
    whole = Own({"start": Observations(points, weight=2.0, sigma={"u": 0.5, "slope": 0.1}, **measured)})
    check_start(whole, "t")
    start = Window(whole, "t", 0.25, 0.75, before()).conditions["start"]
    at = torch.tensor(0.25 * torch.pi, dtype=torch.float64)
    assert (start.points[:, 1] == 0.25).all()
    assert (start.weight, list(start.sigmas)) == (2.0, ["u"])
    assert list(start.targets) == ["u"]
    assert torch.allclose(start.targets["u"], torch.sin(torch.pi * points[:, 0]) * torch.cos(at))
    slopes = Own({"start": Dirichlet(XT.face(t=0.0), u=1.0), "data": Observations(points, slope=measured["slope"])})
    assert "data" not in Window(slopes, "t", 0.25, 0.75, before()).conditions


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_a_weak_form_may_have_terms_at_both_ends_of_the_time_but_no_values_there(at):
    """The values are those of the problem's first or last time, and they were taken for those of a window's."""

    def weak(term):
        sides = {XT.face(t=at): term, XT.boundary("x"): lambda v, t, normal: t * v * normal[:, 0]}
        return refused({"weak": Weak(XT, lambda u, v: u.x * v.x - u * v.t, cells=3, boundary=sides)})

    def edges(whole):
        return (Window(whole, "t", 0.0, 0.5), Window(whole, "t", 0.5, 1.0, before()))

    for free in (None, lambda u, v, normal: u * v * normal[:, 1]):
        assert all("weak" in window.conditions for window in edges(weak(free)))
    for given in (lambda v, x: -torch.sin(x) * v, lambda u, v, x: (u - x) * v):
        with pytest.raises(ConfigurationError, match="'weak' has a term with given values at the first or last t"):
            edges(weak(given))


def refused(conditions, **options):
    return Own({"start": Dirichlet(XT.face(t=0.0), u=1.0), **conditions}, **options)


def test_an_integral_at_each_time_is_that_of_the_times_in_the_window():
    start = Dirichlet(XT.face(t=0.0), u=1.0)
    whole = Own({"start": start, "mass": Integral(XT, lambda u: u, value=lambda t: t, each="t")})
    mass = Window(whole, "t", 0.5, 0.75, before()).conditions["mass"]
    assert repr(mass.region) == "Interval('x', 0, 1) * Interval('t', 0.5, 0.75)"
    points = torch.tensor([[0.3, 0.6]], dtype=torch.float64)
    nodes = mass.rows(points)[0, 2:].reshape(-1, 3)
    assert (nodes[:, 1] == 0.6).all()
    assert nodes[:, 2].sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("problem", "match"),
    [
        (lambda: refused({"mass": Integral(XT, lambda u: u)}), "Integral, over all times.*at each t write each='t'$"),
        (lambda: refused({"mass": Mean(XT, lambda u: u, each="x")}), "Mean, over all times at once; .* each='t'$"),
        (lambda: refused({"mass": Integral(XT.face(t=0.0), lambda u: u)}), "initial .* 'mass' is a Integral; "),
        (lambda: refused({"mass": Integral(XT.face(t=1.0), lambda u: u)}), "holds at t = 1, which is not the first"),
        (lambda: refused({"energy": Energy(XT, lambda u: u.x**2)}), "is a Energy, over all times at once$"),
        (lambda: refused({"period": Periodic(XT, "t")}), "'period' says that the solution is periodic in t"),
        (lambda: refused({"end": Dirichlet(XT.face(t=1.0), u=1.0)}), "'end' holds at t = 1, which is not the first"),
        (
            lambda: refused({"own": Residual(XT.face(t=0.0), lambda u: u.t)}),
            "'own' is a Residual; write it as D",
        ),
        (lambda: refused({}, coefficients={"k": Coefficient(1.0)}), "is to find k, the same at all times"),
        (
            lambda: refused({"ahead": Residual(XT, lambda u, t: torch.where(t < 0.6, u.at(t=t + 0.4), 0.0))}),
            r"looks at .*, outside of the domain Interval\('x', 0, 1\) \* Interval\('t', 0, 0.75\)",
        ),
    ],
)
def test_what_cannot_be_in_windows_is_refused(problem, match):
    with pytest.raises(ConfigurationError, match=match):
        Window(problem(), "t", 0.5, 0.75, before())
