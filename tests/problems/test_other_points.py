"""Conditions that look at other points, `u.at(t=t - 1)`: against solutions known otherwise, and what is refused."""

import gc
import math
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import nn
from torch.func import grad, vmap

from pinnlab.domains import Box, Chebyshev, FunctionSpace, Interval, Union
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, DeepONet, Subdomains
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.pair_blocks import PairBlocks
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.sparse_rows import check_sparse
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Coefficient, Dirichlet, Given, Integral, Observations, Problem, Residual, Unknown
from pinnlab.samplers import FunctionsTimesPlaces, Sobol
from pinnlab.training.network import build_network

T, X = Interval("t", 0, 3), Interval("x", 0, 1)
XT = X * Interval("t", 0, 1)


class Function(nn.Module):
    """A known solution in place of a network; its one parameter is a factor."""

    def __init__(self, function):
        super().__init__()
        self.function, self.factor = function, nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, points):
        values = self.function(*(points[:, i] for i in range(points.shape[-1])))
        return self.factor * torch.stack(values if isinstance(values, tuple) else [values], -1)


def system_of(problem, network, engine="taylor"):
    module = Function(network) if not isinstance(network, partial) else build_network(problem, network, True, 0)
    return ResidualSystem(problem, Trial(problem, module.double()), engine)


def rows_of(problem, count=50):
    return {name: c.rows(c.some_points(count, seed=3)) for name, c in problem.conditions.items()}


def posed(function, domain=T, unknowns=("u",), **options):
    return Problem(domain, unknowns, {"ode": Residual(domain, function)}, **options)


def steps(t):
    """u' = -u(t - 1), u = 1 up to 0, by the method of steps (Bellman and Cooke, 1963)."""
    return 1 - t + (t - 1).clamp_min(0) ** 2 / 2 - (t - 2).clamp_min(0) ** 3 / 6


def pantograph(t):
    """The power series of u' = -u + u(t / 2) / 2, u(0) = 1."""
    factors = np.cumprod([1.0, *((-1 + 0.5 ** (n + 1)) / (n + 1) for n in range(40))])
    return sum(float(factor) * t**n for n, factor in enumerate(factors))


def logistic():
    """u' = 1.5 u (1 - u(t - 1)), u = 0.5 up to 0, step by step by SciPy, as polynomials."""
    parts, past, start = [], lambda t: 0.5, [0.5]
    for k in range(3):
        rate = lambda t, u, past=past: 1.5 * u * (1 - past(t - 1))  # noqa: E731
        found = solve_ivp(rate, (k, k + 1), start, "DOP853", rtol=1e-12, atol=1e-12, dense_output=True).sol
        nodes = k + 0.5 * (1 - np.cos(np.pi * np.arange(41) / 40))
        parts.append(np.polynomial.Polynomial.fit(nodes - k, found(nodes)[0], 14, domain=[0, 1], window=[0, 1]).coef)
        past, start = lambda t, found=found: found(t)[0], found(k + 1)

    def function(t):
        values = [sum(float(c) * (t - k) ** n for n, c in enumerate(part)) for k, part in enumerate(parts)]
        return torch.where(t < 1, values[0], torch.where(t < 2, values[1], values[2]))

    return function


RATE = brentq(lambda r: r * math.exp(r * r) * math.erf(r) - 1 / math.sqrt(math.pi), 0.1, 2)
MELT = Interval("x", 0, 1.5) * Interval("t", 0.1, 0.5)


def neumann(x, t):
    """Melting with a Stefan number of 1: temperature, and the front 2 r sqrt(t) (Neumann's similarity solution)."""
    return 1 - torch.erf(x / (2 * t.sqrt())) / math.erf(RATE), 2 * RATE * t.sqrt()


def melting():
    conditions = {
        "heat": Residual(MELT, lambda u, s, x: torch.where(x < s, u.t - u.xx, 0.0)),
        "front": Residual(MELT.face(x=0.0), lambda u, s: (u.at(x=s), s.t + u.at(x=s).x)),
    }
    return Problem(MELT, {"u": Unknown(), "s": Unknown(coordinates=["t"])}, conditions)


def feedback():
    """u(0) = u(1/2) + 1 - cos(1/2), u'(1) = what a sensor at 0.3 sees, and an integral of a mirrored solution."""
    seen = -math.sin(1) + math.cos(0.3)
    conditions = {
        "ends": Residual(X.face(x=0.0), lambda u: u - u.at(x=0.5) - 1 + math.cos(0.5)),
        "flux": Residual(X.face(x=1.0), lambda u: u.x + u.at(x=0.3) - seen),
        "target": Dirichlet(X.face(x=1.0), u=lambda u: u.at(x=0.25) + math.cos(1) - math.cos(0.25)),
        "mirror": Integral(X, lambda u, x: u.at(x=1 - x), value=math.sin(1)),
        "difference": Observations([[0.7]], drop=(lambda u: u - u.at(x=0.0), [math.cos(0.7) - 1])),
    }
    return Problem(X, ["u"], conditions)


