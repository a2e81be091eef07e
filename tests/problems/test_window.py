"""A problem in a window of time: its conditions, and what it begins with."""

import pytest
import torch
from torch import nn

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import (
    Coefficient,
    Dirichlet,
    Energy,
    Integral,
    Neumann,
    Observations,
    Periodic,
    Problem,
    Residual,
    Wave1D,
)
from pinnlab.problems.window import Handover, Window, check_start, order_of_ansatz

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
    ],
)
def test_what_an_ansatz_holds_at_the_beginning_is_found(ansatz, order):
    assert order_of_ansatz(Own(ansatz=ansatz), 1) == order


def test_an_ansatz_for_walls_alone_stays_and_its_start_is_handed_over():
    whole = Own({"start": Dirichlet(XT.face(t=0.0), u=1.0)}, ansatz=lambda u, x: x * (1 - x) * u)
    check_start(whole, "t")
    window = Window(whole, "t", 0.5, 1.0, before())
    assert window.ansatz is whole.ansatz
    assert isinstance(window.conditions["start"], Handover)


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
        (lambda: refused({"mass": Integral(XT, lambda u: u)}), "'mass' is a Integral, over all times"),
        (lambda: refused({"mass": Integral(XT, lambda u: u, each="x")}), "'mass' is a Integral, over all times"),
        (lambda: refused({"energy": Energy(XT, lambda u: u.x**2)}), "'energy' is a Energy, over all times"),
        (lambda: refused({"period": Periodic(XT, "t")}), "'period' says that the solution is periodic in t"),
        (lambda: refused({"end": Dirichlet(XT.face(t=1.0), u=1.0)}), "'end' holds at t = 1, which is not the first"),
        (
            lambda: refused({"own": Residual(XT.face(t=0.0), lambda u: u.t)}),
            "'own' is a Residual; write it as D",
        ),
        (lambda: refused({}, coefficients={"k": Coefficient(1.0)}), "is to find k, the same at all times"),
    ],
)
def test_what_cannot_be_in_windows_is_refused(problem, match):
    with pytest.raises(ConfigurationError, match=match):
        Window(problem(), "t", 0.5, 1.0, before())
