"""Losses, gradients, scores and Jacobians on a device are those on the CPU: every problem, every network.

And on the card that is not there, none of them copies from the CPU or waits where a GPU would record it.
"""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from cases import NETWORKS, PROBLEMS
from devices import PLACES, at, fetched, some_compiled
from watched import RECORDED, watched

from pinnlab.networks import MLP, Tiles
from pinnlab.numerics.compilation import can_compile
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.graph_replay import PLAIN_CALLS
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.scores import SCORES
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Tiled
from pinnlab.training.network import build_network
from pinnlab.training.point_store import probe_rows

POINTS = 11
COMPILED_PROBLEMS = {
    "allen_cahn_periodic", "biharmonic1d", "burgers_soft", "darcy_operator_soft", "hamilton_jacobi_bellman",
    "heat_inverse", "ks_soft", "multiscale_tiled", "poisson100d", "poisson2d_neumann", "sine_gordon_two_body", "wave",
}  # fmt: skip
"""Terms of each kind, and derivatives of each order; the others are compiled with `-m "cuda and slow"`."""
COMPILED_NETWORKS = {
    "attention", "mlp-fourier", "modified-mlp", "piratenet", "siren", "spectral-features", "subdomains", "tiles",
}  # fmt: skip


def built(problem, network, device, compiled=False, **options):
    """A loss with its system, which has `options`, rows of each condition, and their weights."""
    trial = Trial(problem, copy.deepcopy(network)).double().to(device)
    system = ResidualSystem(problem, trial, **options)
    system.resolve_engine()
    objective = GlobalLoss(system)
    objective.compiler = Compiler() if compiled else None
    objective.build(device)
    rows = {name: part.to(device) for name, part in probe_rows(problem, POINTS, 0).items()}
    weights = torch.tensor([c.weight for c in problem.conditions.values()], dtype=torch.float64).to(device)
    return objective, system, rows, weights


def products(objective, system, rows, weights):
    """Of the Jacobian, without its rows, and of the Hessian, with a vector."""
    functions = LinearizedFunctions(system, objective.compiler)
    around = Linearization(functions, system.trial.tensors(), rows, weights, memory=0)
    v = torch.linspace(-1, 1, around.shape[1], dtype=torch.float64).to(weights.device)
    return {"J'J v": around.transposed_times(around.times(v)), "H v": around.hessian_times(v)}


def computed(problem, network, device, compiled=False, each=True):
    """Everything that training asks of an objective, with the places of what came out; gradients of each condition."""
    objective, system, rows, weights = built(problem, network, device, compiled)
    for _ in range(PLAIN_CALLS + 1 if device.type == "cuda" else 0):  # until evaluations are replayed
        objective(rows, weights)
        with torch.no_grad():
            _ = [system.score(name, part) for name, part in rows.items()]
    objective(rows, weights).backward()
    found = {"loss": objective.last.loss, "sums": objective.last.sums}
    found |= {f"grad {name}": p.grad for name, p in system.trial.named_parameters() if p.grad is not None}
    scored = list(SCORES) if len(problem.coordinates) < 10 else ["residual"]
    with torch.no_grad():
        for name, part in rows.items():
            found |= {f"{kind} {name}": SCORES[kind](system, name, part) for kind in scored}
            if problem.conditions[name].names():
                found |= {f"target {name} {u}": t for u, t in system.targets(name, part).items()}
    around = objective.linearization(rows, weights)
    matrix, right = around.gram()
    v = torch.linspace(-1, 1, around.shape[1], dtype=torch.float64).to(device)
    found |= {"gram": matrix, "right": right, "J v": around.times(v), "loss again": around.loss()}
    found |= {"kernel": around.kernel(), "scaled": around.row_scaled().residual(), "sketch": around.triangle(sketch=3)}
    found |= products(objective, system, rows, weights)
    if each:
        found |= {"gradients": objective.gradients(rows, weights).by_condition()}
    return found


def small_network(problem):
    """A perceptron, or one in each tile: across faces inside one network all rows are round-off."""
    if isinstance(problem, Tiled):
        tiles = partial(Tiles, grid=problem.conditions["interfaces"].grid, network=partial(MLP, hidden=[6, 5]))
        return build_network(problem, tiles, True, 0)
    return MLP(len(problem.coordinates), len(problem.unknowns), hidden=[6, 5])


def agree(problem, network, place, compiled=False, **options):
    """Asserts that a device computes what the CPU computes, and on the card that no recording would be refused."""
    expected = computed(problem, network, torch.device("cpu"), **options)
    with at(place) as there, watched() if place == "card" else nullcontext() as watch:
        if compiled and not can_compile(there.device):
            pytest.skip("no Triton, without which nothing is compiled for a GPU")
        found = computed(problem, network, there.device, compiled, **options)
        assert {name: t.device for name, t in found.items()} == dict.fromkeys(found, there.device)
    if watch is not None:
        assert (watch.evaluated, watch.seen) == (RECORDED, [])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        scale = float(value.abs().max()) + 1e-300
        assert float((fetched(found[name]) - value.detach()).abs().max()) <= 1e-9 * scale, name


def agrees_on_problem(name, place, compiled=False):
    problem = PROBLEMS[name]()
    torch.manual_seed(0)
    agree(problem, small_network(problem), place, compiled, each=False)  # of all of them one gradient is taken


def agrees_on_network(name, place, compiled=False):
    torch.manual_seed(0)
    agree(PROBLEMS["burgers_soft"](), NETWORKS[name](2, 1), place, compiled)


@pytest.mark.usefixtures("coarser_references")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem(name, place):
    agrees_on_problem(name, place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name, place):
    agrees_on_network(name, place)


@pytest.mark.cuda
@pytest.mark.usefixtures("coarser_references")
@pytest.mark.parametrize("name", some_compiled(PROBLEMS, COMPILED_PROBLEMS))
def test_compiled_problems(name):
    agrees_on_problem(name, "cuda", True)


@pytest.mark.cuda
@pytest.mark.parametrize("name", some_compiled(NETWORKS, COMPILED_NETWORKS))
def test_compiled_networks(name):
    agrees_on_network(name, "cuda", True)
