"""Run by test_sparse_of_two.py as one of several processes: saves steps through a sparse Jacobian.

python run_sparse.py RANK PROCESSES FOLDER
"""

import sys
import warnings
from functools import partial
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

from pinnlab.networks import MLP, Subdomains  # noqa: E402
from pinnlab.objective.linearization import Linearization, LinearizedFunctions  # noqa: E402
from pinnlab.objective.residuals import ResidualSystem  # noqa: E402
from pinnlab.objective.trial_function import Trial  # noqa: E402
from pinnlab.optimizers.last_layer import solve_sparse_last_layer  # noqa: E402
from pinnlab.problems import MultiscalePoisson  # noqa: E402
from pinnlab.samplers import Sobol  # noqa: E402

SHARES = {"uneven": {"pde": [40, 33], "boundary": [0, 2]}, "idle": {"pde": [0, 60], "boundary": [0, 2]}}
"""Points of each condition on each rank."""


def steps(kind, rank=None):
    """A damped step, and that of the last layer, on a rank's points; on all of them where no rank is given."""
    problem = MultiscalePoisson(octaves=2)
    torch.manual_seed(0)
    network = partial(Subdomains, grid=5, levels=2, network=partial(MLP, hidden=[3]))(1, 1).double()
    system, batch = ResidualSystem(problem, Trial(problem, network)), {}
    for name, condition in problem.conditions.items():
        rows = Sobol().sample(condition.region, sum(SHARES[kind][name]), 1)
        batch[name] = rows if rank is None else rows.split(SHARES[kind][name])[rank]
    factors = torch.tensor([1.0, 100.0], dtype=torch.float64)
    found = Linearization(LinearizedFunctions(system), system.trial.tensors(), batch, factors)
    last = solve_sparse_last_layer(found, 1e-3)[1]
    system = found.staircase("x")
    made = {"damped": system.solve(1e-3), "last": last.minimiser, "left over": torch.tensor(last.left_over)}
    return {**made, "rows": torch.tensor([len(system.rows.right)])}


if __name__ == "__main__":
    rank, processes, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=processes
    )
    torch.save({kind: steps(kind, rank) for kind in SHARES}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
