"""Functions times places: each function and each place once, and the same answers as point by point."""

import math
from functools import partial

import pytest
import torch
from compiling import needs_compiler

from pinnlab import problems
from pinnlab.domains import Chebyshev, FunctionSpace, Interval
from pinnlab.networks import FNO, MLP, DeepONet, PeriodicEmbedding, ProductSeries, on_products
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.blocked_loss import BlockedLoss
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.linearization import Linearization
from pinnlab.objective.linearized_functions import LinearizedFunctions
from pinnlab.objective.products import Products, floats_of
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Dirichlet, Problem, Residual
from pinnlab.samplers import FunctionsTimesPlaces, SpaceTimeGrid
from pinnlab.training.network import build_network

FUNCTIONS, PLACES = 40, 6
PERIODIC = partial(PeriodicEmbedding, columns=[0])


class Pair(Problem):
    """Two unknowns, derivatives by a coefficient of the function, and Laplacians."""

    def __init__(self, enhance=()):
        x, y = Interval("x", 0, 1), Interval("y", 0, 2)
        domain = x * y * FunctionSpace("a", Chebyshev(x, 2))
        super().__init__(domain, ["u", "v"], {"pde": Residual(domain, self.balance, enhance=enhance)})

    def balance(self, u, v, a):
        return u.laplacian() - a * v.x + v.d("a1"), v.xy + u * a.x


CASES = {
    "data": (lambda: problems.BurgersOperator(modes=3, data=FUNCTIONS, places=PLACES), {"modes": 3}),
    "equation": (lambda: problems.BurgersOperator(modes=3, exact_conditions=False), {"modes": 3}),
    "linear": (lambda: problems.DiffusionReactionOperator(modes=3), {"modes": 3, "branch": []}),
    "two unknowns": (Pair, {"modes": 2}),
    "enhanced": (partial(Pair, enhance=("x", "a1")), {"modes": 2}),
}


class Case:
    """A system, and a batch of which every condition is a product."""

    def __init__(self, name, engine="taylor", compiler=None, own=None):
        build, options = CASES[name]
        problem = build()
        embedding = {"embedding": PERIODIC} if "Burgers" in type(problem).__name__ else {}
        network = partial(DeepONet, **{"branch": [5], "trunk": [6], "rank": 4, **embedding, **options})
        if own is not None:
            network = partial(own, modes=options["modes"])
        self.trial = Trial(problem, build_network(problem, network, True, 0).double())
        self.system = ResidualSystem(problem, self.trial, engine)
        self.loss = GlobalLoss(self.system)
        self.loss.compiler = compiler
        self.loss.build(torch.device("cpu"))
        self.batch = {key: self.rows(condition, options["modes"]) for key, condition in problem.conditions.items()}
        self.weights = torch.linspace(0.5, 2, len(self.batch), dtype=torch.float64)
        self.options = options

    def rows(self, condition, modes):
        points = condition.fixed_points()
        if points is None:
            design = FunctionsTimesPlaces(FUNCTIONS, modes)
            points = design.sample(condition.region, FUNCTIONS * PLACES, seed=3)
        return condition.rows(points)

    def gradient(self, loss):
        found = torch.autograd.grad(loss, list(self.trial.parameters()), allow_unused=True, materialize_grads=True)
        return torch.cat([part.reshape(-1) for part in found])

    def shuffled(self):
        """The same rows in an order in which nothing is a product, and where each of them went."""
        order = torch.randperm(FUNCTIONS * PLACES, generator=torch.Generator().manual_seed(0))
        return {name: rows[order] for name, rows in self.batch.items()}, order


