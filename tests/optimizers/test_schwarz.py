from __future__ import annotations

import copy
import itertools
from functools import partial

import numpy as np
import pytest
import torch
from minimisation import Minimisation, rosenbrock
from scipy import optimize
from torch import nn

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import LBFGS, SchwarzLBFGS, evaluations_per_step
from pinnlab.optimizers.schwarz import blocks_of_layers
from pinnlab.training.phases import Phase

MODES = ["multiplicative", "additive"]


class Run(Minimisation):
    """A function of one vector that is spread over several matrices, so that each of them is a block."""

    def __init__(self, function, start, parts=3, **options):
        self.function = function
        start = torch.as_tensor(start, dtype=torch.float64)
        self.blocks = [nn.Parameter(part.clone()[None]) for part in start.tensor_split(parts)]
        self.optimizer = SchwarzLBFGS(self.blocks, **{"local_iterations": 8, **options})
        self.calls = 0

    @property
    def x(self):
        return torch.cat(self.blocks, 1)[0]


def coupled_quadratic(n=12, seed=5):
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    matrix = basis @ torch.logspace(0, 1.5, n, dtype=torch.float64).diag() @ basis.T
    target = torch.randn(n, generator=generator, dtype=torch.float64)
    return lambda x: (x - target) @ matrix @ (x - target) / 2


