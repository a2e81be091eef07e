"""The Jacobian on functions times places in factors: against that of torch on unrelated points."""

from functools import partial

import pytest
import torch

from pinnlab import problems
from pinnlab.domains import Chebyshev, FunctionSpace, Interval
from pinnlab.networks import DeepONet, PeriodicEmbedding
from pinnlab.objective.linearization import Linearization
from pinnlab.objective.linearized_functions import LinearizedFunctions
from pinnlab.objective.pair_blocks import PairBlocks
from pinnlab.objective.parameter_derivatives import split_parameters, stacked
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Coefficient, Dirichlet, Problem, Residual
from pinnlab.samplers import FunctionsTimesPlaces
from pinnlab.training.network import build_network

PERIODIC = {"embedding": partial(PeriodicEmbedding, columns=[0])}


class Pair(Problem):
    """Two unknowns and equations with mixed derivatives and a Laplacian, a boundary, and perhaps something more."""

    def __init__(self, by_function=False, coefficient=False, ansatz=False, known=False):
        x, y = Interval("x", 0, 1), Interval("y", 0, 2)
        domain = x * y * FunctionSpace("a", Chebyshev(x, 2))
        self.by_function, self.known = by_function, known
        if ansatz:
            self.ansatz = lambda u, v, x, a: (x * u * a, u * v)
        more = {"coefficients": {"k": Coefficient(1.0)}} if coefficient else {}
        balance = self.scaled if coefficient else self.balance
        conditions = {"pde": Residual(domain, balance), "wall": Dirichlet(domain.face(x=0.0), weight=3.0, v=0.0)}
        super().__init__(domain, ["u", "v"], conditions, **more)

    def balance(self, u, v, a):
        first = u.laplacian() - a * v.x * u.value
        both = (first + v.d("a1") if self.by_function else first), v.xy + u * a.x
        return (*both, a - 1) if self.known else both

    def scaled(self, u, v, a, k):
        return u.laplacian() - k * v.x


CASES = {
    "data": (lambda: problems.BurgersOperator(modes=3, data=20, places=15), {"modes": 3, **PERIODIC}),
    "equation": (lambda: problems.BurgersOperator(modes=3), {"modes": 3, **PERIODIC}),
    "linear": (lambda: problems.DiffusionReactionOperator(modes=3), {"modes": 3, "branch": []}),
    "two unknowns": (Pair, {"modes": 2}),
    "an equation of data alone": (lambda: Pair(known=True), {"modes": 2}),
    "bent": (lambda: Pair(ansatz=True), {"modes": 2}),
}


class Case:
    """A system, and a batch of which every condition is so many functions times so many places."""

    def __init__(self, build, options, functions, places, weighted=False):
        problem = build()
        network = partial(DeepONet, **{"branch": [4], "trunk": [5], "rank": 3, **options})
        self.trial = Trial(problem, build_network(problem, network, True, 0).double())
        self.system = ResidualSystem(problem, self.trial, "taylor")
        design = FunctionsTimesPlaces(functions, options["modes"])
        self.batch = {}
        for name, condition in problem.conditions.items():
            points = condition.fixed_points()
            if points is None:
                points = design.sample(condition.region, functions * places, seed=3)
            rows = condition.rows(points)
            weights = torch.linspace(0.5, 2, len(rows), dtype=torch.float64)[:, None]
            self.batch[name] = torch.cat([rows, weights], 1) if weighted else rows
        self.factors = torch.linspace(0.5, 2, len(self.batch), dtype=torch.float64)

    def linearization(self, memory=1 << 30):
        functions = LinearizedFunctions(self.system)
        return Linearization(functions, self.trial.tensors(), self.batch, self.factors, memory)

    def truth(self):
        """The residuals and their Jacobian by torch, of points that nobody knows to be pairs."""
        tensors = {name: value.detach() for name, value in self.trial.tensors().items()}
        trained, others = split_parameters(self.system, tensors)
        roots = [root.expand(len(rows)) for root, rows in zip(self.factors.sqrt(), self.batch.values(), strict=True)]
        each = self.system.equations(self.batch)
        scale = torch.cat([part.repeat_interleave(n) for part, n in zip(roots, each.values(), strict=True)])

        def residuals(own):
            return scale * stacked(self.system, {**others, **own}, self.batch)

        rows = torch.func.jacrev(residuals)(trained)
        return residuals(trained), torch.cat([part.reshape(len(scale), -1) for part in rows.values()], 1)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11 * float(expected.abs().max()))


