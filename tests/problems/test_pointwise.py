"""Residuals that couple points are found before training; no residual that does not is taken for one."""

import pytest
import torch
from cases import PROBLEMS

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Coefficient, Integral, Mean, Neumann, Observations, Periodic, Problem, Residual
from pinnlab.problems.pointwise import check_pointwise, couples_rows, random_conditions

X, T = Interval("x", 0, 1), Interval("t", 0, 2)


def problem(function, **options):
    return Problem(X * T, ("u",), {"balance": Residual(X * T, function)}, **options)


COUPLED = {
    "mean": lambda u: u.value - u.value.mean(),
    "mean of a small term": lambda u: u.t - 1e-4 * u.value.mean(),
    "largest": lambda u: u.xx / u.xx.abs().max(),
    "largest as a constant": lambda u: u.xx / u.xx.detach().abs().max(),
    "running sum": lambda u: u.t - u.value.cumsum(0),
    "number of points": lambda u: u.t / len(u),
    "order": lambda u: u.t * torch.arange(len(u)),
    "neighbours": lambda u: u.t - u.value.roll(1),
    "mean of the coordinates": lambda u, x: u.t - (x - x.mean()),
    "spread": lambda u: u.x / u.x.std(),
    "first point": lambda u: u.value - u.value[0],
    "second point": lambda u: u.value - u.value[1],
    "sorted": lambda u: u.value.sort().values - 1,
    "causal weights": lambda u, t: u.t * torch.exp(-torch.cumsum(u.t**2, 0)),
}


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_points_are_refused(name):
    with pytest.raises(ConfigurationError, match=r"^condition 'balance': .*pointwise; use the condition Integral") as e:
        check_pointwise(problem(COUPLED[name]))
    assert "\n" not in str(e.value)


TABLE = torch.linspace(0, 1, 11, dtype=torch.float64)
POINTWISE = {
    "nonlinear": lambda u, x, t: u.t + u * u.x - 1e-8 * u.xx + torch.sin(50 * x) * t,
    "cancels": lambda u, x: (u.value + x) - x - u.value,
    "matrix": lambda u, points: u.value - (points @ torch.ones(2, 7, dtype=points.dtype)).sum(-1),
    "table": lambda u, x: u.value - TABLE[(10 * x).long()],
    "branches": lambda u, x: torch.where(x > 0.5, u.t, u.xx),
    "not finite": lambda u, x: u.value + torch.log(x - 0.5),
    "two equations": lambda u, x: (u.t, u.gradient("x", "t").norm(dim=-1) - x),
    "gradient": lambda u: (u.gradient() * torch.ones(2)).sum(-1),
    "small": lambda u: 1e-9 * (u.t - u.xx),
    "large": lambda u: 1e9 * (u.t - u.xx),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_residuals_pass(name):
    check_pointwise(problem(POINTWISE[name]))


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_shipped_problem_is_pointwise(name):
    check_pointwise(PROBLEMS[name]())
    assert random_conditions(PROBLEMS[name]()) == []


def test_conditions_with_points_normals_and_coefficients_of_their_own():
    times = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None].repeat(1, 2)
    conditions = {
        "data": Observations(times, u=torch.linspace(0, 1, 9)),
        "one": Observations(times[:1], u=[1.0]),
        "flux": Neumann((X * T).boundary("x"), u=lambda normal, x: normal[:, 0] * x),
        "periodic": Periodic(X * T, "x", order=2),
        "rate": Residual(X * T, lambda u, k: u.t + k * u),
    }
    check_pointwise(Problem(X * T, ("u",), conditions, {"k": Coefficient(1.0, (0.0, 2.0))}))


def test_integrals_are_the_conditions_that_may():
    conditions = {
        "mean": Mean(X * T, lambda u: u, value=1.0),
        "flux": Integral((X * T).boundary("x"), lambda u, normal: (u.gradient() * normal).sum(-1)),
    }
    check_pointwise(Problem(X * T, ("u",), conditions))


def test_noise_is_not_taken_for_coupling():
    noisy = problem(lambda u: u.t + torch.rand(len(u)))
    check_pointwise(noisy)
    assert random_conditions(noisy) == ["balance"]


def test_rows_of_a_function():
    rows = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    assert not couples_rows(lambda x: (x @ torch.ones(2, 3)).tanh(), rows)
    assert couples_rows(lambda x: x.flip(0), rows)
    assert couples_rows(lambda x: x.squeeze(), rows)