def counted(trial):
    """How many rows branch and trunk were given, in a list each."""
    seen = {"branch": [], "trunk": []}
    network = trial.network.network
    network.last.register_forward_hook(lambda module, inputs, output: seen["branch"].append(len(inputs[0])))
    network.trunk.register_forward_hook(lambda module, inputs, output: seen["trunk"].append(len(inputs[0])))
    return seen


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_residuals_are_those_of_the_rows_in_any_order(name, engine):
    case = Case(name, engine)
    shuffled, order = case.shuffled()
    shaped = case.system.products.shaped(case.batch)
    assert {rows.shape[:2] for rows in shaped.values()} == {(FUNCTIONS, PLACES)}
    assert all(rows is shuffled[key] for key, rows in case.system.products.shaped(shuffled).items())
    found, expected = case.system.residuals(shaped), case.system.residuals(shuffled)
    for key in found:
        torch.testing.assert_close(found[key][order], expected[key], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_and_its_gradient_are_the_same(name):
    case = Case(name)
    shuffled, _ = case.shuffled()
    seen = counted(case.trial)
    found = case.loss(case.batch, case.weights)
    assert set(seen["branch"]) == {FUNCTIONS}
    assert set(seen["trunk"]) == {PLACES}
    expected = case.loss(shuffled, case.weights)
    assert set(seen["trunk"]) == {PLACES, FUNCTIONS * PLACES}
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(case.gradient(found), case.gradient(expected), rtol=1e-9, atol=1e-12)


FOURIER = partial(FNO, channels=4, layers=2, waves=2, decoder=[5], activation="tanh")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_fourier_layers_see_each_function_once(name, engine):
    case = Case(name, engine, own=FOURIER)
    shuffled, _ = case.shuffled()
    seen, layer = [], case.trial.network.network.mixing[0]
    layer.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    found = case.loss(case.batch, case.weights)
    if engine == "taylor":
        assert set(seen) == {FUNCTIONS}
    expected = case.loss(shuffled, case.weights)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(case.gradient(found), case.gradient(expected), rtol=1e-9, atol=1e-12)


@needs_compiler
@pytest.mark.parametrize("code", ["traced", pytest.param("of the machine", marks=pytest.mark.slow)])
def test_compiled_fourier_layers_are_the_same(code, request):
    if code == "traced":
        request.getfixturevalue("traced")
    case, compiled = Case("equation", own=FOURIER), Case("equation", compiler=Compiler(), own=FOURIER)
    found, expected = (one.loss(one.batch, case.weights) for one in (compiled, case))
    assert compiled.loss.compiler.used
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(compiled.gradient(found), case.gradient(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", ["data", pytest.param("two unknowns", marks=pytest.mark.slow)])
def test_compiled_they_are_the_same_too(name):
    case = Case(name)
    compiled = Case(name, compiler=Compiler())
    found, expected = compiled.loss(compiled.batch, case.weights), case.loss(case.batch, case.weights)
    assert compiled.loss.compiler.used
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(compiled.gradient(found), case.gradient(expected), rtol=1e-9, atol=1e-12)
    other = {key: rows[PLACES:] for key, rows in case.batch.items()}  # by the same code
    torch.testing.assert_close(compiled.loss(other, case.weights), case.loss(other, case.weights))
    flat = {key: rows[1:] for key, rows in case.batch.items()}
    torch.testing.assert_close(compiled.loss(flat, case.weights), case.loss(flat, case.weights))


def linearization(case, batch, memory, compiler=None):
    functions = LinearizedFunctions(case.system, compiler)
    return Linearization(functions, case.trial.tensors(), batch, case.weights, memory)


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("name", CASES)
def test_a_linearization_is_that_of_the_rows_in_any_order(name, memory):
    case = Case(name)
    one, other = (linearization(case, batch, memory) for batch in (case.batch, case.shuffled()[0]))
    random = torch.Generator().manual_seed(1)
    v = torch.randn(one.shape[1], generator=random, dtype=torch.float64)

    def close(found, expected):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))

    close(one.loss(), other.loss())
    close(one.gradient(), other.gradient())
    close(one.gradient(one.point + 0.1 * v), other.gradient(one.point + 0.1 * v))
    close(one.gram()[0], other.gram()[0])
    close(one.transposed_times(one.times(v)), other.transposed_times(other.times(v)))
    close(one.transposed_times(one.residual()), other.transposed_times(other.residual()))
    close(one.hessian_times(v), other.hessian_times(v))
    close(one.residual(one.point + 0.1 * v).square().sum(), other.residual(one.point + 0.1 * v).square().sum())


def test_what_is_no_product_stays_as_it_is():
    case = Case("data")
    rows = case.batch["data"]
    products = case.system.products
    moved, mixed = rows.clone(), rows.clone()
    moved[-1, 0] += 1e-15  # another place of the last function
    mixed[-1, 2] += 1e-15  # another function at the last place
    for other in (moved, mixed, rows[:-1], rows[1:], rows[:PLACES], rows[:1], rows[::PLACES]):
        assert products.shaped({"data": other})["data"] is other
    values = rows.clone()
    values[:, -2:] = torch.arange(len(rows)).double()[:, None]  # what rows carry beside points
    assert products.shaped({"data": values})["data"].shape == (FUNCTIONS, PLACES, rows.shape[1])
    plain = Products(case.system.problem, MLP(5, 1))
    assert plain.shaped(case.batch) is case.batch
    assert on_products(MLP(5, 1)) is None


class Plane(Problem):
    """Two unknowns that react in two periodic coordinates and time."""

    def __init__(self):
        domain = Interval("x", -1, 1) * Interval("y", 0, 2) * Interval("t", 0, 0.5)
        start = Dirichlet(
            domain.face(t=0.0), u=lambda x, y: torch.sin(math.pi * (x + y)), v=lambda x: torch.cos(math.pi * x)
        )
        super().__init__(domain, ["u", "v"], {"pde": Residual(domain, self.balance), "start": start})

    def balance(self, u, v, t):
        return u.t - u.laplacian() + t * u * v**2, v.t - v.xx - v * u.y


class OnGrid:
    """A `ProductSeries`, all of whose rows are on grids."""

    sampler = SpaceTimeGrid([8, 6], 4)

    def __init__(self):
        problem = Plane()
        self.trial = Trial(
            problem, build_network(problem, partial(ProductSeries, waves=[2, 1], degree=2), True, 0).double()
        )
        torch.nn.init.normal_(self.trial.network.network.last.weight, generator=torch.Generator().manual_seed(0))
        self.system = ResidualSystem(problem, self.trial, "taylor")
        counts = {"pde": 192, "start": 48}
        self.batch = {k: c.rows(self.sampler.sample(c.region, counts[k], 0)) for k, c in problem.conditions.items()}


def test_rows_on_grids_are_seen():
    case = OnGrid()
    shapes = {name: tuple(rows.shape) for name, rows in case.system.products.shaped(case.batch).items()}
    assert shapes == {"pde": (4, 8, 6, 3), "start": (1, 8, 6, case.batch["start"].shape[1])}
    rows = case.batch["pde"]
    for k, share in enumerate((rows[::2], rows[1::2])):  # of two processes
        assert case.system.products.shaped({"pde": share})["pde"].shape == (4, 8, 3, 3), k
    moved = rows.clone()
    moved[:, 0] += 1e-9 * moved[:, 1]  # places that are no grid
    for other in (moved, rows[:-1], rows[::5], rows[torch.randperm(192, generator=torch.Generator().manual_seed(1))]):
        assert case.system.products.shaped({"pde": other})["pde"] is other


def test_residuals_and_products_on_grids_are_those_at_points():
    case = OnGrid()
    order = torch.randperm(192, generator=torch.Generator().manual_seed(0))
    there = {"pde": case.batch["pde"][order], "start": case.batch["start"]}
    factors = torch.tensor([1.0, 3.0], dtype=torch.float64)
    rows = torch.cat([(2 * order[:, None] + torch.arange(2)).flatten(), 384 + torch.arange(96)])
    grid, points = (
        Linearization(LinearizedFunctions(case.system), case.trial.tensors(), batch, factors)
        for batch in (case.batch, there)
    )
    torch.testing.assert_close(grid.residual()[rows], points.residual(), rtol=1e-10, atol=1e-10)
    generator = torch.Generator().manual_seed(2)
    v, u = (torch.randn(n, dtype=torch.float64, generator=generator) for n in reversed(grid.shape))
    times, transposed_times = grid.products()
    torch.testing.assert_close(times(v)[rows], points.times(v), rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(transposed_times(u), points.transposed_times(u[rows]), rtol=1e-10, atol=1e-9)
    size = case.system.score("pde", case.batch["pde"])
    torch.testing.assert_close(size[order], case.system.score("pde", there["pde"]), rtol=1e-10, atol=1e-10)


def test_rows_that_are_known_are_not_looked_at_again(monkeypatch):
    case = Case("data")
    looked = []
    places = Products._places
    monkeypatch.setattr(Products, "_places", lambda self, rows: looked.append(rows) or places(self, rows))
    for _ in range(3):
        case.system.products.shaped(case.batch)
    assert len(looked) == 1


def test_blocks_are_of_whole_functions():
    case = Case("data")
    shaped = case.system.products.shaped(case.batch)
    whole, factors = case.system.weighted_loss(case.trial.tensors(), shaped, case.weights)[0], case.weights
    each = case.system.floats_per_row()
    sizes = []

    def evaluate(tensors, batch, factors):
        sizes.append(batch["data"].shape[:2])
        return case.system.weighted_loss(tensors, batch, factors)

    budget = 8 * 10 * floats_of(shaped["data"], each["data"])
    found = BlockedLoss(evaluate, each, budget, tolerance=1)(case.trial.tensors(), shaped, factors)[0]
    assert sizes == [(10, PLACES)] * 4
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=0)