KNOWN = {
    "steps": (lambda: posed(lambda u, t: u.t + torch.where(t < 1, 1.0, u.at(t=t - 1))), lambda: steps, 1e-14),
    "history": (
        lambda: posed(lambda u, t, h: u.t + torch.where(t < 1, h.at(t=t - 1), u.at(t=t - 1)), given=[HISTORY]),
        lambda: steps,
        1e-14,
    ),
    "pantograph": (lambda: posed(lambda u, t: u.t + u - 0.5 * u.at(t=t / 2)), lambda: pantograph, 1e-12),
    "neutral": (lambda: posed(lambda u, t: u.t - 0.5 * u.at(t=t / 2).t - t), lambda: lambda t: 2 / 3 * t**2, 1e-14),
    "logistic": (
        lambda: posed(lambda u, t: u.t - 1.5 * u * (1 - torch.where(t < 1, 0.5, u.at(t=t - 1)))),
        logistic,
        1e-7,
    ),
    "melting": (melting, lambda: neumann, 1e-14),
    "feedback": (feedback, lambda: torch.cos, 1e-14),
}
HISTORY = Given("h", lambda t: 1 + 0 * t)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", KNOWN)
def test_residuals_of_known_solutions_vanish(name, engine):
    build, solution, accuracy = KNOWN[name]
    system = system_of(build(), solution(), engine)
    for residuals in system.residuals(rows_of(system.problem)).values():
        assert residuals.abs().max() < accuracy


def test_a_wrong_delay_does_not_vanish():
    system = system_of(posed(lambda u, t: u.t + torch.where(t < 1, 1.0, u.at(t=t - 0.9))), steps)
    assert system.residuals(rows_of(system.problem))["ode"].abs().max() > 0.05


def moving(v):
    """The derivative by x of v, a function of a point `(2,)`."""
    return lambda p: grad(v)(p)[0]


def product(u):
    return lambda p: u(torch.stack([p[0] * p[1], p[1] / 2])) * moving(u)(p)


def mixed(v):
    """The derivative by x and t of v."""
    return lambda p: grad(lambda q: grad(v)(q)[0])(p)[1]


