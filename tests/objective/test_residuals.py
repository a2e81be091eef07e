"""Residuals as pure functions, in blocks and in pieces."""

import pytest
import torch
from cases import PROBLEMS
from linearized import CASES, Case, close, draw
from torch.fx.experimental.proxy_tensor import make_fx

from pinnlab.domains import Box
from pinnlab.networks import MLP
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.blocked_loss import BlockedLoss
from pinnlab.objective.parameter_derivatives import (
    hessian_product,
    jacobian_product,
    jacobian_rows,
    loss_gradient,
    transposed_product,
)
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Dirichlet, Exact, Given, Problem, Regression1D, Residual
from pinnlab.problems.enhancement import Enhancement
from pinnlab.samplers import Sobol


def system(name):
    problem = PROBLEMS[name]()
    torch.manual_seed(0)
    return ResidualSystem(problem, Trial(problem, MLP(len(problem.coordinates), 1, hidden=[8]).double()))


def rows(s, count):
    return {n: c.rows(Sobol().sample(c.region, count, 1)) for n, c in s.problem.conditions.items()}


def gradient(loss, s):
    grads = torch.autograd.grad(loss, list(s.trial.parameters()), allow_unused=True)
    return torch.cat([g.reshape(-1) for g in grads if g is not None])


@pytest.mark.parametrize("budget", [100, 2_000, 10**9])
@pytest.mark.parametrize("name", ["burgers_soft", "wave", "poisson5d"])
def test_blocks_give_the_same_loss_and_gradient(name, budget):
    s = system(name)
    batch, tensors = rows(s, 97), s.trial.tensors()
    factors = torch.linspace(0.5, 2, len(batch), dtype=torch.float64)
    sums = s.squared_sums(tensors, batch)
    calls = []

    def evaluate(*arguments):
        calls.append(arguments)
        return s.weighted_loss(*arguments)

    loss, blocked = BlockedLoss(evaluate, s.floats_per_row(), budget)(tensors, batch, factors)
    assert (len(calls) > 1) == (budget < 10**6)
    assert torch.allclose(blocked, sums, rtol=1e-13)
    assert not blocked.requires_grad
    assert torch.allclose(loss, factors @ sums, rtol=1e-13)
    assert torch.allclose(gradient(loss, s), gradient(factors @ sums, s), rtol=1e-10)


def test_floats_per_row_count_channels_times_width():
    assert system("burgers_soft").floats_per_row() == {"pde": 8 * 4, "wall": 8, "start": 8}
    assert system("poisson5d").floats_per_row() == {"pde": 8 * 6, "boundary": 8}


@pytest.mark.parametrize("name", ["burgers", "wave", "convection_soft"])
def test_given_parameters_replace_the_own_ones(name):
    s = system(name)
    batch = rows(s, 20)
    doubled = {k: 2 * v for k, v in s.trial.tensors().items()}
    given = s.residuals(batch, doubled)
    with torch.no_grad():
        for parameter in s.trial.parameters():
            parameter.mul_(2)
    for condition, expected in s.residuals(batch).items():
        assert torch.allclose(given[condition], expected)


IN_PIECES = {
    "rows": lambda s, batch, point: jacobian_rows(s, s.trial.tensors(), batch)[1],
    "product": lambda s, batch, point: jacobian_product(s, s.trial.tensors(), batch, point),
    "transposed": lambda s, batch, point: transposed_product(s, s.trial.tensors(), batch, point.new_ones(60)),
    "gradient": lambda s, batch, point: loss_gradient(s, s.trial.tensors(), batch, point.new_ones(3)),
    "hessian": lambda s, batch, point: hessian_product(s, s.trial.tensors(), batch, point.new_ones(3), point),
}


@pytest.mark.parametrize("name", IN_PIECES)
def test_derivatives_are_the_same_in_inference_mode(name):
    s = system("burgers_soft")
    batch = rows(s, 20)
    point = torch.cat([p.detach().flatten() for p in s.trial.parameters()])
    expected = IN_PIECES[name](s, batch, point).detach()
    assert expected.abs().max() > 1e-3
    with torch.inference_mode():
        found = IN_PIECES[name](s, {condition: points.clone() for condition, points in batch.items()}, point.clone())
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_enhanced_residuals_are_the_same_in_inference_mode():
    s = system("burgers_soft")
    own = ResidualSystem(s.problem, s.trial, enhancements={"pde": Enhancement({(0,): 1.0, (1,): 1.0})})
    batch = rows(s, 20)
    expected = own.residuals(batch, enhanced=True)["pde"].detach()
    assert expected.shape == (20, 3)
    with torch.inference_mode():
        found = own.residuals({condition: points.clone() for condition, points in batch.items()}, enhanced=True)["pde"]
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.usefixtures("traced")
def test_score_is_the_size_of_the_residual_in_any_blocks(compiled):
    s = system("convection_soft")
    for width in (None, 4):
        s.set_width(width)
        s.compile_scores(Compiler() if compiled else None)
        whole = rows(s, 40_000)["periodic"]
        expected = s.residuals({"periodic": whole})["periodic"].norm(dim=-1)
        for count in (0, 1, 50, len(whole)):  # the last in several blocks
            found = s.score("periodic", whole[:count])
            assert found.shape == (count,)
            assert torch.allclose(found, expected[:count], rtol=1e-10, atol=1e-13)


