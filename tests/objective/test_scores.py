"""Scores of points against finite differences."""

import pytest
import torch
from training import small_module

from pinnlab.domains import Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.objective.scores import SCORES, find_score, residual, residual_gradient, solution_gradient
from pinnlab.problems import Neumann, Problem, Residual
from pinnlab.samplers import Sobol


class TwoEquations(Problem):
    """Two unknowns, two equations and a condition that stores normals."""

    def __init__(self):
        domain = Disk() * Interval("t", 0, 1)
        conditions = {
            "pde": Residual(domain, lambda u, v, x: (u.t - v.laplacian() * x, v.t + u * v.x)),
            "rim": Neumann(domain.boundary("x", "y"), u=0.0, v=lambda x: x**2),
        }
        super().__init__(domain, ("u", "v"), conditions)


def setting(name, engine):
    module = small_module(TwoEquations(), engine=engine)
    condition = module.problem.conditions[name]
    return module.system, condition.rows(Sobol().sample(condition.region, 12, seed=1))


def slopes(function, rows, d=3, h=1e-5):
    """Central differences along the coordinates, `(n, m, d)`."""
    columns = []
    for k in range(d):
        step = torch.zeros_like(rows)
        step[:, k] = h
        columns.append((function(rows + step) - function(rows - step)) / (2 * h))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", ["pde", "rim"])
def test_gradient_scores_are_those_of_finite_differences(name, engine):
    system, rows = setting(name, engine)
    with torch.no_grad():  # as callbacks call them
        by_residual, by_solution = residual_gradient(system, name, rows), solution_gradient(system, name, rows)
        expected = slopes(lambda moved: system.residuals({name: moved})[name], rows).flatten(1).norm(dim=1)
        of_solution = slopes(lambda moved: system.trial(moved[:, :3]), rows).flatten(1).norm(dim=1)
    torch.testing.assert_close(by_residual.detach(), expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(by_solution.detach(), of_solution, rtol=1e-7, atol=1e-9)


def test_residual_score_is_its_size():
    system, rows = setting("pde", "taylor")
    r = system.residuals({"pde": rows})["pde"]
    torch.testing.assert_close(residual(system, "pde", rows), (r[:, 0] ** 2 + r[:, 1] ** 2).sqrt())


def test_a_residual_that_no_point_changes_has_no_slope():
    domain = Interval("x", 0, 1)
    module = small_module(Problem(domain, ("u",), {"pde": Residual(domain, lambda u: torch.zeros_like(u.value))}))
    assert residual_gradient(module.system, "pde", torch.rand(4, 1, dtype=torch.float64)).tolist() == [0.0] * 4


def test_scores_are_found_by_name_and_taken_as_they_are():
    assert {find_score(name) for name in SCORES} == {residual, residual_gradient, solution_gradient}
    assert find_score(abs) is abs
    with pytest.raises(ConfigurationError, match=r"'residuals'.*did you mean 'residual'"):
        find_score("residuals")
