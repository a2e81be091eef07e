"""The density of a random process and the best control of one, in many dimensions."""

import math

import pytest
import torch

from pinnlab.networks import MLP
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import FokkerPlanck, HamiltonJacobiBellman
from pinnlab.samplers import UniformRandom


def derivatives(problem, points):
    """Gradient `(n, d + 1)` and Hessian `(n, d, d)` of the exact solution, by torch."""

    def exact(point):
        return problem.exact_values(point[None])[0, 0]

    gradients = torch.stack([torch.func.grad(exact)(point) for point in points])
    hessians = torch.stack([torch.func.hessian(exact)(point) for point in points])
    return gradients, hessians[:, :-1, :-1]


@pytest.mark.parametrize("dim", [2, 7])
def test_the_density_solves_its_equation(dim):
    problem = FokkerPlanck(dim=dim, sample=1, anisotropy=9.0, seed=2)
    points = UniformRandom().sample(problem.domain, 20, seed=1)
    gradients, hessians = derivatives(problem, points)
    matrix = problem.spread @ problem.spread.T
    assert (matrix - matrix.diagonal().diag()).abs().max() > 0.1  # its components are mixed
    expected = (torch.einsum("ij,nij->n", matrix, hessians) + (gradients[:, :-1] @ problem.spread).square().sum(1)) / 2
    torch.testing.assert_close(gradients[:, -1], expected, rtol=1e-11, atol=1e-11)


def test_it_is_the_normal_density_of_torch():
    problem = FokkerPlanck(dim=5, sample=1, seed=3)
    points = UniformRandom().sample(problem.domain, 20, seed=1)
    covariances = torch.eye(5) + points[:, -1, None, None] * (problem.spread @ problem.spread.T)
    normal = torch.distributions.MultivariateNormal(torch.zeros(5, dtype=torch.float64), covariances)
    expected = normal.log_prob(points[:, :-1]) + 5 * math.log(2 * math.pi) / 2
    torch.testing.assert_close(problem.solution(points), expected, rtol=1e-12, atol=1e-12)


def test_the_eigenvalues_are_spread_around_one_by_the_ratio_that_was_asked_for():
    rates = torch.linalg.eigvalsh(FokkerPlanck(dim=9, sample=1).spread @ FokkerPlanck(dim=9, sample=1).spread.T)
    torch.testing.assert_close(rates[-1] / rates[0], torch.tensor(4.0, dtype=torch.float64))
    torch.testing.assert_close(rates.log().mean(), torch.tensor(0.0, dtype=torch.float64), rtol=0.0, atol=1e-12)
    assert not torch.equal(FokkerPlanck(dim=9, sample=1, seed=1).spread, FokkerPlanck(dim=9, sample=1).spread)


@pytest.mark.parametrize("dim", [2, 7])
def test_the_cost_solves_its_equation(dim):
    problem = HamiltonJacobiBellman(dim=dim, sample=1)
    points = UniformRandom().sample(problem.domain, 20, seed=1)
    gradients, hessians = derivatives(problem, points)
    expected = hessians.diagonal(dim1=1, dim2=2).sum(1) - gradients[:, :-1].square().sum(1)
    torch.testing.assert_close(gradients[:, -1], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dim", [3, 100])
def test_the_cost_is_a_mean_over_the_ends(dim):
    """Cole and Hopf's formula by Monte Carlo: four standard errors from the integral at most."""
    problem, generator = HamiltonJacobiBellman(dim=dim, sample=1), torch.Generator().manual_seed(0)
    points = UniformRandom().sample(problem.domain, 6, seed=2)
    exact = problem.solution(points)
    for point, cost in zip(points, exact, strict=True):
        steps = torch.randn(40_000, dim, generator=generator, dtype=torch.float64)
        ends = point[:-1] + (2 * point[-1]).sqrt() * steps
        gains = 2 / (1 + ends.square().sum(1))
        error = gains.std() / gains.mean() / 200
        assert error < 1e-2
        assert abs(-gains.mean().log() - cost) < 4 * error


def test_the_cost_at_the_center_is_the_published_one():
    """4.5901 in 100 dimensions (arXiv 1707.02568), by a mean of theirs: the last digit may differ."""
    center = torch.zeros(1, 101, dtype=torch.float64)
    center[0, -1] = 1.0
    assert abs(float(HamiltonJacobiBellman(dim=100).solution(center)) - 4.5901) < 3e-4


def test_at_the_end_the_cost_is_that_of_the_place():
    problem = HamiltonJacobiBellman(dim=6, sample=1)
    points = UniformRandom().sample(problem.domain.face(t=0.0), 20, seed=1)
    expected = torch.log((1 + points[:, :-1].square().sum(1)) / 2)
    torch.testing.assert_close(problem.solution(points), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", [FokkerPlanck, HamiltonJacobiBellman])
def test_residuals_have_no_derivative_for_each_coordinate(kind):
    """What jets carry grows with the sample; the gradient comes back in one pass, whatever the dimension."""
    small, large = kind(dim=30, sample=4), kind(dim=60, sample=4)
    assert small.wanted["pde"].channels == large.wanted["pde"].channels < 12
    assert len(large.wanted["pde"].backwards) == 61
    network = MLP(61, 1, hidden=(8, 8)).double()
    rows = {"pde": UniformRandom().sample(large.domain, 9, seed=0)}
    taylor, reverse = (ResidualSystem(large, Trial(large, network), e).residuals(rows) for e in ("taylor", "reverse"))
    torch.testing.assert_close(taylor["pde"], reverse["pde"], rtol=1e-9, atol=1e-9)
