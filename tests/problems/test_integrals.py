"""Conditions that couple all points: against integrals by hand, finite differences, and runs that need them."""

import math

import pytest
import torch
from compiling import needs_compiler
from training import ADAM, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import FreshPoints, NTKSpectrum
from pinnlab.domains import Box, Disk, Interval, Union
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.objective.parameter_derivatives import jacobian_product, jacobian_rows, stacked, transposed_product
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import (
    Coefficient,
    Given,
    Integral,
    Mean,
    Neumann,
    NeumannPoisson2D,
    Problem,
    Residual,
)
from pinnlab.reporting.cards import problem_card
from pinnlab.samplers import Sobol
from pinnlab.training.phases import Phase

CORNER = Union([Box(["x", "y"], [0, 0], [2, 1]), Box(["x", "y"], [0, 1], [1, 2])])
SQUARE = Box(["x", "y"], 0, 1)


def system_of(domain, condition, unknowns=("u",), engine="taylor", **coefficients):
    problem = Problem(domain, unknowns, {"c": condition}, coefficients)
    torch.manual_seed(0)
    trial = Trial(problem, MLP(len(problem.coordinates), len(unknowns), hidden=[6, 5]).double())
    return ResidualSystem(problem, trial, engine), {"c": condition.rows(condition.fixed_points())}


class Formula(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, points):
        return self.function(points[..., 0], points[..., 1])[..., None]


def of_formula(domain, condition, function):
    problem = Problem(domain, ("u",), {"c": condition})
    rows = condition.rows(condition.fixed_points())
    found = ResidualSystem(problem, Trial(problem, Formula(function)), "taylor").residuals({"c": rows})["c"]
    assert found.shape == (1, 1)
    return found.item()


BY_HAND = [
    (SQUARE, Integral(SQUARE, lambda u: u), lambda x, y: x * y, 0.25),
    (SQUARE, Integral(SQUARE, lambda u, x: u * u + x, value=1.0), lambda x, y: x + 0 * y, 1 / 3 + 1 / 2 - 1.0),
    (SQUARE, Integral(SQUARE, lambda u: u.x * u.y), lambda x, y: x * y, 0.25),
    (SQUARE, Integral(SQUARE.face(x=1.0), lambda u: u), lambda x, y: x * y, 0.5),
    (SQUARE, Integral(SQUARE.boundary(), lambda u, normal: (u.gradient() * normal).sum(-1)), lambda x, y: x * x, 2.0),
    (CORNER, Integral(CORNER, lambda u: u), lambda x, y: x * y, 2 * 0.5 + 0.5 * 1.5),
    (CORNER, Mean(CORNER, lambda u: u, value=2.0), lambda x, y: x * y, (2 * 0.5 + 0.5 * 1.5) / 3 - 2),
    (Disk(), Mean(Disk(), lambda u: u), lambda x, y: x * x, 0.25),
    (SQUARE, Integral(SQUARE, lambda u: u, points=4), lambda x, y: x**3 * y**3, 1 / 16),
]


@pytest.mark.parametrize("case", range(len(BY_HAND)))
def test_residual_is_the_integral_minus_its_value(case):
    domain, condition, function, expected = BY_HAND[case]
    assert of_formula(domain, condition, function) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "domain", [Disk(center=(1.0, -2.0)), CORNER, SQUARE, Interval("x", 0, 2) * Interval("y", -1, 1)], ids=repr
)
def test_the_flux_out_of_a_domain_is_the_integral_of_the_laplacian(domain):
    flux = Integral(domain.boundary(), lambda u, normal: (u.gradient() * normal).sum(-1))
    inside = Integral(domain, lambda u: u.laplacian())
    residuals = [system.residuals(rows)["c"].item() for system, rows in (system_of(domain, c) for c in (flux, inside))]
    assert residuals[0] == pytest.approx(residuals[1], rel=1e-9)
    assert abs(residuals[0]) > 1e-3


