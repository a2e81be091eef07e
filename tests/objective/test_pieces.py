"""Windows side by side as one function: each point asks its own window, with the values of all windows everywhere."""

import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.derivatives.expressions import Recorded
from pinnlab.derivatives.lifting import lift
from pinnlab.domains import Interval
from pinnlab.networks import MLP
from pinnlab.objective.pieces import Pieces
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Problem, Residual
from pinnlab.problems.window import Window

EDGES = (0.0, 0.2, 0.5, 1.0)
WANTED = Wanted(frozenset({(0, 0), (1,)}))


class Moving(Problem):
    """u_t = u_xx, with the start in the ansatz, so that a window asks those before it, or without one."""

    def __init__(self, hard):
        xt = Interval("x", 0, 1) * Interval("t", 0, 1)
        self.ansatz = (lambda u, x, t: torch.sin(3 * x) + x + t * u) if hard else None
        super().__init__(xt, ("u",), {"pde": Residual(xt, lambda u: u.t - u.xx)})


def pieces(hard, networks=None):
    torch.manual_seed(0)
    trials, before, problem = [], None, Moving(hard)
    for k in range(3):
        window = Window(problem, "t", EDGES[k], EDGES[k + 1], before) if hard else problem
        trial = Trial(window, networks[k] if networks else MLP(2, 1, hidden=[5]).double())
        before = trial.frozen()
        trials.append(trial.alone())
    return Pieces(trials, EDGES, 1)


def points():
    generator = torch.Generator().manual_seed(1)
    inside = torch.rand(40, 2, dtype=torch.float64, generator=generator)
    edges = torch.tensor([[0.3, t] for t in (*EDGES, -0.1, 1.2)], dtype=torch.float64)
    return torch.cat([edges, inside])


def slow_way(made, x):
    """Every window at every point, one row after the other; of windows that ask those before them by hand."""

    def value(k, row):
        if k == 0:
            return made.trials[0](row)
        return made.trials[k](row, lambda edge: value(k - 1, edge))

    windows = [sum(float(row[1]) >= edge for edge in EDGES[1:-1]) for row in x]
    return torch.cat([value(k, row[None]) for k, row in zip(windows, x, strict=True)])


@pytest.mark.parametrize("hard", [True, False])
def test_points_ask_their_own_window(hard):
    made, x = pieces(hard), points()
    torch.testing.assert_close(made(x), slow_way(made, x), rtol=0, atol=1e-15)
    one = x[(x[:, 1] >= 0.2) & (x[:, 1] < 0.5)]
    torch.testing.assert_close(made(one), slow_way(made, one), rtol=0, atol=1e-15)
    assert made(x[:0]).shape == (0, 1)


@pytest.mark.parametrize("hard", [True, False])
def test_derivatives_and_transforms_are_those_of_all_windows_at_all_points(hard):
    made, x = pieces(hard), points()
    found, everywhere = partials(made, x, WANTED), partials(made._everywhere, x, WANTED)
    for key, values in everywhere.partials.items():
        torch.testing.assert_close(found.partials[key], values, rtol=0, atol=1e-13)
    mapped = torch.func.vmap(lambda row: made(row[None])[0])(x)
    torch.testing.assert_close(mapped, made(x), rtol=0, atol=1e-14)
    slope = torch.func.vmap(torch.func.jacrev(lambda row: made(row[None])[0, 0]))(x)
    torch.testing.assert_close(slope[:, 1:], found.partials[(1,)], rtol=0, atol=1e-13)


def test_the_number_of_points_that_networks_see_does_not_grow_with_the_windows():
    class Counting(torch.nn.Module):
        seen = 0

        def forward(self, x):
            Counting.seen += len(x)
            return x[:, :1]

    made = pieces(False, [Counting(), Counting(), Counting()])
    made(points())
    assert Counting.seen == len(points())


@pytest.mark.parametrize("hard", [True, False])
def test_a_trial_run_of_a_problem_may_ask_them(hard):
    made, x = pieces(hard), points()
    recorded = x.as_subclass(Recorded)
    assert torch.equal(made(recorded).as_subclass(torch.Tensor), made(x))
    found, expected = (made(lift(where, WANTED)).channel((0, 0)) for where in (recorded, x))
    assert torch.equal(found.as_subclass(torch.Tensor), expected)
