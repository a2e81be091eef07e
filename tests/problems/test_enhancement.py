"""Derivatives of residuals in the loss, against `torch.autograd` through the whole network."""

import functools

import pytest
import torch
from cases import PROBLEMS, built
from compiling import needs_compiler
from linearized import close, inverse_problem, oscillator
from torch.autograd.functional import jacobian
from torch.fx.experimental.proxy_tensor import make_fx
from training import quiet_trainer

from pinnlab.derivatives import Wanted
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.parameter_derivatives import jacobian_rows, loss_gradient
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Burgers, Exact, Poisson1D, Residual
from pinnlab.problems.enhancement import Enhancement
from pinnlab.samplers import Sobol
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase


def order(problem):
    wanted = problem.wanted.get("pde", Wanted())
    return max([len(index) for index in wanted.partials] + [2 * bool(wanted.laplacians)])


def has_one_equation(problem):
    """Not a weak form, nor one that holds in two parts of the domain, nor one with an estimate in it."""
    if any(wanted.samples for wanted in problem.wanted.values()):
        return False
    return 0 < order(problem) <= 2 and len(problem.coordinates) <= 5 and len(problem.differential_equations()) == 1


BUILDERS = {
    **{name: make for name, make in PROBLEMS.items() if has_one_equation(built(name))},
    "inverse": inverse_problem,
    "oscillator": oscillator,
}
EXACT = {
    name: make
    for name, make in BUILDERS.items()
    if isinstance((built(name) if name in PROBLEMS else make()).reference(), Exact)
}


def enhanced(name, engine="taylor", orders=1, weight=0.3, trial=None):
    """A system with all derivatives of its equation, and with one of order two where asked; and the equation's name."""
    problem = BUILDERS[name]()
    torch.manual_seed(0)
    network = MLP(len(problem.coordinates), len(problem.unknowns), hidden=[6, 5]).double()
    names = [*problem.coordinates, *[2 * problem.coordinates[0]] * (orders - 1)]
    (key,) = problem.differential_equations()
    given = {key: Enhancement.of(names, weight, problem.coordinates)}
    return ResidualSystem(problem, trial(problem) if trial else Trial(problem, network), engine, given), key


def draw_rows(system, count=9):
    conditions = system.problem.conditions.items()
    return {
        name: c.rows(Sobol().sample(c.region, count, 1) if c.fixed_points() is None else c.fixed_points())
        for name, c in conditions
    }


EQUATIONS = {"oscillator": 2, "kovasznay": 3, "kovasznay_40": 3, "lorenz": 3, "lorenz_soft": 3}
EQUATIONS |= {
    "cavity": 3,
    "cavity_exact": 3,
    "cavity_uniform": 3,
    "elasticity": 2,
    "elasticity_stiff": 2,
    "interface": 2,
    "interface_without_source": 2,
    "gray_scott": 2,
    "gray_scott_soft": 2,
    "plane_burgers": 2,
    "plane_burgers_soft": 2,
    "schroedinger": 2,
    "schroedinger_soft": 2,
}
"""How many there are in the first condition; one for all others."""


def by_autograd(system, key, points, weight, orders):
    """The residuals and their derivatives, by differentiating all that depends on the points."""
    x = points.clone().requires_grad_()
    residuals = system.residuals({key: x})[key].unbind(-1)
    slopes = [torch.autograd.grad(r.sum(), x, create_graph=True)[0] for r in residuals]
    parts = [slope[:, i] for i in range(x.shape[1]) for slope in slopes]
    parts += [torch.autograd.grad(s[:, 0].sum(), x, retain_graph=True)[0][:, 0] for s in slopes] if orders == 2 else []
    return torch.stack([*residuals, *(weight**0.5 * part for part in parts)], -1).detach()


@pytest.mark.parametrize("name", BUILDERS)
def test_rows_are_the_derivatives_of_the_residual(name):
    system, key = enhanced(name)
    points = draw_rows(system)[key]
    found = system.residuals({key: points}, enhanced=True)[key]
    plain = system.residuals({key: points})[key]
    assert found.shape[1] == (1 + len(system.problem.coordinates)) * plain.shape[1]
    assert plain.shape[1] == EQUATIONS.get(name, 1)
    assert close(found, by_autograd(system, key, points, 0.3, 1))


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", ["burgers", "poisson2d_exact", "inverse", "oscillator"])
def test_second_derivatives_with_either_engine(name, engine):
    system, key = enhanced(name, engine, orders=2)
    points = draw_rows(system)[key]
    assert close(system.residuals({key: points}, enhanced=True)[key], by_autograd(system, key, points, 0.3, 2))


class ExactTrial(torch.nn.Module):
    """The exact solution in place of a network."""

    def __init__(self, problem):
        super().__init__()
        self.problem = problem

    def forward(self, points):
        return self.problem.exact_values(points)