def by_hand(system, rows, parameters):
    """The integral of u^2 + u_x over the square, minus 0.3, by Simpson's rule and plain autograd."""
    count = 201
    weights = torch.ones(count, dtype=torch.float64)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    weights = weights / 3 / (count - 1)
    x = torch.linspace(0, 1, count, dtype=torch.float64)
    points = torch.cartesian_prod(x, x).requires_grad_()
    u = torch.func.functional_call(system.trial, parameters, (points,))[:, 0]
    (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
    return (weights[:, None] * weights).reshape(-1) @ (u**2 + slope[:, 0]) - 0.3


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_loss_gradient_and_jacobian_are_those_of_one_residual(engine):
    system, rows = system_of(SQUARE, Integral(SQUARE, lambda u: u * u + u.x, value=0.3), engine=engine)
    parameters = {name: p.detach().clone().requires_grad_() for name, p in system.trial.tensors().items()}
    expected = by_hand(system, rows, parameters)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(expected, list(parameters.values()))])

    tensors = system.trial.tensors()
    loss, sums = system.weighted_loss(tensors, rows, torch.tensor([2.0], dtype=torch.float64))
    assert sums.item() == pytest.approx(expected.item() ** 2, rel=1e-7)
    found = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(system.trial.parameters()))])
    assert torch.allclose(found, 4 * expected.item() * gradient, rtol=1e-6, atol=1e-9)

    values, jacobian = jacobian_rows(system, tensors, rows)
    assert (values.shape, jacobian.shape) == ((1,), (1, len(gradient)))
    assert torch.allclose(jacobian[0], gradient, rtol=1e-6, atol=1e-9)
    vector = torch.randn(len(gradient), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.allclose(jacobian_product(system, tensors, rows, vector), jacobian @ vector)
    assert torch.allclose(transposed_product(system, tensors, rows, values), jacobian.T @ values)


def test_gradient_against_finite_differences():
    system, rows = system_of(CORNER, Integral(CORNER, lambda u, k: u * u * k), k=Coefficient(0.5, bounds=(0.0, 2.0)))
    tensors = {name: p.detach() for name, p in system.trial.tensors().items()}
    jacobian = jacobian_rows(system, tensors, rows)[1][0]
    flat, step = torch.cat([tensors[name].reshape(-1) for name in system.trained()]), 1e-6
    assert "coefficients.k" in system.trained()
    for k in range(0, len(flat), 7):
        ends = [system.unflatten(flat + sign * step * torch.eye(len(flat), dtype=flat.dtype)[k]) for sign in (1, -1)]
        values = [stacked(system, {**tensors, **end}, rows).item() for end in ends]
        assert jacobian[k].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_a_process_without_the_row_has_no_residual_and_evaluates_nothing():
    system, rows = system_of(SQUARE, Mean(SQUARE, lambda u: u.x))
    empty = {"c": rows["c"][1:]}
    assert system.residuals(empty)["c"].shape == (0, 1)
    loss, _ = system.weighted_loss(system.trial.tensors(), empty, torch.ones(1, dtype=torch.float64))
    gradients = torch.autograd.grad(loss, list(system.trial.parameters()), allow_unused=True)
    assert loss == 0
    assert all(g is None or not g.any() for g in gradients)


def test_a_row_counts_as_itself_whatever_stands_beside_it():
    system, rows = system_of(SQUARE, Mean(SQUARE, lambda u: u * u))
    one = system.residuals(rows)["c"]
    assert torch.allclose(system.residuals({"c": rows["c"].expand(3, -1)})["c"], one.expand(3, 1), rtol=1e-13)


def test_several_unknowns():
    system, rows = system_of(SQUARE, Integral(SQUARE, lambda u, p: u.x + p.y), unknowns=("u", "p"))
    assert system.problem.wanted["c"].partials == {(0,), (1,)}
    assert system.residuals(rows)["c"].shape == (1, 1)


@pytest.mark.filterwarnings("ignore")
def test_single_precision():
    module = small_module(NeumannPoisson2D(mean=0.5), dtype="float32")
    data = small_data(module.problem)
    quiet_trainer(max_steps=2).fit(module, data)
    rows = data.store.rows["mean"]
    assert rows.dtype == torch.float32
    coarse = module.system.residuals({"mean": rows})["mean"].item()
    module.double()
    data.store.to(torch.float64)
    fine = module.system.residuals({"mean": data.store.rows["mean"]})["mean"].item()
    assert coarse == pytest.approx(fine, rel=1e-5, abs=1e-6)


@pytest.mark.slow
@needs_compiler
def test_compiled_equals_eager():
    problem = NeumannPoisson2D(mean=0.5)
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[6]).double()), "taylor")
    mean = problem.conditions["mean"]
    compiled, factors = CompiledLoss(system.squared_sums), torch.ones(2, dtype=torch.float64)
    trained = list(system.trial.parameters())
    for count, shown in ((40, 1), (50, 1), (50, 0)):
        rows = {"pde": torch.rand(count, 2, dtype=torch.float64), "mean": mean.rows(mean.fixed_points())[:shown]}
        found, expected = (f(system.trial.tensors(), rows, factors) for f in (compiled, system.weighted_loss))
        assert torch.allclose(found[1], expected[1], rtol=1e-12)
        for a, b in zip(*(torch.autograd.grad(loss, trained) for loss, _ in (found, expected)), strict=True):
            assert torch.allclose(a, b, rtol=1e-10, atol=1e-13)