@pytest.mark.parametrize(("functions", "places", "weighted"), [(20, 15, False), (25, 10, True)])
@pytest.mark.parametrize("name", CASES)
def test_it_is_that_of_torch(name, functions, places, weighted):
    case = Case(*CASES[name], functions, places, weighted)
    found = case.linearization()
    assert isinstance(found._rows, PairBlocks)
    residual, rows = case.truth()
    random = torch.Generator().manual_seed(0)
    v = torch.randn(rows.shape[1], generator=random, dtype=torch.float64)
    u = torch.randn(rows.shape[0], generator=random, dtype=torch.float64)
    close(found.residual(), residual)
    close(torch.cat([part for _, _, part in found._rows.blocks()]), rows)
    matrix, right = found.gram()
    close(matrix, rows.T @ rows)
    close(right, rows.T @ residual)
    close(found.times(v), rows @ v)
    close(found.transposed_times(u), rows.T @ u)
    assert found.evaluations == 1


@pytest.mark.parametrize("name", ["data", "two unknowns"])
def test_what_needs_rows_has_them(name, monkeypatch):
    case = Case(*CASES[name], 20, 18)
    monkeypatch.setattr("pinnlab.objective.pair_blocks._BLOCK_BYTES", 50_000)  # several blocks
    monkeypatch.setattr("pinnlab.objective.pair_sides._BLOCK_BYTES", 20_000)
    found = case.linearization()
    residual, rows = case.truth()
    assert len(list(found._rows.blocks())) > 2
    close(found.kernel(), rows @ rows.T)
    triangle = found.triangle()
    both = torch.cat([rows, residual[:, None]], 1)
    close(triangle.T @ triangle, both.T @ both)
    close(found.gram_times(torch.eye(rows.shape[1], dtype=torch.float64)), rows.T @ rows)
    close(torch.tensor(found.trace(), dtype=torch.float64), rows.square().sum())
    norms = rows.norm(dim=1, keepdim=True)
    scaled = torch.where(norms > 0, rows / norms, 0)
    close(found.row_scaled().gram()[0], scaled.T @ scaled)
    for key, numbers in found.row_numbers().items():
        own = found.of_condition(key)
        close(own.gram()[0], rows[numbers].T @ rows[numbers])
        close(own.residual(), residual[numbers])


@pytest.mark.parametrize(
    "build",
    [lambda: Pair(by_function=True), lambda: Pair(coefficient=True)],
    ids=["derivative by the function", "coefficient"],
)
def test_what_is_more_than_factors_is_computed_point_by_point(build):
    case = Case(build, {"modes": 2}, 20, 15)
    found = case.linearization()
    assert not isinstance(found._rows, PairBlocks)
    _, rows = case.truth()
    close(found.gram()[0], rows.T @ rows)


@pytest.mark.parametrize(
    ("functions", "places", "memory"), [(40, 30, 1000), (3, 30, 1 << 30), (40, 2, 1 << 30)], ids=str
)
def test_there_are_no_factors_where_they_are_more_than_rows_or_do_not_fit(functions, places, memory):
    case = Case(*CASES["equation"], functions, places)
    assert not isinstance(case.linearization(memory)._rows, PairBlocks)


def test_a_point_is_not_evaluated_more_often_than_its_function_and_place():
    case = Case(*CASES["equation"], 40, 30)
    seen = {"branch": 0, "trunk": 0}
    network = case.trial.network.network

    def count(net):
        def hook(module, inputs, output):
            seen[net] += len(inputs[0])

        return hook

    network.branch[0].register_forward_hook(count("branch"))
    network.trunk.hidden[0].register_forward_hook(count("trunk"))
    case.linearization().gram()
    assert 40 <= seen["branch"] < 60
    assert 30 <= seen["trunk"] < 50
