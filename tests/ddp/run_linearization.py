"""What test_linearization_of_two.py has each of two processes do: saves what a linearization returns."""

import torch
from cases import PROBLEMS

from pinnlab.analysis.curvature import MATRICES, curvature
from pinnlab.analysis.ntk import kernel_spectra, mode_decay
from pinnlab.networks import MLP
from pinnlab.numerics import distributed
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.samplers import Sobol

SHARES = {
    "even": {"pde": [6, 6], "wall": [2, 2], "start": [3, 3]},
    "uneven": {"pde": [9, 4], "wall": [0, 3], "start": [1, 0]},
    "idle": {"pde": [0, 7], "wall": [0, 2], "start": [0, 1]},
}
"""Points of each condition on each rank."""


def problem_of(kind):
    """A system, all its points by rank, and the factors of the loss."""
    problem = PROBLEMS["burgers_soft"]()
    torch.manual_seed(0)
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[5, 4]).double()))
    counts = SHARES[kind]
    batches: list[dict] = [{}, {}]
    for name, condition in problem.conditions.items():
        rows = condition.rows(Sobol().sample(condition.region, sum(counts[name]), 1))
        batches[0][name], batches[1][name] = rows.split(counts[name])
    weights = torch.tensor([c.weight for c in problem.conditions.values()], dtype=torch.float64)
    return system, batches, weights / torch.tensor([sum(n) for n in counts.values()])


def measure(found):
    """All that a linearization returns, for given vectors."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = found.shape
    v = torch.randn(columns, generator=generator, dtype=torch.float64)
    u = torch.randn(rows, generator=generator, dtype=torch.float64)
    matrix, right = found.gram()
    triangle = found.triangle()
    scaled = found.row_scaled()
    push, pull = found.products()
    return {
        "loss": found.loss(), "moved": found.loss(v), "residual": found.residual(), "kernel": found.kernel(),
        "gram": matrix, "right": right, "triangle": triangle.T @ triangle,
        "times": found.times(v), "transposed_times": found.transposed_times(u),
        "shared_times": push(v), "shared_transposed": pull(u),
        "gradient": found.gradient(), "gradient_moved": found.gradient(v), "hessian": found.hessian_times(v),
        "scaled_gram": scaled.gram()[0], "scaled_kernel": scaled.kernel(), "scaled_times": scaled.times(v),
        "scaled_transposed": scaled.transposed_times(u), "scaled_residual": scaled.residual(),
    }  # fmt: skip


def spectra(found):
    """Eigenvalues, traces and predicted decay, which do not depend on the order of the residuals."""
    results = {}
    for way, dense in (("matrix", 2000), ("lanczos", 3)):
        for name, spectrum in kernel_spectra(found, top=4, dense=dense).items():
            results[f"{way} {name}"] = spectrum.eigenvalues
            results[f"{way} {name} numbers"] = torch.tensor([spectrum.trace, spectrum.size], dtype=torch.float64)
    for matrix in MATRICES:
        found_there = curvature(found, matrix, top=3, probes=2, steps=4)
        results[matrix], results[f"{matrix} density"] = found_there.eigenvalues, found_there.density.nodes
    decay = mode_decay(found, 0.1 / float(results["matrix total"][0]), 3, 2)
    return {**results, "measured": decay.measured.abs(), "deviation": decay.deviation}


def save(rank, folder):
    """Makes a group with the other rank, and saves what they have together."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    results = {}
    for kind in SHARES:
        for memory in (1 << 30, 0):
            system, batches, factors = problem_of(kind)
            found = Linearization(LinearizedFunctions(system), system.trial.tensors(), batches[rank], factors, memory)
            results[f"{kind} {memory}"] = measure(found)
            results[f"{kind} {memory} spectra"] = spectra(found)
    results["gather"] = distributed.gather(torch.arange(3.0 * rank).reshape(-1, 3))
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
