"""What test_sparse_of_two.py has each of two processes do: saves steps through a sparse Jacobian."""

from functools import partial

import torch

from pinnlab.networks import MLP, ScaledInput, Subdomains, Tiles
from pinnlab.numerics.schwarz import MODES
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import GainRatio, LevenbergMarquardt
from pinnlab.optimizers.last_layer import solve_sparse_last_layer
from pinnlab.problems import MultiscalePoisson, Tiled
from pinnlab.samplers import Sobol

SHARES = {
    "uneven": {"pde": [40, 33], "boundary": [0, 2]},
    "idle": {"pde": [0, 60], "boundary": [0, 2]},
    "tiles": {"pde": [40, 33], "boundary": [0, 2], "interfaces": [3, 1]},
}
"""Points of each condition on each rank."""


def setting(kind, rank):
    """The residuals, and a rank's points; all of them where no rank is given."""
    problem = MultiscalePoisson(octaves=2)
    torch.manual_seed(0)
    network = partial(Subdomains, grid=5, levels=2, network=partial(MLP, hidden=[3]))(1, 1).double()
    if kind == "tiles":
        problem = Tiled(problem, grid=[5])
        network = ScaledInput(partial(Tiles, grid=5, network=partial(MLP, hidden=[3]))(1, 1), [0.0], [1.0]).double()
    system, batch = ResidualSystem(problem, Trial(problem, network)), {}
    for name, condition in problem.conditions.items():
        rows = condition.rows(Sobol().sample(condition.region, sum(SHARES[kind][name]), 1))
        batch[name] = rows if rank is None else rows.split(SHARES[kind][name])[rank]
    return system, batch


def around(system, batch):
    """The linearization at the present parameters."""
    factors = torch.tensor([1.0, 100.0, 100.0], dtype=torch.float64)[: len(batch)]
    return Linearization(LinearizedFunctions(system), system.trial.tensors(), batch, factors)


def steps(kind, rank=None):
    """Damped steps, that of the last layer, how many rows the process has, and parameters after four steps."""
    system, batch = setting(kind, rank)
    found = around(system, batch)
    last, staircase = solve_sparse_last_layer(found, 1e-3)[1], found.staircase("x")
    made = {"damped": staircase.solve(1e-3), "last": last.minimiser, "left over": torch.tensor(last.left_over)}
    made |= {mode: found.schwarz("x", 5, mode).solve(1e-1) for mode in MODES}
    return {**made, "rows": torch.tensor([len(staircase.rows.right)]), "trained": trained(system, batch)}


def trained(system, batch):
    """The parameters `(n,)` after four steps of Levenberg and Marquardt's method."""
    parameters = list(system.trial.parameters())
    optimizer = LevenbergMarquardt(parameters, form="sparse", damping=GainRatio(initial=1e-2, lowest=1e-4))
    for _ in range(4):
        found = around(system, batch)

        def closure(found=found):
            gradient = found.gradient().split([p.numel() for p in parameters])
            for parameter, part in zip(parameters, gradient, strict=True):
                parameter.grad = part.view_as(parameter)
            return found.loss()

        optimizer.step(closure, found)
    return torch.cat([p.detach().flatten() for p in parameters])


def save(rank, folder):
    """Makes a group with the other rank, and saves what they have together."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    torch.save({kind: steps(kind, rank) for kind in SHARES}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
