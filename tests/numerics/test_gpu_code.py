"""The code that is generated for a GPU, without one: its kernels are interpreted, and give what is not compiled gives.

pytest -m interpreted      (a CUDA build of torch, a process of its own)
"""

import copy
import os

import gpu_code
import pytest
import torch
from cases import NETWORKS, PROBLEMS
from gpu_code import LAUNCHES

from pinnlab.derivatives import patterns, rules
from pinnlab.networks import MLP
from pinnlab.numerics import compiled_value
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.precision import exact_products
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Burgers
from pinnlab.training.point_store import probe_rows

pytestmark = [
    pytest.mark.interpreted,
    pytest.mark.timeout(1800),  # one lane after the other: many holes take minutes
    pytest.mark.filterwarnings("error:not compiled"),
    # Of lanes behind the last row, whose numbers are what was in the memory, and which nobody stores.
    pytest.mark.filterwarnings("ignore:(invalid value|divide by zero|overflow) encountered:RuntimeWarning"),
]
POINTS = 37  # enough that a graph is for any number of them


@pytest.fixture(autouse=True)
def card(monkeypatch):
    """Graphs become code for a card, and are traced as for one."""
    if reason := gpu_code.missing():
        pytest.skip(reason)
    os.environ["TRITON_INTERPRET"] = "1"  # for good: Triton looks once, when it is imported
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


@pytest.mark.parametrize(
    ("name", "network"),
    [("burgers_soft", None), ("poisson2d_neumann", None), ("biharmonic1d", None), ("heat", None), ("heat", "tiles")],
)
def test_scores_and_what_second_order_methods_need(name, network):
    problem = PROBLEMS[name]()
    system = system_of(problem, network and NETWORKS[network](2, 1))
    rows = probe_rows(problem, POINTS, 0)
    weights = torch.ones(len(rows), dtype=torch.float64)
    results = []
    for compiler in (Compiler(), None):
        objective = GlobalLoss(system)
        objective.compiler = compiler
        objective.build(torch.device("cpu"))
        around = objective.linearization(rows, weights)
        v = torch.linspace(-1, 1, around.shape[1], dtype=torch.float64)
        matrix, right = around.gram()
        scores = [system.score(condition, part) for condition, part in rows.items()]
        results.append(
            [matrix, right, around.loss(), around.times(v), around.gram_times(v), around.hessian_times(v), *scores]
        )
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_few_kernels_for_a_loss_and_its_gradient(dtype):
    """Starting them is what a small problem takes: 4 hidden layers, 4 channels; 38 products without `at_once`."""
    system = system_of(Burgers(exact_conditions=True), MLP(2, 1, hidden=[8] * 4), dtype)
    assert_loss_agrees(system, 1e-12 if dtype == torch.float64 else 1e-4)
    assert LAUNCHES.products <= 14
    assert LAUNCHES.total <= 45


@pytest.mark.parametrize("name", ["tiles-features", "subdomains-levels"])
def test_sums_are_made_in_one_order(name):
    """No threads add to one place as they come: a run that is resumed gives the same bits."""
    assert not torch.are_deterministic_algorithms_enabled()
    assert_loss_agrees(system_of(PROBLEMS["burgers_soft"](), NETWORKS[name](2, 1)))
    assert not torch.are_deterministic_algorithms_enabled()
    assert "index_put" in LAUNCHES.code
    assert "tl.atomic_add" not in LAUNCHES.code


def test_kernels_that_are_wrong_are_seen(monkeypatch):
    """The comparisons above can fail: with another sine in CUDA's library."""
    monkeypatch.setattr(gpu_code._Library, "__getattr__", lambda own, name: lambda x, *more: x)
    with pytest.raises(AssertionError):
        assert_loss_agrees(system_of(PROBLEMS["burgers_soft"]()))


def test_a_new_process_makes_the_code_that_a_run_looks_for(monkeypatch, tmp_path):
    """Under one name, with what is set during a training."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    jobs = []
    monkeypatch.setattr(Compiler, "take", lambda own, job: jobs.append(job))
    system = system_of(Burgers(exact_conditions=False))
    rows = probe_rows(system.problem, POINTS, 0)
    with exact_products():
        CompiledLoss(system.squared_sums)(system.trial.tensors(), rows, torch.ones(len(rows), dtype=torch.float64))
        (job,) = jobs
        own, other = gpu_code.names_of_packed(job)
    assert own == other
    assert len(own) == 1
