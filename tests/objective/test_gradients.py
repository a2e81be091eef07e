"""Gradients of the loss in parts, against plain autograd, and what criteria that ask for them cost a run."""

import math

import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.criteria import GradientAlignment, GradientNormStabilisation, LossPlateau, SignalToNoise
from pinnlab.networks import MLP
from pinnlab.objective.gradients import LossGradients
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Burgers
from pinnlab.samplers import Sobol
from pinnlab.training.phases import Phase

WEIGHTS = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64)


def parts(counts):
    """A system and a batch with so many rows of each condition."""
    problem = Burgers(exact_conditions=False)
    torch.manual_seed(0)
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[5])).double())
    batch = {
        name: condition.rows(Sobol().sample(condition.region, max(count, 1), seed=k))[:count]
        for k, ((name, condition), count) in enumerate(zip(problem.conditions.items(), counts, strict=True))
    }
    return system, batch, LossGradients(system.weighted_loss, system.trial.tensors(), WEIGHTS, batch)


def expected(system, rows, weights=WEIGHTS):
    """The gradient of the weighted mean squares, from unreduced residuals; conditions without rows left out."""
    residuals = system.residuals({name: part for name, part in rows.items() if len(part)})
    by_name = dict(zip(rows, weights, strict=True))
    loss = sum(by_name[name] * r.square().sum() / len(r) for name, r in residuals.items())
    gradients = torch.autograd.grad(loss, list(system.trial.parameters()))
    return torch.cat([g.reshape(-1) for g in gradients])


def test_by_condition_adds_up_to_the_gradient():
    system, batch, gradients = parts([16, 9, 4])
    found = gradients.by_condition()
    assert gradients.conditions == gradients.evaluations == len(found) == 3
    torch.testing.assert_close(found.sum(0), expected(system, batch), rtol=1e-12, atol=1e-13)
    for row, single in zip(found, torch.diag(WEIGHTS), strict=True):
        torch.testing.assert_close(row, expected(system, batch, single), rtol=1e-12, atol=1e-13)


def test_equal_chunks_average_to_the_gradient():
    system, batch, gradients = parts([16, 8, 4])
    found = gradients.by_chunk(4)
    assert gradients.evaluations == 1
    torch.testing.assert_close(found.mean(0), expected(system, batch), rtol=1e-12, atol=1e-13)
    assert (found - found.mean(0)).norm() > 1e-3


@pytest.mark.parametrize("counts", [[16, 9, 4], [17, 3, 1], [5, 0, 1]])
def test_chunks_are_means_over_their_own_rows(counts):
    system, batch, gradients = parts(counts)
    for k, row in enumerate(gradients.by_chunk(4)):
        rows = {name: part[k::4] for name, part in batch.items()}
        torch.testing.assert_close(row, expected(system, rows), rtol=1e-12, atol=1e-13)


def test_chunks_have_the_usual_strides():
    """A compiled loss would be compiled anew for each number of strided rows, and soon give up compiling."""
    system, batch, _ = parts([16, 9, 4])
    seen = []

    def watched(parameters, rows, factors):
        seen.extend(part.stride() == (part.shape[1], 1) for part in rows.values())
        return system.weighted_loss(parameters, rows, factors)

    LossGradients(watched, system.trial.tensors(), WEIGHTS, batch).by_chunk(8)
    assert seen == [True] * 24


def test_chunks_without_any_row_are_left_out():
    _, _, gradients = parts([3, 2, 1])
    assert len(gradients.by_chunk(8)) == 3


def test_gradients_in_grad_are_left_alone_and_give_the_norm():
    system, _, gradients = parts([16, 9, 4])
    assert math.isnan(gradients.norm())
    for number, parameter in enumerate(system.trial.parameters()):
        parameter.grad = torch.full_like(parameter, number)
    squares = sum(number**2 * p.numel() for number, p in enumerate(system.trial.parameters()))
    with torch.no_grad():
        rows = torch.cat([gradients.by_condition(), gradients.by_chunk(2)])
    assert not rows.requires_grad
    assert gradients.norm() == pytest.approx(math.sqrt(squares))
    assert gradients.evaluations == 4


def trained(until, steps=12):
    phases = [Phase(ADAM, steps=steps, until=until), Phase(ADAM, steps=3)]
    module = small_module(phases=phases)
    trainer = quiet_trainer()
    trainer.fit(module, small_data(module.problem))
    return module, module.trainer.callbacks


def weights(module):
    return torch.cat([p.detach().reshape(-1) for p in module.trial.parameters()])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("until", "spent"),
    [
        (LossPlateau(), 0),
        (GradientNormStabilisation(), 0),
        (GradientAlignment(threshold=-0.99, every=5), 6),
        (SignalToNoise(threshold=1e-9, every=4, chunks=3), 3),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_run_counts_what_watching_costs_and_is_not_changed_by_it(until, spent):
    module, callbacks = trained(until)
    assert module.evaluations == 12 + spent + 3
    records = next(c for c in callbacks if type(c).__name__ == "OptimizerPhases").records
    assert [record.evaluations for record in records] == [12 + spent, 3]
    assert torch.equal(weights(module), weights(trained(None)[0]))


@pytest.mark.filterwarnings("ignore")
def test_the_module_gives_the_gradients_of_its_own_loss():
    module, _ = trained(None)
    gradients = module.loss_gradients()
    module.zero_grad()
    module.training_step(module.batch, 0).backward()
    own = torch.cat([p.grad.reshape(-1) for p in module.trial.parameters()])
    torch.testing.assert_close(gradients.by_condition().sum(0), own, rtol=1e-12, atol=1e-13)
    assert gradients.norm() == module.gradient_norm() == pytest.approx(float(own.norm()), rel=1e-14)