def test_engines_agree():
    for name in ("wave", "biharmonic1d"):
        s = system(name)
        batch = rows(s, 20)
        other = ResidualSystem(s.problem, s.trial, "reverse")
        for condition, r in s.residuals(batch).items():
            assert torch.allclose(r, other.residuals(batch)[condition], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_products_with_jacobian_and_hessian_against_dense_ones(name, engine):
    case = Case(name, engine)
    system, tensors, point = case.system, case.system.trial.tensors(), case.flat()
    expected = case.jacobian(unscaled=True)
    values, rows = jacobian_rows(system, tensors, case.batch)
    assert close(values, case.residual(point, unscaled=True))
    assert close(rows, expected)
    v, u = draw(len(point)), draw(len(values))
    assert close(jacobian_product(system, tensors, case.batch, v), expected @ v)
    assert close(transposed_product(system, tensors, case.batch, u), expected.T @ u)
    full = case.hessian()
    assert close(loss_gradient(system, tensors, case.batch, case.factors), 2 * case.jacobian().T @ case.residual(point))
    assert close(hessian_product(system, tensors, case.batch, case.factors, v), full @ v)
    block = draw(len(point), 19)  # more columns than are taken at a time
    assert close(hessian_product(system, tensors, case.batch, case.factors, block), full @ block)


@pytest.mark.parametrize("name", ["burgers", pytest.param("oscillator", marks=pytest.mark.slow)])
def test_one_trace_of_the_products_serves_every_number_of_points(name):
    """What compilation rests on: no number of points becomes a constant of the graph."""
    case = Case(name)
    system, (key, points), v = case.system, next(iter(case.batch.items())), draw(len(case.flat()))
    width, factors = points.shape[1], case.factors[:1]
    others = case.functions.tensors(case.flat(), system.trial.tensors())
    duals = draw(len(points), case.functions.equations(case.batch)[key])

    def products(tensors, both):
        parameters, batch = {**tensors, **system.unflatten(tensors["point"])}, {key: both[:, :width]}
        return (
            system.squared_sums(parameters, batch),
            loss_gradient(system, parameters, batch, factors),
            jacobian_product(system, parameters, batch, v),
            transposed_product(system, parameters, batch, both[:, width:].reshape(-1)),
            hessian_product(system, parameters, batch, factors, v),
        )

    both = torch.cat([points, duals], 1)
    example = both.new_ones(1009, both.shape[1])
    traced = make_fx(products, tracing_mode="symbolic", _allow_non_fake_inputs=True)(others, example)
    for part in (both, both[:2]):
        for found, expected in zip(traced(others, part), products(others, part), strict=True):
            assert close(found, expected)


def test_an_engine_that_was_asked_for_stays_also_where_no_derivative_is_wanted():
    system = ResidualSystem(Regression1D(), Trial(Regression1D(), MLP(1, 1, hidden=[3]).double()), "reverse")
    system.resolve_engine()
    assert system.engine == "reverse"


class Plain(Problem):
    """Functions of every kind, none of which writes into what it is given."""

    def __init__(self):
        square = Box(["x", "y"], 0, 1)
        conditions = {
            "pde": Residual(square, self.balance),
            "flux": Residual(square.face(x=0.0), self.flux),
            "edge": Dirichlet(square.face(y=0.0), u=self.edge),
        }
        super().__init__(square, ["u"], conditions, given=[Given("k", lambda x, y: x + y)])

    def balance(self, u, k, x, y, points):
        return u.xx - 2 * u * u.xx + u.laplacian() + (k - 1) * k * k.x + 3 * x * points[:, 1]

    def flux(self, u, y, normal):
        return (-2 * normal * u.gradient()).sum(-1) + u - y

    def edge(self, x):
        return torch.sin(2 * x)

    def ansatz(self, u, x, y):
        return 2 * x * u + y

    def reference(self):
        return Exact(self.edge)


class Writing(Plain):
    """The same functions, by operations in place."""

    def balance(self, u, k, x, y, points):
        first, second, factor, sum_of_both = u.xx, +u, +k, u.laplacian()
        second *= -2
        second *= u.xx
        first += second
        sum_of_both += first
        factor -= 1
        factor *= k.value
        factor *= k.x
        x *= 3
        points[:, 0] = 0.0
        return sum_of_both + factor + x.mul_(points[:, 1])

    def flux(self, u, y, normal):
        normal *= -2
        y.neg_()
        slope = u.gradient()
        slope *= normal
        return y.add_(u.value).add_(slope.sum(-1))

    def edge(self, x):
        return x.mul_(2).sin_()


class AllWriting(Writing):
    """The ansatz, too; the Taylor engine refuses that."""

    def ansatz(self, u, x, y):
        x *= 2
        u *= x
        return u + y


@pytest.mark.parametrize(("engine", "kind"), [("taylor", Writing), ("reverse", AllWriting)])
def test_functions_may_write_into_what_they_are_given(engine, kind):
    network = MLP(2, 1, hidden=[6]).double()
    plain, writing = (ResidualSystem(p, Trial(p, network), engine) for p in (Plain(), kind()))
    batch = rows(plain, 31)
    expected, kept = plain.squared_sums(plain.trial.tensors(), batch), {n: own.clone() for n, own in batch.items()}
    found = [writing.squared_sums(writing.trial.tensors(), batch) for _ in range(2)]
    traced = make_fx(lambda *given: writing.squared_sums(writing.trial.tensors(), dict(zip(batch, given, strict=True))))
    for sums in [*found, traced(*batch.values())(*batch.values())]:
        torch.testing.assert_close(sums, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(
        gradient(found[0].sum(), writing), gradient(expected.sum(), plain), rtol=1e-11, atol=1e-13
    )
    points = batch["pde"].clone()
    assert torch.equal(writing.problem.exact_values(points), plain.problem.exact_values(points))
    assert torch.equal(points, kept["pde"])
    assert all(torch.equal(batch[name], own) for name, own in kept.items())
