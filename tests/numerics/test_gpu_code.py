"""The code that is generated for a GPU, without one: its kernels are interpreted, and give what is not compiled gives.

pytest -m interpreted      (a CUDA build of torch, a process of its own)
"""

import copy

import gpu_code
import pytest
import torch
from cases import NETWORKS, PROBLEMS

from pinnlab.derivatives import patterns, rules
from pinnlab.networks import MLP
from pinnlab.numerics import compiled_value
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.training.point_store import probe_rows

pytestmark = [pytest.mark.interpreted, pytest.mark.filterwarnings("error:not compiled")]
POINTS = 37  # enough that a graph is for any number of them


@pytest.fixture(autouse=True)
def card(monkeypatch):
    """Graphs become code for a card, and are traced as for one."""
    if reason := gpu_code.missing():
        pytest.skip(reason)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(compiled_value, "generate", gpu_code.generate)
    for module in (patterns, rules):
        monkeypatch.setattr(module, "starts_kernels", lambda device: True)


def system_of(problem, network=None, dtype=torch.float64):
    torch.manual_seed(0)
    network = network or MLP(len(problem.coordinates), len(problem.unknowns), hidden=[6, 5])
    system = ResidualSystem(problem, Trial(problem, copy.deepcopy(network)).to(dtype))
    system.resolve_engine()
    return system


def assert_close(found, expected, bound):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    found, expected = found.detach(), expected.detach()
    assert float((found - expected).abs().max()) <= bound * (1 + float(expected.abs().max()))


def assert_loss_agrees(system, bound=1e-12):
    dtype = next(system.trial.parameters()).dtype
    rows = {name: part.to(dtype) for name, part in probe_rows(system.problem, POINTS, 0).items()}
    factors = torch.linspace(0.5, 1.5, len(rows), dtype=dtype) / POINTS
    results = []
    for make in (CompiledValue, lambda function: function):
        loss, sums = CompiledLoss(system.squared_sums, make)(system.trial.tensors(), rows, factors)
        gradient = torch.autograd.grad(loss, list(system.trial.trained()), allow_unused=True)
        results.append([loss, sums, *gradient])
    for found, expected in zip(*results, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            assert_close(found, expected, bound)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_loss_of_every_problem_and_its_gradient(name):
    assert_loss_agrees(system_of(PROBLEMS[name]()))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name):
    assert_loss_agrees(system_of(PROBLEMS["burgers_soft"](), NETWORKS[name](2, 1)))
