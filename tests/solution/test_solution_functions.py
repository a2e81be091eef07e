"""An operator's solution, asked for one function or for several."""

import meshio
import numpy as np
import pytest
import torch

from pinnlab import PINN, Phase
from pinnlab.domains import Box, Chebyshev, Cosines, FunctionSpace, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import DeepONet
from pinnlab.optimizers import LBFGS
from pinnlab.problems import Problem, Residual
from pinnlab.solution.functions import with_functions
from pinnlab.solution.prediction import Prediction

X = Interval("x", 0, 1)
SPACE = FunctionSpace("a", Chebyshev(X, modes=3))


class Slope(Problem):
    """u' = a."""

    def __init__(self):
        domain = X * SPACE
        super().__init__(domain, ["u"], {"ode": Residual(domain, lambda u, a: u.x - a)})


@pytest.fixture(scope="module")
def solution():
    def network(inputs, outputs):
        return DeepONet(inputs, outputs, modes=3, branch=[4], trunk=[5], rank=4)

    return PINN(Slope(), network, phases=[Phase(LBFGS, steps=1)], compile=False).solution()


C = [0.3, -0.7, 0.2]


def rows(x, coefficients):
    return torch.tensor([[place, *coefficients] for place in x], dtype=torch.float64)


@pytest.mark.parametrize("kind", [list, np.array, lambda c: torch.tensor(c, dtype=torch.float64)])
def test_coefficients_of_one_function(solution, kind):
    expected = solution(rows([0.25], C))[0, 0]
    value = solution.u(x=0.25, a=kind(C))
    assert isinstance(value, float)  # as x is
    assert value == pytest.approx(float(expected), rel=1e-14)
    x = np.array([0.25, 0.5])
    assert solution.u(x=x, a=kind(C)) == pytest.approx(solution(rows(x, C))[:, 0].numpy(), rel=1e-14)


@pytest.mark.parametrize("function", [False, True])
def test_derivatives_by_the_function_pass_through(solution, function):
    """A design is found by them; those by a `torch.func` transform and by autograd are differences of the values."""

    def value(c):
        return solution.u(x=0.25, a=(lambda x: SPACE.values(c[None], x)[0]) if function else c)

    c = torch.tensor(C, dtype=torch.float64)
    expected = [(value(c + 1e-5 * e) - value(c - 1e-5 * e)) / 2e-5 for e in torch.eye(3, dtype=torch.float64)]
    leaf = c.clone().requires_grad_()
    value(leaf).backward()
    assert leaf.grad.tolist() == pytest.approx(expected, rel=1e-7)
    if not function:
        assert torch.func.jacfwd(value)(c).tolist() == pytest.approx(expected, rel=1e-7)


def test_coefficients_of_several_functions(solution):
    coefficients, x = np.array([C, [1.0, 0.0, 0.5]]), np.array([0.1, 0.6, 0.9])
    found = solution.u(x=x, a=coefficients[:, None])
    assert found.shape == (2, 3)
    for own, values in zip(coefficients, found, strict=True):
        assert values == pytest.approx(solution(rows(x, own))[:, 0].numpy(), rel=1e-14)


def test_a_function_is_the_nearest_one_of_the_space(solution):
    def in_space(x):
        return SPACE.values(torch.tensor([C], dtype=torch.float64), x)[0]

    assert solution.u(x=0.4, a=in_space) == pytest.approx(solution.u(x=0.4, a=C), rel=1e-10)
    sensors = torch.linspace(0, 1, 2001, dtype=torch.float64)
    nearest = SPACE.coefficients(torch.sin(2 * sensors)[None], sensors)[0]
    assert solution.u(x=0.4, a=lambda x: torch.sin(2 * x)) == pytest.approx(solution.u(x=0.4, a=nearest), rel=1e-3)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, y: torch.cos(torch.pi * x) + 3 * torch.cos(torch.pi * y / 1.5), [3.0, 1.0]),
        (lambda y, x: torch.cos(torch.pi * x) + 3 * torch.cos(torch.pi * y / 1.5), [3.0, 1.0]),
        (lambda y, factor=3: factor * torch.cos(torch.pi * y / 1.5), [3.0, 0.0]),
        (lambda first, second: torch.cos(torch.pi * first), [0.0, 1.0]),
    ],
)
def test_a_function_of_two_coordinates_gets_them_by_name(function, expected):
    square = Box(("x", "y"), (0, 0), (1, 1.5))
    space = FunctionSpace("g", Cosines(square, 2))
    found = with_functions(square * space, {"x": 0.1, "y": 0.2, "g": function})
    sizes = space.basis.functions(torch.zeros(1, 2, dtype=torch.float64))[0].tolist()  # of the waves along y and x
    assert [found["g0"] * sizes[0], found["g1"] * sizes[1]] == pytest.approx(expected, abs=1e-12)