def scipy_minimiser(function, start):
    def values(x):
        x = torch.tensor(x, requires_grad=True)
        value = function(x)
        value.backward()
        return value.item(), x.grad.numpy()

    options = {"ftol": 0, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 20_000, "maxcor": 30}
    return optimize.minimize(values, np.array(start), jac=True, method="L-BFGS-B", options=options).x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("parts", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_same_minimum_as_scipy(mode, parts):
    for function, start in ((coupled_quadratic(), [0.0] * 12), (rosenbrock, [-1.2, 1.0, 0.7])):
        run = Run(function, start, parts, mode=mode)
        for _ in range(100):
            if run.step().item() < 1e-16:
                break
        np.testing.assert_allclose(run.x.detach().numpy(), scipy_minimiser(function, start), atol=1e-5)


def names(blocks, module):
    found = {id(p): name for name, p in module.named_parameters()}
    return [[found[id(p)] for p in block] for block in blocks]


def test_a_weight_and_its_bias_are_one_block():
    module = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    module.coefficient = nn.Parameter(torch.tensor(1.0))
    blocks = blocks_of_layers([*list(module.parameters())[1:], module.coefficient])
    assert names(blocks, module) == [
        ["0.weight", "0.bias"],
        ["2.weight", "2.bias"],
        ["4.weight", "4.bias", "coefficient"],
    ]


def test_loose_parameters_at_the_start_belong_to_the_first_layer():
    parameters = [torch.zeros(()), torch.zeros(3), torch.zeros(2, 2), torch.zeros(2), torch.zeros(2, 2, 2)]
    assert [len(block) for block in blocks_of_layers(parameters)] == [4, 1]
    assert [len(block) for block in blocks_of_layers(parameters[:2])] == [2]


@pytest.mark.parametrize(
    ("blocks", "sizes"), [(None, [1] * 5), (1, [5]), (2, [2, 3]), (3, [1, 2, 2]), (5, [1] * 5), (9, [1] * 5)]
)
def test_neighbouring_layers_are_merged(blocks, sizes):
    parameters = [torch.zeros(2, 2) for _ in range(5)]
    found = blocks_of_layers(parameters, blocks)
    assert [len(block) for block in found] == sizes
    assert all(a is b for a, b in zip(itertools.chain(*found), parameters, strict=True))


def test_multiplicative_step_is_block_solves_and_then_one_global_step():
    function, start = rosenbrock, [-1.2, 1.0, 0.3, 0.7]
    run = Run(function, start, parts=2, momentum=0.0)
    run.step()
    by_hand = Run(function, start, parts=2)
    for block in by_hand.blocks:
        solver = LBFGS([block], iterations=8)
        solver.step(by_hand.closure)
    LBFGS(by_hand.blocks, iterations=1).step(by_hand.closure)
    assert torch.equal(run.x, by_hand.x)


def test_additive_step_follows_the_sum_of_the_corrections():
    # Two blocks that do not see each other: the sum of the corrections is right, and alpha is 1.
    scales = torch.tensor([1.0, 3.0, 2.0, 7.0], dtype=torch.float64)
    run = Run(lambda x: (scales * (x - 2) ** 2).sum(), [0.0] * 4, parts=2, mode="additive")
    run.step()
    torch.testing.assert_close(run.x.detach(), torch.full((4,), 2.0, dtype=torch.float64))


def test_additive_step_takes_the_best_correction_where_the_sum_overshoots():
    # Each block fits the sum on its own: together they go too far by a factor, and the search has to shorten.
    target = torch.tensor(4.0, dtype=torch.float64)
    run = Run(lambda x: (x.sum() - target).square() + 1e-3 * (x**4).sum(), [0.0] * 6, mode="additive")
    alone = Run(run.function, [0.0] * 6)
    LBFGS([alone.blocks[0]], iterations=8).step(alone.closure)
    run.step()
    assert run.loss() <= alone.loss() * (1 + 1e-9)


def test_a_block_moves_while_the_others_are_frozen():
    run = Run(rosenbrock, [-1.2, 1.0, 0.3, 0.7], parts=2, local_iterations=2)
    points = []

    def closure():
        points.append(run.x.detach().clone())
        return run.closure()

    run.optimizer.step(closure)
    seen = [torch.stack(points[:k]) != points[0] for k in range(1, len(points) + 1)]
    moved = [(bool(change[:, :2].any()), bool(change[:, 2:].any())) for change in seen]
    first = moved.index((True, False))
    both = moved.index((True, True))
    assert both - first >= 3  # two iterations of the first block, and the second one's evaluation of its start
    frozen = torch.stack(points[first:both])[:, 2:]
    assert torch.equal(frozen, points[0][2:].expand_as(frozen))
    assert (False, True) not in moved


@pytest.mark.parametrize("mode", MODES)
def test_momentum_bends_the_direction_and_vanishes_with_zero(mode):
    with_momentum, without = (Run(rosenbrock, [-1.2, 1.0] * 3, mode=mode, momentum=m) for m in (0.5, 0.0))
    for run in (with_momentum, without):
        run.step(4)
    assert "momentum" in with_momentum.optimizer.state[with_momentum.blocks[0]]
    assert "momentum" not in without.optimizer.state[without.blocks[0]]
    assert not torch.equal(with_momentum.x, without.x)


@pytest.mark.parametrize("mode", MODES)
def test_memory_is_that_of_global_steps(mode):
    run = Run(rosenbrock, [-1.2, 1.0] * 3, mode=mode, history=2)
    run.step(4)
    state = run.optimizer.state_dict()["state"]
    assert list(state) == [0]  # nothing of the blocks' solvers
    assert state[0]["pairs"].shape == (2, 2, 6)
    assert {type(value) for value in state[0].values()} <= {torch.Tensor, int, float}


@pytest.mark.parametrize("mode", MODES)
def test_objective_change_forgets_what_belongs_to_the_old_one(mode):
    target = {"function": coupled_quadratic()}
    run = Run(lambda x: target["function"](x), [0.0] * 12, mode=mode)
    run.step(3)
    target["function"] = coupled_quadratic(seed=8)
    run.optimizer.objective_changed()
    assert set(run.optimizer.state[run.blocks[0]]) == {"evaluations", "search"}
    assert run.optimizer.loss is None
    expected = run.loss()
    assert run.step().item() == expected
    run.step(60)
    assert run.loss() < 1e-12 * expected


@pytest.mark.parametrize("mode", MODES)
def test_stalls_at_a_minimum_and_goes_on_where_only_blocks_can_move(mode):
    run = Run(lambda x: (x**2).sum(), [0.0] * 4, mode=mode)
    run.step()
    assert run.optimizer.status is StopReason.STALLED
    assert run.x.tolist() == [0.0] * 4
    run.blocks[0].data.fill_(1.0)
    run.step()
    assert run.optimizer.status is StopReason.RUNNING
    assert run.loss() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("mode", MODES)
def test_survives_deepcopy_in_mid_run(mode):
    run = Run(rosenbrock, [-1.2, 1.0] * 3, mode=mode)
    run.step(2)
    twin = copy.deepcopy(run)
    run.step(2)
    twin.step(2)
    assert torch.equal(run.x, twin.x)


def test_planned_evaluations_are_about_those_made():
    run = Run(coupled_quadratic(), [0.0] * 12, parts=4, local_iterations=5)
    assert evaluations_per_step(run.optimizer) == 4 * 6 + 2
    run.step()
    assert run.optimizer.evaluations == run.calls
    assert 0.7 * run.calls <= evaluations_per_step(run.optimizer) <= 1.3 * run.calls
    phase = Phase(partial(SchwarzLBFGS, local_iterations=5), steps=10)
    assert phase.planned_evaluations(run.blocks) == 260


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"mode": "aditive"}, "additive"),
        ({"blocks": 0}, "blocks"),
        ({"local_iterations": 0}, "local_iterations"),
        ({"history": 0}, "history"),
        ({"momentum": 1.0}, "momentum"),
        ({"lr": 0.0}, "lr"),
        ({"line_search": "armijo"}, "line_search"),
    ],
)
def test_constructor_checks(options, key):
    with pytest.raises(ConfigurationError, match=key):
        SchwarzLBFGS([nn.Parameter(torch.zeros(2))], **options)