EXPRESSIONS = {
    "product": (lambda u, x, t: (u.at(x=x * t, t=t / 2) * u.x).d("x", "x"), lambda u: moving(moving(product(u)))),
    "slope": (lambda u, x, t: (1.0 * u.at(x=x**2).x).d("x"), lambda u: moving(lambda p: moving(u)(p * p))),
    "there": (lambda u, x, t: (u * x).d("x") - u - x * u.x + u.at(x=x**2).x, lambda u: lambda p: moving(u)(p * p)),
    "at one time": (
        lambda u, x, t: (u.at(t=0.5) * t**2).d("x", "t"),
        lambda u: mixed(lambda p: u(torch.stack([p[0], 0.5 + 0 * p[1]])) * p[1] ** 2),
    ),
    "again": (
        lambda u, x, t: (u.at(x=x * t).at(t=x) + u.at(x=0.5)).d("x"),
        lambda u: moving(lambda p: u(torch.stack([p[0] * p[1], p[0]]))),
    ),
    "of itself": (lambda u, x: (u.at(x=u) ** 2).d("x"), lambda u: moving(lambda p: u(torch.stack([u(p), p[1]])) ** 2)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_derivatives_of_expressions_follow_the_other_point(name):
    """`u.at(x=x**2).x` is the slope there, `(1.0 * u.at(x=x**2).x).d("x")` moves the place along."""
    function, reference = EXPRESSIONS[name]
    problem = posed(function, XT)
    system = system_of(problem, partial(MLP, hidden=[6, 5]))
    points = Sobol().sample(XT, 7, seed=1)
    if name in ("slope", "there"):
        points[:, 1] = 1.0  # is its own square
    expected = vmap(reference(lambda p: system.trial(p[None])[0, 0]))(points)
    torch.testing.assert_close(system.residuals({"ode": points})["ode"][:, 0], expected, rtol=1e-11, atol=1e-12)


def test_derivatives_of_the_residual_in_the_loss_follow_it_too():
    condition = Residual(XT, lambda u, x, t: u.t - u.at(t=t / 2) * u.at(x=x**2).x, enhance=("x",), enhance_weight=1.0)
    system = system_of(Problem(XT, ["u"], {"ode": condition}), partial(MLP, hidden=[6]))
    points = Sobol().sample(XT, 5, seed=1)
    expected = vmap(moving(lambda p: system.residuals({"ode": p[None]})["ode"][0, 0]))(points)
    torch.testing.assert_close(system.residuals({"ode": points}, enhanced=True)["ode"][:, 1], expected)


def test_an_unknown_delay_has_a_gradient():
    delay = {"d": Coefficient(0.5)}
    problem = posed(lambda u, t, d: u.t + torch.where(t < d, 1.0, u.at(t=t - d)), coefficients=delay)
    system = system_of(problem, lambda t: torch.sin(t))
    rows = {"ode": torch.tensor([[2.0]], dtype=torch.float64)}
    found = jacobian_rows(system, system.trial.tensors(), rows)[1][0, system.column("coefficients.d")]
    assert float(found.detach()) == pytest.approx(-math.cos(1.5), rel=1e-14)


REFUSED = {
    "before the start": (lambda u, t: u.t + u.at(t=t - 1), "condition 'ode': looks at t = -0.", "torch.where(inside"),
    "half of a history": (lambda u, t: u.t + torch.where(t < 0.5, 1.0, u.at(t=t - 1)), "looks at t = -0."),
    "a slope": (lambda u, t: u.t + u.at(t=t + 1).t, "looks at t = 3."),
    "of an expression": (lambda u, t: (u * u.at(t=2 * t)).d("t"), "looks at t = "),
    "a number": (lambda u, t: u.t - u.at(t=-1), "looks at t = -1, outside of the domain"),
    "another coordinate": (lambda u: u.t - u.at(x=0.5), "unknown coordinate of u.at 'x'; known: t"),
    "no name": (lambda u, t: u.t - u.at(t / 2), "condition 'ode'", "write u.at(t=t - 1)"),
    "nothing": (lambda u: u.t - u.at(), "u.at: name the coordinates, as in u.at(t=t - 1)"),
    "words": (lambda u: u.t - u.at(t="half"), "u.at: t must be a number or a tensor (n,), got str"),
    "a shape": (lambda u, points: u.t - u.at(t=points), "must be a number or a tensor (n,), got (2, 1)"),
    "a function's value": (lambda u, t: u.t - (u * u).at(t=t / 2), "write at(...) of each unknown in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    function, *words = REFUSED[case]
    with pytest.raises(ConfigurationError) as caught:
        posed(function)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_a_derivative_by_a_and_t_has_another_name():
    domain = Box(["a", "t"], 0, 1)
    for function in (lambda u: u.at(), lambda u: (u * u.at()).d("a")):
        with pytest.raises(ConfigurationError, match=r"the derivative is u.d\('a', 't'\)"):
            posed(function, domain)
    assert posed(lambda u: u.d("a", "t"), domain).wanted["ode"].partials == {(0, 1)}


def test_evaluations_are_gone_at_once():
    """Fields that know other points do not keep themselves alive until Python looks for cycles."""
    system = system_of(posed(lambda u, t: u.t + u * u.at(t=t / 2)), steps)
    made = []
    system.trial.network.register_forward_hook(lambda module, inputs, output: made.append(weakref.ref(inputs[0])))
    gc.disable()
    try:
        system.residuals(rows_of(system.problem))
        assert len(made) > 1
        assert all(reference() is None for reference in made)
    finally:
        gc.enable()


def test_a_hole_is_outside():
    frame = Union([Box(["x", "y"], [0, 0], [3, 1]), Box(["x", "y"], [0, 1], [1, 2])])
    posed(lambda u, x, y: u.at(x=x / 3), frame)
    with pytest.raises(ConfigurationError, match=r"looks at x = .*, y = 1\..*, outside of the domain"):
        posed(lambda u, x, y: u.at(y=2 - y), frame)


def test_an_unknown_that_does_not_live_there_is_refused():
    half = Box(["x", "t"], [0, 0], [0.5, 1])
    conditions = {"ode": Residual(half, lambda u, v, x: u.t - v.at(x=x + 0.2))}
    with pytest.raises(ConfigurationError, match="condition 'ode': uses v where it does not live"):
        Problem(XT, {"u": Unknown(), "v": Unknown(on=half)}, conditions)


def test_rows_are_not_sparse_where_a_point_sees_other_windows():
    problem = posed(lambda u, t: u.t + torch.where(t < 1, 1.0, u.at(t=t - 1)))
    system = system_of(problem, partial(Subdomains, grid=[6], network=partial(MLP, hidden=[4])))
    with pytest.raises(ConfigurationError, match="condition 'ode' looks at other points too"):
        check_sparse("form: sparse", system, system.trial.tensors(), rows_of(problem))


def test_operators_look_at_other_places_of_the_same_function():
    """Rows that are pairs keep no factors, and data at other places are those of each function."""
    domain = XT * FunctionSpace("a", Chebyshev(X, 2))
    problem = Problem(domain, ["u"], {"pde": Residual(domain, lambda u, a: u.t - u.at(x=0.3) * a.at(x=a**2 / 9))})
    system = system_of(problem, partial(DeepONet, branch=[4], trunk=[5], rank=3, modes=2))
    batch = {"pde": FunctionsTimesPlaces(20, 2).sample(domain, 300, seed=3)}
    assert system.products.shaped(batch)["pde"].ndim == 3
    one = torch.ones(1, dtype=torch.float64)
    found = Linearization(LinearizedFunctions(system), system.trial.tensors(), batch, one, 1 << 30)
    assert not isinstance(found._rows, PairBlocks)
    values, rows = (part.detach() for part in jacobian_rows(system, system.trial.tensors(), batch))
    torch.testing.assert_close(found.residual(), values)
    torch.testing.assert_close(found.gram()[0], rows.T @ rows)
