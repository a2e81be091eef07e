"""L-BFGS preconditioned by windows: the blocks, what a step does, and what it is good for."""

from __future__ import annotations

from functools import partial

import lightning as L
import pytest
import torch
from minimisation import Minimisation, rosenbrock
from torch import nn
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import EvaluationBudget
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.networks import MLP, SIREN, Subdomains
from pinnlab.objective.sparse_rows import blocks_by_colour
from pinnlab.optimizers import LBFGS, MultiPreconditionedLBFGS, evaluations_per_step, wants_blocks
from pinnlab.optimizers.flat import FlatObjective
from pinnlab.problems import MultiscalePoisson
from pinnlab.samplers import Sobol


class Run(Minimisation):
    """A function of one vector, with blocks by colour."""

    def __init__(self, function, start, blocks, **options):
        self.function = function
        self.parameter = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        self.blocks = [torch.tensor(places) for places in blocks]
        self.optimizer = MultiPreconditionedLBFGS([self.parameter], **options)
        self.calls = 0

    @property
    def x(self):
        return self.parameter

    def step(self, times=1):
        for _ in range(times):
            returned = self.optimizer.step(self.closure, blocks=self.blocks)
        return returned


PAIRS = [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
"""Two colours of two blocks each, of eight numbers."""


def of_windows(dim=2, levels=2, count=200):
    """A module on windows, and the loss of a flat vector."""
    problem = MultiscalePoisson(dim=dim, octaves=2, exact_conditions=True)
    network = partial(Subdomains, grid=[4] * dim, levels=levels, network=partial(MLP, hidden=[3]))
    module = PINN(problem, network, compile=False)
    batch = {"pde": Sobol().sample(problem.conditions["pde"].region, count, seed=1)}
    parameters = module.trial.trained()

    def closure():
        loss = module.objective(batch, module.loss_weights)
        loss.backward()
        return loss

    return module, FlatObjective(parameters, closure)


@pytest.mark.parametrize(("dim", "levels", "colours"), [(1, 1, 2), (1, 2, 3), (2, 1, 4), (2, 2, 5)])
def test_blocks_are_windows_by_colour(dim, levels, colours):
    # The coarse level has two windows along each coordinate: every point sees all of them, so that they are one block.
    module, objective = of_windows(dim, levels)
    blocks = blocks_by_colour(module.system, module.loss_weights)
    assert len(blocks) == colours
    joined = torch.cat([places.flatten() for places in blocks])
    assert torch.equal(joined.sort().values, torch.arange(len(objective.point())))
    assert [len(places) for places in blocks[: 2**dim]] == [2**dim] * 2**dim


def test_windows_of_a_colour_do_not_see_each_other():
    """What makes one evaluation enough for all of them."""
    module, objective = of_windows()
    point, generator = objective.point(), torch.Generator().manual_seed(0)
    for places in blocks_by_colour(module.system, module.loss_weights):
        moves = 0.1 * torch.randn(places.shape, generator=generator, dtype=torch.float64)
        together = objective(point.index_put((places,), point[places] + moves))[1][places]
        for k, own in enumerate(places):
            alone = objective(point.index_put((own,), point[own] + moves[k]))[1][own]
            torch.testing.assert_close(together[k], alone, rtol=1e-9, atol=1e-13)


def test_a_network_without_windows_has_none():
    module = PINN(MultiscalePoisson(octaves=1), partial(MLP, hidden=[4]), compile=False)
    assert blocks_by_colour(module.system, module.loss_weights) is None


def test_blocks_that_are_all_there_is_are_solved_with_the_factor_one():
    scales = torch.tensor([1.0, 3.0, 2.0, 7.0, 50.0, 9.0, 1e3, 2e3], dtype=torch.float64)
    run = Run(lambda x: (scales * (x - 2) ** 2).sum(), [0.0] * 8, PAIRS, local_evaluations=30, global_iterations=1)
    run.step()
    torch.testing.assert_close(run.x.detach(), torch.full((8,), 2.0, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("options", [{}, {"global_iterations": 1}, {"global_iterations": 3, "block_start": False}])
def test_minimises_what_blocks_have_in_common(options):
    run = Run(rosenbrock, [0.2, 0.6] * 4, PAIRS, **options)
    for _ in range(40):
        if run.step() < 1e-18 or run.optimizer.status is StopReason.STALLED:
            break
    torch.testing.assert_close(run.x.detach(), torch.ones(8, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_step_has_the_evaluations_that_it_says():
    run = Run(rosenbrock, [-1.2, 1.0] * 4, PAIRS, local_evaluations=3, merging_iterations=2, global_iterations=7)
    run.step()
    planned = evaluations_per_step(run.optimizer)
    assert planned == 2 * 3 + 2 + 7
    assert planned <= run.calls <= 1.5 * planned
    assert run.optimizer.evaluations == run.calls


def test_memory_is_in_the_state_and_ends_with_the_objective():
    run = Run(rosenbrock, [-1.2, 1.0] * 4, PAIRS, local_history=3, history=5)
    run.step(2)
    state = run.optimizer.state[run.parameter]
    assert state["local_0"].shape == state["local_1"].shape == (2, 3, 2, 2)
    assert {type(value) for value in state.values()} <= {torch.Tensor, int, float}
    run.optimizer.objective_changed()
    assert set(state) == {"evaluations", "search"}


def test_stalls_at_a_minimum():
    run = Run(lambda x: (x**2).sum(), [0.0] * 8, PAIRS)
    run.step()
    assert run.optimizer.status is StopReason.STALLED
    assert run.x.tolist() == [0.0] * 8


def test_without_blocks_layers_are_blocks():
    parameters = [nn.Parameter(torch.ones(shape, dtype=torch.float64)) for shape in ((3, 1), (3,), (1, 3), (1,))]
    optimizer = MultiPreconditionedLBFGS(parameters, local_evaluations=4, global_iterations=2)
    assert wants_blocks(optimizer)
    assert evaluations_per_step(optimizer) == 2 * 4 + 5 + 2

    def closure():
        optimizer.zero_grad()
        loss = sum((p - 3).square().sum() for p in parameters) + (sum(p.sum() for p in parameters) ** 4) / 1e4
        loss.backward()
        return loss

    first = optimizer.step(closure)
    state = optimizer.state[parameters[0]]
    assert [state[key].shape for key in ("local_0", "local_1")] == [(1, 10, 2, 6), (1, 10, 2, 4)]
    assert closure() < 0.9 * first


def trained(optimizer, evaluations=150):
    """The loss and error on eight windows."""
    L.seed_everything(0, verbose=False)
    problem = MultiscalePoisson(octaves=3, exact_conditions=True)
    network = partial(Subdomains, grid=[8], network=partial(SIREN, hidden=[6], first_frequency=8.0))
    module = PINN(problem, network, [Phase(optimizer)], compile=False, seed=0)
    data = CollocationDataModule(problem, points={"pde": 200}, evaluation_points=200, seed=0)
    trainer = quiet_trainer(val_check_interval=None, limit_val_batches=0, callbacks=[EvaluationBudget(evaluations)])
    trainer.fit(module, data)
    return module.current_loss(), module.measure_errors(data)["u"]


def test_ahead_of_lbfgs_at_equal_evaluations():
    loss, error = trained(MultiPreconditionedLBFGS)
    plain_loss, plain_error = trained(LBFGS)
    assert loss < plain_loss / 2
    assert error < plain_error


@pytest.mark.parametrize("key", ["local_evaluations", "local_history", "merging_iterations", "global_iterations"])
@pytest.mark.parametrize("value", [0, 1.5])
def test_bad_options_are_refused(key, value):
    with pytest.raises(ConfigurationError, match=key):
        MultiPreconditionedLBFGS([nn.Parameter(torch.zeros(2))], **{key: value})
