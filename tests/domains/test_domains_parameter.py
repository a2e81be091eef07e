"""Coordinates that are no places: what boundaries and operators leave out."""

import copy
import pickle

import pytest
import torch

from pinnlab.derivatives import divergence
from pinnlab.domains import Box, Disk, GradedInterval, Interval, Parameter, Union, distance
from pinnlab.domains.cut import cut
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Problem, Residual
from pinnlab.samplers import Sobol

NU = Parameter("nu", 0.5, 2.0)
FAMILY = Disk() * Interval("t", 0, 1) * NU


def test_the_boundary_leaves_parameters_out_unless_they_are_named():
    disk = Disk() * NU
    assert disk.boundary().measure == pytest.approx(disk.boundary("x", "y").measure)
    assert disk.boundary("nu").measure == pytest.approx(2 * Disk().measure)
    assert disk.face(nu=0.5).measure == pytest.approx(Disk().measure)
    points = Sobol().sample(disk.boundary(), 100, seed=0)
    assert torch.allclose(points[:, :2].norm(dim=1), torch.ones(100, dtype=torch.float64))
    assert 0.5 < points[:, 2].min() < 0.6 < 1.9 < points[:, 2].max() < 2.0
    assert torch.equal(disk.boundary().normals(points)[:, 2], torch.zeros(100, dtype=torch.float64))
    assert NU.boundary().count == 2


def test_products_know_their_parameters():
    assert FAMILY.parameters == ("nu",)
    assert (Parameter("a", 0, 1) * Disk() * NU).parameters == ("a", "nu")
    assert Disk().parameters == ()


PLATE, HALF = Box(["x", "y"], 0, 1) * NU, Disk(radius=0.3) * NU
MADE = {  # of products with a parameter
    "moved": PLATE.translate(x=1),
    "enlarged": PLATE.scale([2, 2, 1]),
    "turned": (PLATE - HALF).rotate(0.3, axis=[0, 0, 1]),
    "a difference": PLATE - HALF,
    "a union": Union([PLATE, PLATE.translate(x=1)]),
    "a moved union": Union([PLATE, PLATE.translate(x=1)]).translate(y=1),
    "in the plane": Interval("x", 0, 3) * NU - Interval("x", 1, 2) * NU,
    "in the plane, moved": (Interval("x", 0, 3) * NU - Interval("x", 1, 2) * NU).translate(x=1),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_of_products_knows_their_parameters_too(name):
    """Else their ends would be a boundary, and `u.laplacian()` would have the derivative by them."""
    domain = MADE[name]
    assert domain.parameters == ("nu",)
    normals = domain.boundary().normals(Sobol().sample(domain.boundary(), 50, seed=0))
    assert float(normals[:, domain.coordinates.index("nu")].abs().max()) < 1e-12


def test_what_is_cut_out_is_missing_at_the_ends_of_a_parameter_too():
    domain = PLATE - (Disk(center=(0.5, 0.5), radius=0.3) * NU)
    assert domain.boundary("nu").measure == pytest.approx(2 * (1 - 0.09 * torch.pi), rel=1e-3)


def test_a_distance_leaves_them_out_too():
    ends = torch.tensor([[0.5, 0.6, end] for end in (0.5, 2.0)], dtype=torch.float64)
    assert float(distance(PLATE - HALF)(*ends.T).min()) > 0.1


def test_intervals_stay_what_they_are_when_they_are_moved_or_cut():
    times = GradedInterval("t", 0, 1, power=3.0)
    assert repr(times.translate(t=1)) == "GradedInterval('t', 1, 2, power=3)"
    assert repr(cut(Disk() * times, "t", 0.5, 1.0)).endswith("GradedInterval('t', 0.5, 1, power=3)")
    assert repr((Disk() * NU).scale(2)).endswith("Parameter('nu', 1, 4)")


class Formula(torch.nn.Module):
    def forward(self, p):
        x, y, t, nu = p.unbind(-1)
        return (x**3 * y**2 * nu**2 + t**2 * nu**3)[:, None]


@pytest.mark.parametrize("again", [lambda p: p, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_operators_leave_parameters_and_time_out(again):
    problem = again(Problem(FAMILY, ["u"], {"pde": Residual(FAMILY, operators)}))
    assert problem.wanted["pde"].laplacians == {(0, 1, 3)}
    points = Sobol().sample(FAMILY, 30, seed=0)
    found = ResidualSystem(problem, Trial(problem, Formula())).residuals({"pde": points})["pde"]
    x, y, t, nu = points.T
    laplacian = (6 * x * y**2 + 2 * x**3) * nu**2
    expected = [laplacian, laplacian + 2 * x**3 * y**2 + 6 * t**2 * nu, 3 * x**2 * y**2 * nu**2 + 2 * x**3 * y * nu**2]
    assert torch.allclose(found[:, :3], torch.stack(expected, -1))
    u = x**3 * y**2 * nu**2 + t**2 * nu**3
    slopes = (3 * x**2 * y**2 * nu**2) ** 2 + (2 * x**3 * y * nu**2) ** 2
    assert torch.allclose(found[:, 3], 2 * u * laplacian + 2 * slopes)


def operators(u):
    return u.laplacian(), u.laplacian("x", "y", "nu"), divergence([u, u]), (u * u).laplacian()
