"""The problems with interactions between neighbours, in few dimensions and in many."""

import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import AllenCahnTwoBody, Poisson, Problem, Residual, SineGordonTwoBody, Unknown
from pinnlab.samplers import Sobol, UniformRandom
from pinnlab.training.condition_checks import warn_of_conditions
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.network_checks import check_network
from pinnlab.training.point_store import probe_rows


@pytest.mark.parametrize("kind", [AllenCahnTwoBody, SineGordonTwoBody])
@pytest.mark.parametrize("dim", [2, 9])
def test_the_source_is_the_operator_of_the_solution(kind, dim):
    """By nested reverse mode, which knows nothing of the formula."""
    problem = kind(dim=dim, sample=1, seed=3)
    points = UniformRandom().sample(problem.domain, 20, seed=1)
    axes = tuple(range(dim))
    found = partials(problem.exact_values, points, Wanted(laplacians=frozenset({axes})), "reverse")
    u, laplacian = found.value[:, 0], found.laplacians[axes][:, 0]
    expected = u - u**3 if kind is AllenCahnTwoBody else torch.sin(u)
    torch.testing.assert_close(problem.source(points), laplacian + expected, rtol=1e-12, atol=1e-12)


def test_seeds_make_other_solutions():
    one, same, other = (AllenCahnTwoBody(dim=6, sample=1, seed=seed).amplitudes for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_step_in_ten_thousand_dimensions():
    """Nothing of the size of all derivatives, n x d x k numbers or d x d, could be made here."""
    dim = 10_000
    problem = AllenCahnTwoBody(dim=dim)
    assert repr(problem).startswith("AllenCahnTwoBody: u(x1, ..., x10000) on RadialBall(x1..x10000")
    assert len(problem.evaluation_points()) == 800
    trial = Trial(problem, MLP(dim, 1, hidden=(8, 8)).double())
    objective = GlobalLoss(ResidualSystem(problem, trial, "taylor"))
    objective.build(torch.device("cpu"))
    rows = {"pde": UniformRandom().sample(problem.domain, 10, seed=0)}
    with torch.autograd.graph.saved_tensors_hooks(small_only, lambda tensor: tensor):
        objective(rows, torch.ones(1, dtype=torch.float64)).backward()
    gradient = trial.network.hidden[0].weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_coordinates_of_unknowns_are_not_looked_at_one_by_one(monkeypatch):
    """Each of 100,000 among all the others would take minutes before the first step."""
    problem, asked = AllenCahnTwoBody(dim=50, sample=2), []
    columns = Unknown.columns
    monkeypatch.setattr(Unknown, "columns", lambda self, names: asked.append(names) or columns(self, names))
    trial = Trial(problem, MLP(50, 1, hidden=(4,)).double())
    check_network(problem, trial)
    assert not asked  # it depends on all of them
    line = Interval("x", 0, 1) * Interval("y", 0, 1)
    two = Problem(line, {"u": Unknown(), "k": Unknown(coordinates=("x",))}, {"pde": Residual(line, lambda u, k: u - k)})
    with pytest.raises(ConfigurationError, match="unknown k depends on y"):
        check_network(two, Trial(two, MLP(2, 2, hidden=(4,)).double()))
    assert len(asked) <= 2


def small_only(tensor):
    """What is kept until the gradient: at most the points, or a layer's weights."""
    assert tensor.numel() <= 10 * 10_000, tensor.shape
    return tensor


def test_a_module_is_tried_without_a_sobol_sequence(monkeypatch):
    """To scramble one takes seconds in 20,000 dimensions, and a module is tried at several."""
    monkeypatch.setattr(Sobol, "_design", lambda *_: pytest.fail("a Sobol' sequence"))
    problem = AllenCahnTwoBody(dim=2000, sample=2)
    module = PINN(problem, MLP(2000, 1, hidden=[4]))
    warn_of_conditions(module.system, module.weights.own)
    data = CollocationDataModule(problem, points=4, held_out=5)
    for rows in (data.held_out_rows((torch.float64, torch.device("cpu"))), probe_rows(problem, most=5, seed=0)):
        assert rows.keys() == problem.conditions.keys()
        assert {tuple(some.shape) for some in rows.values()} == {(5, 2000)}


def test_sobol_has_an_end():
    points = Sobol().design(3, 30_000, seed=0)
    assert points.shape == (3, 30_000)
    assert abs(float(points.mean()) - 0.5) < 0.01


def test_the_full_laplacian_of_many_dimensions_adds_up_gradients_block_by_block():
    """Each block's graph is gone before the next begins; the gradient is that of one piece."""
    dim, count = 150, 300
    problem = Poisson(dim=dim, exact="sines")
    torch.manual_seed(0)
    trial = Trial(problem, MLP(dim, 1, hidden=(64, 64)).double())
    system = ResidualSystem(problem, trial, "taylor")
    objective = GlobalLoss(system)
    objective.build(torch.device("cpu"))
    rows = {"pde": Sobol().sample(problem.domain, count, seed=0), "boundary": Sobol().sample(problem.domain, 4, seed=1)}
    weights = torch.tensor([1.0, 2.0], dtype=torch.float64)
    lengths, saved = [], []
    sums = system.squared_sums

    def counted(parameters, batch):
        lengths.append(len(next(iter(batch.values()))))
        return sums(parameters, batch)

    system.squared_sums = counted
    objective.build(torch.device("cpu"))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        loss = objective(rows, weights)
    assert len(lengths) > 3
    assert max(saved) < count * dim * 64 / 3  # the channels of a layer at all points
    found = torch.autograd.grad(loss, trial.trained())
    factors = weights / torch.tensor([count, 4])
    whole, _ = ResidualSystem(problem, trial, "taylor").weighted_loss(trial.tensors(), rows, factors)
    torch.testing.assert_close(loss.detach(), whole.detach(), rtol=1e-12, atol=0.0)
    for one, other in zip(found, torch.autograd.grad(whole, trial.trained()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