def solved(problem):
    module = small_module(problem, [Phase(ADAM, steps=50), Phase(LevenbergMarquardt, steps=25)])
    data = small_data(problem, points={"pde": 150, "boundary": 60})
    quiet_trainer(val_check_interval=1000).fit(module, data)
    return module.measure_errors(data)["u"]


@pytest.mark.filterwarnings("ignore")
def test_a_mean_fixes_what_the_fluxes_leave_open():
    problem = NeumannPoisson2D(mean=0.5)
    assert solved(problem) < 1e-2
    open_ended = NeumannPoisson2D(mean=0.5, mean_weight=0.0)
    assert solved(open_ended) > 0.1


@pytest.mark.filterwarnings("ignore")
def test_a_flux_that_is_prescribed_in_one_number():
    """-u'' = 1 with a mean of zero, and with all flux out of the right end."""
    x = Interval("x", 0, 1)
    conditions = {
        "pde": Residual(x, lambda u: u.xx + 1),
        "left": Neumann(x.face(x=0.0), u=0.0),
        "flux": Integral(x.boundary(), lambda u, normal: u.x * normal[:, 0], value=-1.0),
        "mean": Mean(x, lambda u: u, value=1 / 3),
    }
    module = small_module(Problem(x, ("u",), conditions), [Phase(ADAM, steps=20), Phase(LevenbergMarquardt, steps=20)])
    data = small_data(module.problem)
    quiet_trainer(val_check_interval=1000).fit(module, data)
    points = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    assert torch.allclose(module(points).detach(), 0.5 - points**2 / 2, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_size", [None, 8])
def test_resume_is_bitwise(tmp_path, batch_size):
    def run(folder, **options):
        phases = [Phase(ADAM, steps=4), Phase(QUASI_NEWTON, steps=3)]
        return full_run(folder, problem=NeumannPoisson2D(), phases=phases, batch_size=batch_size, **options)

    whole, *_ = run(tmp_path / "whole", every=3)
    for path in sorted((tmp_path / "whole").glob("*.ckpt")):
        again, *_ = run(tmp_path / "again", ckpt_path=path, every=100)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


@pytest.mark.filterwarnings("ignore")
def test_it_stands_beside_points_that_change_and_has_a_kernel():
    module = small_module(NeumannPoisson2D(), [Phase(ADAM, steps=4)])
    data, spectrum = small_data(module.problem), NTKSpectrum(every=2, max_points=10)
    quiet_trainer(callbacks=[FreshPoints(), spectrum]).fit(module, data)
    assert data.store.rows["mean"].shape == (1, 2 + 1024 * 3)
    rows = data.store.rows["mean"]
    own = module.mean_squares({"mean": rows})["mean"].item()
    assert own == pytest.approx(module.system.residuals({"mean": rows})["mean"].item() ** 2, rel=1e-12)
    card = problem_card(module.problem, {"mean": 1}, {})
    assert f"| mean | Mean |  | `{module.problem.domain!r}` | 1 |" in card
    with pytest.raises(ConfigurationError, match="'mean'"):
        quiet_trainer(callbacks=[FreshPoints(conditions=["mean"])]).fit(small_module(NeumannPoisson2D()), data)


LINE, TIME = Interval("x", 0, 2), Interval("t", 0, 1)
ROD, PLATE = LINE * TIME, Interval("x", 0, 1) * Interval("y", 0, 1) * TIME


def outflow(u, normal):
    return (u.gradient() * normal).sum(-1)


AT_EACH_TIME = [  # of u = x^2 t (+ y), on the left what it is at time t
    (ROD, Integral(ROD, lambda u, t: u + t, each="t"), lambda t: 8 / 3 * t + 2 * t),
    (ROD, Mean(ROD, lambda u: u.xt, each=["t"]), lambda t: 2 + 0 * t),
    (ROD, Mean(ROD, lambda u: u, lambda t: 4 / 3 * t - 1, each="t"), lambda t: 1 + 0 * t),
    (ROD, Integral(ROD.boundary("x"), outflow, each="t"), lambda t: 4 * t),
    (TIME * LINE, Integral(TIME * LINE, lambda u, x: u * x, each="t"), lambda t: 4 * t),
    (PLATE, Integral(PLATE.boundary("x", "y"), outflow, each="t"), lambda t: 2 * t + 1 - 1),
    (PLATE, Mean(PLATE, lambda u: u, each="t"), lambda t: t / 3 + 0.5),
    (PLATE, Integral(PLATE, lambda u, x: u - x**2, each=("x", "t")), lambda t: 0.5 + 0 * t),
]


@pytest.mark.parametrize("case", range(len(AT_EACH_TIME)))
def test_an_integral_at_each_time(case):
    domain, condition, expected = AT_EACH_TIME[case]
    names = domain.coordinates

    class Known(torch.nn.Module):
        def forward(self, points):
            x, t = (points[..., names.index(name)] for name in ("x", "t"))
            return (x**2 * t + (points[..., 1] if "y" in names else 0.0))[..., None]

    function = condition.function
    if "x" in condition.each:  # of x^2 t at t = 1 and of y
        condition.function = lambda u, x, t: function(u, x) + x**2 * (1 - t)
    problem = Problem(domain, ("u",), {"c": condition})
    points = Sobol().sample(domain, 5, seed=0)
    found = ResidualSystem(problem, Trial(problem, Known())).residuals({"c": condition.rows(points)})["c"]
    condition.function = function
    assert torch.allclose(found[:, 0], expected(points[:, names.index("t")]), rtol=1e-12, atol=1e-13)


def test_an_integral_at_each_time_may_be_a_table():
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    condition = Integral(ROD, lambda u: u, value=lambda m, k: k * m, points=8, each="t")
    problem = Problem(ROD, ("u",), {"c": condition}, {"k": Coefficient(2.0)}, [Given("m", {"t": times, "m": times})])
    system = ResidualSystem(problem, Trial(problem, Formula(lambda x, t: x * t)))
    points = Sobol().sample(ROD, 4, seed=1)
    assert torch.allclose(system.residuals({"c": condition.rows(points)})["c"], torch.zeros(4, 1).double(), atol=1e-14)


BAD = {
    "write each='t'": lambda: Integral(ROD, lambda u: u, value=lambda t: t),
    "coordinate of each: 'T'; known: t, x": lambda: Integral(ROD, lambda u: u, each="T"),
    "as a product, such as": lambda: Integral(Box(["x", "t"], 0, 1), lambda u: u, each="t"),
    "is not made of a part at each t": lambda: Integral(ROD.face(t=0.0), lambda u: u, each="t"),
    "is not made of a part at each x, t": lambda: Integral(ROD, lambda u: u, each=("x", "t")),
    "the value of integral 'c' 'x'": lambda: system_of(ROD, Mean(ROD, lambda u: u, value=lambda x: x, each="t")),
    "the value of integral 'c' 'u'": lambda: system_of(ROD, Mean(ROD, lambda u: u, value=lambda u: u, each="t")),
    "depends on more than t": lambda: Problem(
        ROD,
        ("u",),
        {"c": Mean(ROD, lambda u: u, value=lambda m: m, each="t")},
        given=[Given("m", lambda x, t: x * t)],
    ),
    "value": lambda: Integral(SQUARE, lambda u: u, value=math.inf),
    "weight": lambda: Mean(SQUARE, lambda u: u, weight=-1.0),
    "points": lambda: Mean(SQUARE, lambda u: u, points=0),
    "coordinates x, y": lambda: system_of(SQUARE, Mean(Box(["y", "x"], 0, 1), lambda u: u)),
    "coordinates": lambda: system_of(SQUARE, Mean(Interval("x", 0, 1), lambda u: u)),
    "'v'": lambda: system_of(SQUARE, Mean(SQUARE, lambda v: v)),
    "'normal'": lambda: system_of(SQUARE, Mean(SQUARE, lambda u, normal: u)),
    "'c' must return one": lambda: system_of(SQUARE, Mean(SQUARE, lambda u: u.gradient())),
    "must return one tensor": lambda: system_of(SQUARE, Mean(SQUARE, lambda u: (u.x, u.y))),
    "one tensor of shape": lambda: system_of(SQUARE, Mean(SQUARE, lambda u: 1.0)),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_input_is_one_line_that_names_the_key(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert key.removeprefix("'c' ") in str(caught.value)
    assert "\n" not in str(caught.value)