@pytest.mark.parametrize("name", EXACT)
def test_they_vanish_for_the_exact_solution(name):
    system, key = enhanced(name, trial=ExactTrial)
    found = system.residuals({key: draw_rows(system, 50)[key]}, enhanced=True)[key]
    assert found.shape[1] == (1 + len(system.problem.coordinates)) * EQUATIONS.get(name, 1)
    # Terms are of order wave number^3, up to 1e4, with 16 digits each.
    assert found.abs().max() < 1e-9


def test_the_loss_is_the_mean_square_with_a_weighted_sum_of_squares():
    system, key = enhanced("burgers", weight=0.25)
    batch = draw_rows(system)
    x = batch[key].clone().requires_grad_()
    r = system.residuals({key: x})[key][:, 0]
    (slope,) = torch.autograd.grad(r.sum(), x)
    expected = (r.square() + 0.25 * slope.square().sum(-1)).detach()
    assert close(system.squared_sums(system.trial.tensors(), {key: batch[key]}).detach(), expected.sum()[None])
    weights = torch.linspace(0, 2, len(x), dtype=torch.float64)
    weighed = torch.cat([batch[key], weights[:, None]], 1)
    found = system.squared_sums(system.trial.tensors(), {key: weighed}).detach()
    assert close(found, (weights * expected).sum()[None])


def test_plain_residuals_and_scores_are_without():
    system, key = enhanced("burgers")
    plain = ResidualSystem(system.problem, system.trial, "taylor")
    points = draw_rows(system)[key]
    expected = plain.residuals({key: points})[key]
    assert torch.equal(system.residuals({key: points})[key], expected)
    assert torch.equal(system.score(key, points), expected.norm(dim=-1))
    assert plain.equations({key: points}) == {key: 1}
    assert system.equations({key: points}) == {key: 3}
    assert system.floats_per_row()[key] > plain.floats_per_row()[key]


@pytest.mark.parametrize("name", ["burgers_soft", "inverse", "oscillator"])
def test_jacobian_rows_and_products_are_those_of_the_enhanced_loss(name):
    system, _ = enhanced(name)
    batch, tensors = draw_rows(system, 7), system.trial.tensors()
    factors = torch.linspace(0.5, 2, len(batch), dtype=torch.float64)
    point = torch.cat([p.detach().reshape(-1) for p in system.trial.parameters()])
    roots = factors.sqrt()

    def scaled(flat):
        blocks = system.residuals(batch, {**tensors, **system.unflatten(flat)}, enhanced=True).values()
        return torch.cat([root * r.reshape(-1) for root, r in zip(roots, blocks, strict=True)])

    r, rows = scaled(point), jacobian(scaled, point)
    values, found = jacobian_rows(system, tensors, batch, roots)
    assert close(values, r)
    assert close(found, rows)
    assert close(loss_gradient(system, tensors, batch, factors), 2 * rows.T @ r)
    linearized = Linearization(LinearizedFunctions(system), tensors, batch, factors, 1 << 30)
    assert close(linearized.residual(), r)
    assert close(linearized.gram()[1], rows.T @ r)


def test_one_trace_serves_every_number_of_points():
    """What compilation rests on: no number of points becomes a constant of the graph."""
    system, key = enhanced("inverse")
    points, tensors, factor = draw_rows(system, 13)[key], system.trial.tensors(), torch.ones(1, dtype=torch.float64)

    def evaluate(parameters, rows):
        given = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        with torch.enable_grad():
            sums = system.squared_sums(given, {key: rows})
            slopes = torch.autograd.grad(sums.sum(), list(given.values()), allow_unused=True)
        gradient = loss_gradient(system, parameters, {key: rows}, factor).detach()
        return [sums.detach(), gradient, *(s for s in slopes if s is not None)]

    traced = make_fx(evaluate, tracing_mode="symbolic", _allow_non_fake_inputs=True)(tensors, points.new_ones(1009, 1))
    for part in (points, points[:2]):
        for found, expected in zip(traced(tensors, part), evaluate(tensors, part), strict=True):
            assert close(found, expected)


@pytest.mark.slow
@needs_compiler
def test_compiled_equals_eager():
    system, _ = enhanced("burgers_soft")
    batch, tensors = draw_rows(system, 20), system.trial.tensors()
    factors = torch.linspace(0.5, 2, len(batch), dtype=torch.float64)
    results = []
    for evaluate in (CompiledLoss(system.squared_sums), system.weighted_loss):
        loss, sums = evaluate(tensors, batch, factors)
        gradient = torch.autograd.grad(loss, list(system.trial.parameters()), allow_unused=True)
        results.append([loss, sums, *(g for g in gradient if g is not None)])
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_derivatives_are_named_by_coordinates():
    assert Enhancement.of(["x", "tx", "xt", "x"], 1.0, ["x", "t"]).derivatives == ((0,), (0, 1))
    assert Enhancement.of(["theta", "xx"], 1.0, ["x", "theta"]).derivatives == ((1,), (0, 0))
    assert Enhancement.of(["x"], 0, ["x"]) == Enhancement()
    assert Enhancement.of([], 1.0, ["x"]).derivatives == ()


