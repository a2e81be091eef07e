"""A solution: values, derivatives, expressions, residuals and errors, in the kind of what was given."""

import copy
import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from known_solutions import Decay, InBox, OnDisk, TwoWaves, Waves, bowl, waves

from pinnlab import PINN
from pinnlab.derivatives import Wanted, reverse
from pinnlab.domains import Box, Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Burgers, NeumannPoisson2D, Poisson, Problem, Residual, Unknown
from pinnlab.solution import Quantity, Solution

POINTS = torch.tensor([[0.5, 0.0], [1.0, 1.0], [2.5, 1.5]], dtype=torch.float64)
X, T = POINTS.T


@pytest.fixture(scope="module")
def model():
    return PINN(Burgers(viscosity=0.05), partial(MLP, hidden=[6, 5]), seed=3)


@pytest.fixture(scope="module")
def solution(model):
    return model.solution()


def test_values_are_those_of_the_module(model, solution):
    points = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert isinstance(solution, Solution)
    assert torch.equal(solution(points), model(points))
    assert np.array_equal(solution(points.numpy()), model(points).detach().numpy())
    assert solution(points.tolist()).shape == (7, 1)
    assert not solution(points).requires_grad


def test_values_are_those_of_the_formula():
    found = waves()
    torch.testing.assert_close(found.u(POINTS), X.sin() * torch.exp(-T), rtol=1e-15, atol=0)
    torch.testing.assert_close(found["v"](points=POINTS), X.cos() * torch.exp(-T), rtol=1e-15, atol=0)
    assert found(POINTS).shape == (3, 2)
    assert found(x=0.3, t=[0.0, 1.0]).shape == (2, 2)
    assert found(POINTS[:0]).shape == (0, 2)


def test_coordinates_are_broadcast_and_values_come_in_their_kind():
    found = waves()
    number = found.u(x=1.0, t=0.5)
    assert type(number) is float
    assert number == pytest.approx(math.sin(1) * math.exp(-0.5), rel=1e-15)
    x, t = np.linspace(0, 3, 4)[:, None], np.linspace(0, 2, 5)
    table = found.v(x=x, t=t)
    assert isinstance(table, np.ndarray)
    np.testing.assert_allclose(table, np.cos(x) * np.exp(-t), rtol=1e-14)
    tensor = found.v(x=torch.tensor([0.0, 1.0]), t=0.0)
    assert isinstance(tensor, torch.Tensor)
    torch.testing.assert_close(tensor, torch.tensor([1.0, math.cos(1)], dtype=torch.float64), rtol=1e-14, atol=0)
    assert found.u(x=np.float64(1.0), t=0) == found.u(x=1.0, t=0.0)
    assert found.u(x=np.array(1.0), t=0.0).shape == ()


