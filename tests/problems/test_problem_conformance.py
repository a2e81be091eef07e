"""What every shipped problem must do."""

import math

import pytest
import torch
from cases import PROBLEMS

from pinnlab.derivatives import partials
from pinnlab.problems import Exact
from pinnlab.residuals import ResidualSystem, Trial
from pinnlab.samplers import Sobol


class ExactTrial(torch.nn.Module):
    """The exact solution in place of a network."""

    def __init__(self, problem):
        super().__init__()
        self.problem = problem
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, points):
        return self.problem.exact_values(points)


def rows(problem, count=200):
    return {
        name: condition.rows(Sobol().sample(condition.region, count, seed=3))
        for name, condition in problem.conditions.items()
    }


EXACT = {name: make for name, make in PROBLEMS.items() if isinstance(make().reference(), Exact)}


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", EXACT)
def test_exact_solution_makes_every_residual_vanish(name, engine):
    problem = EXACT[name]()
    if engine == "reverse" and len(problem.coordinates) > 10:
        pytest.skip("100 nested second derivatives take minutes")
    batch = rows(problem, 200 if engine == "taylor" else 20)
    residuals = ResidualSystem(problem, ExactTrial(problem), engine).residuals(batch)
    assert set(residuals) == set(problem.conditions)
    for condition, values in residuals.items():
        # Terms are of order (wave number * speed)^2, up to 4e3, with 16 digits each.
        assert values.abs().max() < 1e-10, condition


@pytest.mark.parametrize("name", EXACT)
def test_perturbed_solution_does_not_satisfy_the_equation(name):
    problem = EXACT[name]()

    class Perturbed(ExactTrial):
        def forward(self, points):
            bump = torch.sin(3 * points).sum(-1, keepdim=True)
            return self.problem.exact_values(points) + 0.1 * bump

    residuals = ResidualSystem(problem, Perturbed(problem), "taylor").residuals(rows(problem))
    assert max(float(r.abs().max()) for r in residuals.values()) > 1e-3


@pytest.mark.parametrize("name", PROBLEMS)
def test_evaluation_points_and_reference(name):
    problem = PROBLEMS[name]()
    points = problem.evaluation_points()
    assert len(points) >= 10_000
    assert problem.domain.contains(points).all()
    values = problem.reference_values(points[:500])
    assert values.shape == (500, len(problem.unknowns))
    assert values.dtype == torch.float64
    assert values.isfinite().all()


@pytest.mark.parametrize("name", [n for n, make in PROBLEMS.items() if make().ansatz is not None])
def test_ansatz_holds_for_any_network(name):
    problem = PROBLEMS[name]()
    torch.manual_seed(0)
    network = torch.nn.Linear(len(problem.coordinates), 1).double()
    trial = Trial(problem, network)
    boundary = [problem.domain.face(t=0.0)] if "t" in problem.coordinates else [problem.domain.boundary()]
    for region in boundary:
        points = Sobol().sample(region, 64, seed=1)
        error = trial(points) - problem.reference_values(points)
        assert error.abs().max() < 1e-10  # the spectral reference carries 3e-11 of its own
    inside = Sobol().sample(problem.domain, 64, seed=1)
    assert (trial(inside) - problem.reference_values(inside)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["burgers", "allen_cahn"])
def test_numerical_reference_satisfies_its_equation(name):
    """By finite differences of the reference, away from the start and the shock's birth."""
    problem = PROBLEMS[name]()
    h = 1e-4
    base = torch.tensor([[x, t] for x in (-0.7, -0.31, 0.13, 0.6) for t in (0.2, 0.55, 0.9)], dtype=torch.float64)

    def u(dx=0.0, dt=0.0):
        return problem.reference_values(base + torch.tensor([dx, dt], dtype=torch.float64))[:, 0]

    u_t = (u(dt=h) - u(dt=-h)) / (2 * h)
    u_x = (u(dx=h) - u(dx=-h)) / (2 * h)
    u_xx = (u(dx=h) - 2 * u() + u(dx=-h)) / h**2
    if name == "burgers":
        residual = u_t + u() * u_x - problem.viscosity * u_xx
    else:
        residual = u_t - problem.diffusion * u_xx + 5 * (u() ** 3 - u())
    assert residual.abs().max() < 2e-4


def test_derivatives_are_recorded():
    wanted = {name: PROBLEMS[name]().wanted for name in ("burgers", "poisson2d", "biharmonic2d")}
    assert wanted["burgers"]["pde"].partials == {(0,), (1,), (0, 0)}
    assert wanted["poisson2d"]["pde"].laplacians == {(0, 1)}
    assert not wanted["poisson2d"]["boundary"]
    assert wanted["biharmonic2d"]["pde"].partials == {(0, 0, 0, 0), (0, 0, 1, 1), (1, 1, 1, 1)}


def test_reference_of_poisson_2d_by_hand():
    problem = PROBLEMS["poisson2d"]()
    points = torch.tensor([[0.5, 0.5], [0.25, 0.5]], dtype=torch.float64)
    assert problem.reference_values(points)[:, 0].tolist() == pytest.approx([1.0, math.sqrt(0.5)])
    computed = partials(problem.exact_values, points, problem.wanted["pde"])
    assert computed.laplacian((0, 1))[0].item() == pytest.approx(-2 * math.pi**2)
