"""Standard errors against those of linear least squares, where everything is known."""

import numpy as np
import pytest
import torch

from pinnlab import PINN
from pinnlab.analysis.uncertainty import standard_errors
from pinnlab.domains import Interval
from pinnlab.problems import Observations, Problem, Residual
from pinnlab.training.exact_linearization import linearization

X = torch.linspace(0, 1, 30, dtype=torch.float64)
Y = 1 + 2 * X + 0.1 * torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SOME, ALL = slice(0, 20), slice(0, 30)


def line_through(parts, slope_weight, sizes=(1.0, 1.0)):
    """A module whose network is a + b x, at the minimum of its loss; and that loss's rows by hand."""
    x = Interval("x", 0, 1)
    data = {f"data{i}": Observations(X[part, None], weight=w, u=Y[part]) for i, (part, w) in enumerate(parts)}
    slope = {"slope": Residual(x, lambda u: u.x - 1.5, weight=slope_weight)} if slope_weight else {}
    problem = Problem(x, ["u"], {**data, **slope})
    module = PINN(problem, torch.nn.Linear(1, 1).double(), scale_inputs=False, compile=False)
    rows, targets = [], []
    for part, weight in parts:
        own = X[part].numpy()
        root = np.sqrt(weight / len(own))
        rows.append(root * np.stack([own, np.ones_like(own)], 1))
        targets.append(root * Y[part].numpy())
    if slope_weight:
        root = np.sqrt(slope_weight / 5)
        rows.append(root * np.tile([1.0, 0.0], (5, 1)))
        targets.append(root * np.full(5, 1.5))
    best, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets), rcond=None)
    weight, bias = module.trial.network.parameters()
    weight.data.fill_(best[0])
    bias.data.fill_(best[1])
    batch = {
        name: c.rows(X[:5, None] if name == "slope" else c.fixed_points()) for name, c in problem.conditions.items()
    }
    return linearization(module, batch), list(data), rows, targets, best


@pytest.mark.parametrize("slope_weight", [0.0, 0.3, 1e4])
@pytest.mark.parametrize("parts", [[(ALL, 1.0)], [(ALL, 50.0)], [(SOME, 1.0), (slice(20, 30), 4.0)]])
def test_they_are_those_of_weighted_least_squares(parts, slope_weight):
    around, names, rows, targets, best = line_through(parts, slope_weight)
    whole = np.concatenate(rows)
    inverse = np.linalg.inv(whole.T @ whole)
    variance = np.zeros(2)
    for own, target in zip(rows, targets[: len(parts)], strict=False):
        spent = np.trace(own @ inverse @ own.T)
        noise = np.sum((own @ best - target) ** 2) / (len(own) - spent)
        variance += noise * np.diag(inverse @ own.T @ own @ inverse)
    found = standard_errors(around, names, [0, 1])
    np.testing.assert_allclose(found.numpy(), np.sqrt(variance), rtol=1e-6)
    one = standard_errors(around, names, [1])
    np.testing.assert_allclose(one.numpy(), found[1:].numpy(), rtol=1e-12)


def test_without_an_equation_they_are_the_textbook_s():
    around, names, *_ = line_through([(ALL, 1.0)], 0.0)
    slope, _ = standard_errors(around, names, [0, 1]).tolist()
    x, y = X.numpy(), Y.numpy()
    _, covariance = np.polyfit(x, y, 1, cov=True)
    assert slope == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_as_many_unknowns_as_data_say_nothing_about_the_noise(count):
    around, names, *_ = line_through([(slice(0, count), 1.0)], 0.0)
    assert standard_errors(around, names, [0]) is None


def rows_of(network, x, y):
    """A module whose unknown is a network of one parameter tensor, on data that it is to meet; its rows."""
    line = Interval("x", 0, 1)
    problem = Problem(line, ["u"], {"data": Observations(x[:, None], u=y)})
    module = PINN(problem, network, scale_inputs=False, compile=False)
    own = problem.conditions["data"]
    return linearization(module, {"data": own.rows(own.fixed_points())})


class OfNumbers(torch.nn.Module):
    """A function of x and some numbers."""

    def __init__(self, function, *numbers):
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.tensor(numbers, dtype=torch.float64))
        self.function = function

    def forward(self, points):
        return self.function(points[:, 0], *self.numbers)[:, None]


def test_what_the_rows_do_not_determine_is_infinite():
    """Of a product neither factor, and not what stands nowhere; the others as without them."""
    alone = standard_errors(rows_of(OfNumbers(lambda x, a, c: a * x + c, 2.0, 1.0), X, Y), ["data"], [0, 1])
    network = OfNumbers(lambda x, a, b, c, d: a * b * x + c, 4.0, 0.5, 1.0, 7.0)
    found = standard_errors(rows_of(network, X, Y), ["data"], [0, 1, 2, 3])
    assert found.isinf().tolist() == [True, True, False, True]
    assert found[2].item() == pytest.approx(alone[1].item(), rel=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1e3, 1e8])
@pytest.mark.parametrize("wanted", [[0], [0, 1]])
def test_the_unit_of_a_parameter_does_not_matter(unit, wanted):
    plain = standard_errors(rows_of(OfNumbers(lambda x, a, c: a * x + c, 2.0, 1.0), X, Y), ["data"], wanted)
    network = OfNumbers(lambda x, a, c: a / unit * x + c, 2.0 * unit, 1.0)
    found = standard_errors(rows_of(network, X, Y), ["data"], wanted)
    assert found[0].item() == pytest.approx(unit * plain[0].item(), rel=1e-6)