def test_everything_that_takes_coordinates_takes_functions(solution, tmp_path):
    at = {"x": 0.3, "a": C}
    field = SPACE.values(torch.tensor([C], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)).item()
    slope = solution.derivative("u", "x", **at)
    assert solution.residual("ode", **at) == pytest.approx(slope - field, rel=1e-12)
    assert solution.evaluate(lambda u, a: u * a, **at) == pytest.approx(solution.u(**at) * field, rel=1e-12)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    energy = weights @ solution.u(x=(nodes + 1) / 2, a=C) ** 2 / 2
    assert solution.integral(X, lambda u: u * u, a=C) == pytest.approx(energy, rel=1e-10)
    grid, expected = solution.grid(x=5, a=C).squeeze(), solution.u(x=np.linspace(0, 1, 5), a=C)
    assert grid.u.to_numpy() == pytest.approx(expected, rel=1e-14)
    mesh = meshio.read(solution.to_vtk(tmp_path / "u.vtu", x=5, a=C))
    assert [(block.type, len(block.data)) for block in mesh.cells] == [("line", 4)]
    assert mesh.point_data["u"] == pytest.approx(expected, rel=1e-14)
    mesh = meshio.read(solution.to_vtk(tmp_path / "v.vtu", mesh=mesh, a=C))
    assert mesh.point_data["u"] == pytest.approx(expected, rel=1e-14)
    assert solution.grid(a=C).sizes["x"] == 40_001  # as of one coordinate


def test_points_of_several_functions_are_a_file_for_paraview(solution, tmp_path):
    """As `pinnlab predict --points FILE --format vtk` writes them: their coefficients are no places."""
    asked = Prediction(None, torch.cat([rows([0.25, 0.5], C), rows([0.5], C[::-1])]), "vtk")
    mesh = meshio.read(asked.write(solution, tmp_path, otherwise=torch.zeros(0, 4)))
    assert mesh.points[:, 0].tolist() == [0.25, 0.5, 0.5]
    assert mesh.point_data["a0"].tolist() == [0.3, 0.3, 0.2]
    expected = [*solution.u(x=np.array([0.25, 0.5]), a=C), solution.u(x=0.5, a=C[::-1])]
    assert mesh.point_data["u"] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("given", [{}, {"a": np.eye(2, 3)}, {"x": 5}])
def test_a_file_for_paraview_is_of_one_function(solution, tmp_path, given):
    with pytest.raises(
        ConfigurationError,
        match=r"to_vtk: a: needs one function, as solution.to_vtk\('u.vtu', a=...\); .* their a0 to a2",
    ):
        solution.to_vtk(tmp_path / "u.vtu", **given)


@pytest.mark.parametrize("kind", [list, torch.tensor, lambda c: torch.tensor(c, requires_grad=True)])
def test_a_grid_has_a_function_beyond_the_bound_as_a_call_has_it(solution, kind):
    beyond, x = [1.5, 0.0, -0.5], np.linspace(0, 1, 5)
    with pytest.warns(UserWarning, match="5 of 5 points lie outside of the domain"):
        expected = solution.u(x=x, a=beyond)
    with pytest.warns(UserWarning, match="5 of 5 points lie outside of the domain"):
        grid = solution.grid(x=5, a=kind(beyond))
    assert grid.u.to_numpy().ravel() == pytest.approx(expected, rel=1e-14)
    with pytest.warns(UserWarning, match="2 of 2 points lie outside of the domain"):
        grid = solution.grid(x=[0.5, 1.0, 1.5], a=kind(beyond))
    assert np.isnan(grid.u.to_numpy().ravel()).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"a: is missing; give its 3 coefficients \(\.\.\., 3\), or a function of x"),
        ({"a": [1.0, 2.0]}, r"a: must be its 3 coefficients .*, got the shape \(2,\)"),
        ({"a": 1.0}, r"a: must be its 3 coefficients .*, got the shape \(\)"),
        ({"a": "sine"}, "a: must be its 3 coefficients"),
        ({"a": lambda x, y: x}, "a: as a function of x it fails"),
        ({"a": lambda x: torch.sqrt(x - 0.5)}, "a: its values and their places must be finite numbers"),
        ({"b": C}, "a: is missing"),
        ({"a": C, "a1": 0.5}, "a1: is given by a already; leave out one of them"),
    ],
)
def test_what_is_no_function_is_refused(solution, given, message):
    with pytest.raises(ConfigurationError, match=message):
        solution.u(x=0.5, **given)