def test_derivatives_are_those_of_nested_autograd(solution):
    points = torch.rand(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for by in (("x",), ("x", "x"), ("t", "x"), ("x", "x", "x"), ("t",)):
        index = tuple(sorted("xt".index(name) for name in by))
        _, expected, *_ = reverse.differentiate(solution.trial, points, Wanted(frozenset({index})))
        found = solution.derivative("u", *by, points=points)
        torch.testing.assert_close(found, expected[index][:, 0], rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(solution.derivative("u", points=points), solution.u(points), rtol=0, atol=0)


def test_a_derivative_is_a_function_of_points_too():
    slope = waves().derivative("u", "x")
    assert isinstance(slope, Quantity)
    assert "x" in repr(slope)
    assert slope(x=1.0, t=0.0) == pytest.approx(math.cos(1), rel=1e-14)
    torch.testing.assert_close(slope(POINTS), waves().v(POINTS), rtol=1e-14, atol=0)
    assert waves().derivative("u", "x", "t", x=1.0, t=0.0) == pytest.approx(-math.cos(1), rel=1e-14)


def test_torch_values_can_be_differentiated_by_the_points():
    points = POINTS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(waves().u(points).sum(), points)
    torch.testing.assert_close(slope[:, 0], X.cos() * torch.exp(-T), rtol=1e-13, atol=0)


def test_expressions_ask_by_name():
    found = waves()
    exact = X.cos() * torch.exp(-T)
    torch.testing.assert_close(found.evaluate(lambda u, t: u.x * t, POINTS), exact * T, rtol=1e-13, atol=0)
    torch.testing.assert_close(found.evaluate(lambda v: v, POINTS), exact, rtol=1e-15, atol=0)
    both = found.evaluate(lambda u, v: (u.xx, u * v), POINTS)
    torch.testing.assert_close(both[:, 0], -X.sin() * torch.exp(-T), rtol=1e-13, atol=0)
    assert both.shape == (3, 2)
    assert found.evaluate(lambda u: u.gradient(), x=0.0, t=0.0) == pytest.approx([1.0, 0.0])
    later = found.evaluate(lambda u, t: u - u.at(t=t + 1).xt, POINTS)
    torch.testing.assert_close(later, (X.sin() + X.cos() * math.exp(-1)) * torch.exp(-T), rtol=1e-13, atol=0)
    assert found.evaluate(lambda points: 2.5, x=0.0, t=[0.0, 1.0]).tolist() == [2.5, 2.5]
    assert found.evaluate(lambda u: u.laplacian() + u, x=1.0, t=1.0) == pytest.approx(0.0, abs=1e-15)


def test_residuals_are_those_of_the_equations():
    found = waves()
    assert found.residual("space", POINTS).shape == (3, 2)
    assert found.residual("space", POINTS).abs().max() < 1e-15
    np.testing.assert_allclose(found.residual("decay", POINTS.numpy()), X.numpy(), rtol=1e-14)
    assert found.residual("decay", x=1.5, t=1.0) == pytest.approx(1.5, rel=1e-14)
    assert waves(2.0).residual("start", x=1.0, t=0.0) == pytest.approx(math.sin(1), rel=1e-14)


def test_residuals_of_conditions_with_normals_or_points_of_their_own(monkeypatch):
    problem = NeumannPoisson2D()
    found = PINN(problem, partial(MLP, hidden=[5])).solution()
    right = found.residual("boundary", np.array([[1.0, 0.5]]))
    assert right[0] == pytest.approx(found.derivative("u", "x", x=1.0, y=0.5), rel=1e-12)
    decay = PINN(Decay(), partial(MLP, hidden=[5])).solution()
    times = np.array([[0.0], [0.5], [1.0]])
    np.testing.assert_allclose(decay.residual("data"), decay.u(times) - np.exp(-2 * times[:, 0]), rtol=1e-13)
    with pytest.raises(ConfigurationError, match="data brings its own points"):
        decay.residual("data", times)


def test_errors_are_relative_to_the_reference():
    found = waves(1.01).errors(500)
    assert found == pytest.approx({"u": 0.01, "v": 0.01}, rel=1e-12)
    assert waves(0.9).errors(POINTS) == pytest.approx({"u": 0.1, "v": 0.1}, rel=1e-12)
    assert bowl(OnDisk()).errors() == {}
    assert bowl(InBox()).errors(300) == {"u": 0.0}  # where the reference is known


def test_coefficients_of_an_inverse_problem():
    found = PINN(Decay(guess=2.5), partial(MLP, hidden=[5])).solution()
    assert found.coefficients == pytest.approx({"k": 2.5}, rel=1e-15)
    assert found.evaluate(lambda k: k, t=0.5) == pytest.approx(2.5)
    residual = found.evaluate(lambda u, k: u.t + k * u, t=0.5)
    assert residual == pytest.approx(found.residual("ode", t=0.5), rel=1e-14)
    assert "k = 2.5" in repr(found)
    assert waves().coefficients == {}


def test_further_training_does_not_change_it(model):
    before = model.solution()
    value = before.u(x=0.5, t=0.5)
    with torch.no_grad():
        state = copy.deepcopy(model.state_dict())
        next(model.trial.parameters()).add_(1.0)
    assert before.u(x=0.5, t=0.5) == value
    assert model.solution().u(x=0.5, t=0.5) != value
    model.load_state_dict(state)
    assert all(parameter.requires_grad for parameter in model.trial.parameters())
    assert model.solution().problem is model.problem


def test_a_solution_in_float32():
    found = PINN(Burgers(), partial(MLP, hidden=[5]), dtype="float32").solution()
    points = torch.rand(4, 2, dtype=torch.float64)
    assert found(points).dtype == torch.float32
    assert found(points.numpy()).dtype == np.float32
    assert type(found.u(x=0.1, t=1)) is float
    assert "float32" in repr(found)


def test_more_points_than_are_evaluated_at_a_time(monkeypatch, solution):
    points = torch.rand(50, 2, dtype=torch.float64)
    expected = solution.u(points), solution.derivative("u", "x", "x", points=points)
    monkeypatch.setattr("pinnlab.solution.solution.BLOCK", 16)
    found = solution.u(points), solution.derivative("u", "x", "x", points=points)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_it_says_what_it_is(solution):
    text = repr(solution).splitlines()
    assert text[0] == "Solution of Burgers: u of x, t"
    assert "Interval('x', -1, 1)" in text[1]
    assert "MLP, 59 parameters, float64" in text[2]
    assert len(text) == 3
    assert repr(Solution(PINN(TwoWaves(), Waves()), run="runs/a")).splitlines()[-1].endswith("runs/a")
    assert "u" in dir(solution)
    assert copy.deepcopy(solution).u(x=0.1, t=0.2) == solution.u(x=0.1, t=0.2)


REFUSED = {
    "neither": (lambda s: s(), r"points: give an array \(n, 2\), or coordinates by name: x=..., t=..."),
    "both": (lambda s: s(POINTS, x=1.0), "points: give an array"),
    "points twice": (lambda s: s.u(POINTS, points=POINTS), "points: are given twice"),
    "points and grid": (lambda s: s.to_csv("u.csv", POINTS, x=3), "to_csv: x is given by the points; leave it out"),
    "columns": (lambda s: s(POINTS[:, :1]), r"expected shape \(n, 2\) for coordinates x, t; got \(3, 1\)"),
    "missing": (lambda s: s.u(x=1.0), "t: is missing"),
    "coordinate": (lambda s: s.u(x=1.0, tt=2.0), "unknown coordinate 'tt'.*did you mean 't'"),
    "words": (lambda s: s.u(x="left", t=1.0), "x: must be numbers, got str"),
    "shapes": (lambda s: s.u(x=[1.0, 2.0], t=[1.0, 2.0, 3.0]), r"cannot be broadcast: x \(2,\), t \(3,\)"),
    "unknown": (lambda s: s["w"], "unknown quantity of TwoWaves 'w'"),
    "derivative": (lambda s: s.derivative("w", "x"), "unknown quantity of TwoWaves 'w'"),
    "by": (lambda s: s.derivative("u", "y", points=POINTS), "unknown coordinate 'y'"),
    "by both": (lambda s: s.derivative("u", "xt", points=POINTS), "'xt'.*; give one after the other: 'x', 't'"),
    "condition": (lambda s: s.residual("pde", POINTS), "unknown condition 'pde'"),
    "expression": (lambda s: s.evaluate(lambda w: w, POINTS), "unknown argument of the expression 'w'"),
    "rows": (lambda s: s.evaluate(lambda u: u.x[:1].repeat(7), POINTS), r"a number for each of 3 points, got .*\(7,\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_told_in_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message) as caught:
        call(waves())
    assert "\n" not in str(caught.value)


def test_other_attributes_are_not_there(solution):
    with pytest.raises(AttributeError, match="no attribute 'w'"):
        solution.w  # noqa: B018


def test_many_coordinates():
    found = PINN(Poisson(dim=5), partial(MLP, hidden=[5])).solution()
    names = found.problem.coordinates
    assert type(found.u(**dict.fromkeys(names, 0.5))) is float
    assert found.evaluate(lambda u: u.laplacian(), np.full((2, 5), 0.5)).shape == (2,)


def test_an_unknown_of_fewer_coordinates_is_told_of_these_only():
    """The others are made up, and their middle may lie in a hole."""
    domain = (Box(["x", "y"], -1, 1) - Disk(radius=0.3)) * Interval("t", 0, 1)
    unknowns = {"u": Unknown(), "k": Unknown(coordinates=["t"])}
    solution = PINN(Problem(domain, unknowns, {"pde": Residual(domain, lambda u, k: u.t - k * u.xx)})).solution()
    for call in (solution.k, solution.derivative("k", "t")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(t=0.5)
        with pytest.warns(UserWarning, match="1 of 1 points lie outside of the domain"):
            call(t=1.5)


def test_a_value_outside_of_the_domain_is_told():
    solution = bowl(OnDisk())
    for call in (lambda x: solution.u(x=x, y=0.0), lambda x: solution.derivative("u", "x", x=x, y=0.0)):
        with pytest.warns(UserWarning, match="1 of 1 points lie outside of the domain, the first at x = 1.5, y = 0"):
            call(1.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(1.0 + 1e-6)  # as on a mesh whose nodes are rounded


def test_a_value_where_an_unknown_does_not_live_is_told():
    line, time = Interval("x", 0, 1), Interval("t", 0, 1)
    domain, left = line * time, Interval("x", 0, 0.5) * time
    end = domain.face(x=0.0)
    unknowns = {"u": Unknown(), "v": Unknown(on=left), "q": Unknown(coordinates=["t"], on=end)}
    conditions = {"left": Residual(left, lambda u, v: u.x - v), "end": Residual(end, lambda q: q - 1)}
    solution = PINN(Problem(domain, unknowns, conditions), partial(MLP, hidden=[4])).solution()
    for call in (solution.v, partial(solution.derivative, "v", "x")):
        with pytest.warns(UserWarning, match="1 of 2 points lie where v does not live, the first at x = 0.8, t = 0; "):
            call(x=[0.2, 0.8], t=0.0)
    with pytest.warns(UserWarning, match=r"^1 of 2 points lie where v does not live, the first at x = 0.8, t = 0; "):
        solution.evaluate(lambda u, v: u.x + v.t, x=[0.2, 0.8], t=0.0)
    with pytest.warns(UserWarning, match=r"^128 of 256 points lie where v does not live"):
        solution.integral(line, lambda v: v**2, t=0.5)
    with pytest.warns(UserWarning, match=r"^128 of 256 points of the integral lie outside of the domain, the first"):
        solution.integral(Interval("x", 0, 2), lambda u: u, t=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution.v(x=0.5, t=0.5)
        solution.derivative("u", "x", x=0.8, t=0.5)
        solution.q(t=0.5)  # wherever it is: of what it depends on, nothing is outside
        assert solution.derivative("q", "t", t=0.5) == solution.derivative("q", "t", x=0.0, t=0.5) != 0
        solution(x=0.8, t=0.5)
        solution.integral(Interval("x", 0, 0.5), lambda u, v: u * v, t=0.5)
        solution.integral(line, lambda u, v, x: torch.where(x < 0.5, v, u), t=0.5)
        solution.evaluate(lambda v, q, x: (x < 0.5) * v + q, x=[0.2, 0.8], t=0.5)