def test_each_derivative_may_have_its_own_weight():
    assert Enhancement.of({"x": 0.5, "tx": 0.25, "t": 0.0}, 7.0, ["x", "t"]).weights == {(0,): 0.5, (0, 1): 0.25}
    problem = BUILDERS["inverse"]()
    points = torch.tensor([[0.2], [0.7]], dtype=torch.float64)
    (key,) = problem.differential_equations()
    torch.manual_seed(0)
    trial = Trial(problem, MLP(1, 1, hidden=[6, 5]).double())
    x = problem.coordinates[0]

    def rows(names):
        given = {key: Enhancement.of(names, 1.0, problem.coordinates)}
        system = ResidualSystem(problem, trial, "taylor", given)
        return system.residuals({key: points}, enhanced=True)[key].detach()

    factors = points.new_tensor([1.0, 0.25, 0.0625]).sqrt()
    assert close(rows({x: 0.25, 2 * x: 0.0625}), factors * rows([x, 2 * x]))


LINE = Interval("x", 0, 1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Residual(LINE, lambda u: u.x, enhance=["y"]), "unknown derivative in enhance 'y'; known: x"),
        (lambda: Residual(LINE, lambda u: u.x, enhance=[""]), "unknown derivative in enhance ''"),
        (lambda: Residual(LINE, lambda u: u.x, enhance="x"), r"^enhance: must be a list of names; write \['x'\]$"),
        (lambda: Residual(LINE, lambda u: u.x, enhance=["x"], enhance_weight=-1), "enhance_weight: must be a number"),
        (lambda: Residual(LINE, lambda u: u.x, enhance=["x"], enhance_weight=float("nan")), "enhance_weight"),
        (lambda: Residual(LINE, lambda u: u.x, enhance={"x": -1.0}), "enhance_weight: must be a number"),
        (lambda: Residual(LINE, lambda u: u.x, enhance={"y": 1.0}), "unknown derivative in enhance 'y'"),
        (lambda: PINN(Burgers(), enhance={"pde": {"xt": 1.0, "tx": 2.0}}), "model.enhance.pde: a derivative has two"),
        (lambda: Residual(LINE.boundary(), lambda u: u.x, enhance=["x"]), "enhance: only .* inside a domain"),
        (lambda: PINN(Burgers(), enhance={"pde": ["x", "y"]}), "unknown derivative in model.enhance.pde 'y'"),
        (lambda: PINN(Burgers(), enhance={"pda": ["x"]}), "model.enhance 'pda'.*did you mean 'pde'"),
        (lambda: PINN(Poisson1D(), enhance={"boundary": ["x"]}), "model.enhance 'boundary'; known: pde"),
    ],
)
def test_bad_input_is_refused_in_one_line(build, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_the_models_choice_replaces_the_problems():
    problem = Poisson1D()
    own = Residual(problem.domain, problem.balance, enhance=["x"], enhance_weight=0.5)
    problem.conditions["pde"] = own
    own.name = "pde"
    points = problem.evaluation_points(10_000)[:5]
    for enhance, equations in ((None, 2), ({"pde": ["x", "xx"]}, 3), ({"pde": []}, 1)):
        assert PINN(problem, enhance=enhance).system.equations({"pde": points}) == {"pde": equations}


@pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other
def test_a_run_lowers_both_residual_and_derivatives():
    problem = Poisson1D(frequency=1)
    network = functools.partial(MLP, hidden=[10])
    model = PINN(problem, network, [Phase(LevenbergMarquardt, steps=30)], enhance={"pde": ["x"]}, compile=False)
    data = CollocationDataModule(problem, points=30)
    points = problem.evaluation_points(10_000)[::500]
    before = model.system.residuals({"pde": points}, enhanced=True)["pde"].square().mean(0)
    quiet_trainer().fit(model, data)
    after = model.system.residuals({"pde": points}, enhanced=True)["pde"].square().mean(0)
    assert (after < 1e-2 * before).all()
    batch = next(iter(data.train_dataloader()))
    system = ResidualSystem(problem, model.trial, "taylor")
    model.training_step(batch, 0)
    plain = float(system.residuals(batch)["pde"].square().mean())
    assert model.loss_terms()["pde"] > plain
    held_out = {"pde": points}
    assert torch.equal(model.mean_squares(held_out)["pde"], system.residuals(held_out)["pde"].square().mean())
