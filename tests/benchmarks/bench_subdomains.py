"""How much of the work of a step through a sparse Jacobian each of several processes does, against one process.

    python tests/benchmarks/bench_subdomains.py [--processes 2] [--rounds 3]

64 windows on an interval, and 32 x 2 on a square. What is timed is what a step is made of, as often everywhere: loss
and gradient, the sparse rows, the solve (of the last layer for random sines, damped for trained ones), and the loss at
the new point. A line has seconds of the wall clock with one process and with several, in turns, and seconds of the
processor, of one process and of the busiest of several, one thread each. Where other programs run beside it, the
processor's are the ones that count; time in which a process waits for another one without sleeping is in them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import torch

from pinnlab import PINN
from pinnlab.networks import SIREN, RandomFeatures, Subdomains
from pinnlab.numerics import distributed
from pinnlab.optimizers.last_layer import solve_sparse_last_layer
from pinnlab.problems import MultiscalePoisson
from pinnlab.samplers import Sobol

CASES = {
    "64 windows of 64 random sines, 20,000 points": (
        MultiscalePoisson(exact_conditions=True),
        partial(Subdomains, grid=[64], network=partial(RandomFeatures, count=64, scale=6.0)),
        False,
        20_000,
    ),
    "64 windows of 16 trained sines, 10,000 points": (
        MultiscalePoisson(exact_conditions=True),
        partial(Subdomains, grid=[64], network=partial(SIREN, hidden=[16], first_frequency=6.0)),
        True,
        10_000,
    ),
    "32 x 2 windows of 64 random sines, 12,000 points": (
        MultiscalePoisson(dim=2, octaves=2, exact_conditions=True),
        partial(Subdomains, grid=[32, 2], network=partial(RandomFeatures, count=64, scale=6.0)),
        False,
        12_000,
    ),
}
STEPS = 3


def step(module, batch, trained):
    """One step without its decisions; the loss that it ends with."""
    around = module.linearization(batch)
    point = around.point
    around.loss()
    around.gradient()
    if trained:
        system = around.staircase("benchmark")
        move = system.solve(1e-8)
        system.curvature(move)
    else:
        columns, solution = solve_sparse_last_layer(around)
        move = torch.zeros_like(point).index_copy(0, columns, solution.minimiser)
    return float(around.loss(point + move))


def run(case, rank, processes, folder):
    """One case, in this process or as one of several: seconds of a step, and the loss."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if processes > 1:
        store = f"file://{folder / 'store'}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=processes)
    problem, network, trained, points = CASES[case]
    module = PINN(problem, network, compile=False, seed=0)
    rows = Sobol().sample(problem.conditions["pde"].region, points, seed=1)
    batch = {"pde": distributed.shard(rows)}
    loss = step(module, batch, trained)
    wall, own = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        step(module, batch, trained)
    seconds = [(time.perf_counter() - wall) / STEPS, (time.process_time() - own) / STEPS]
    torch.save([*seconds, loss], folder / f"{rank}.pt")
    if processes > 1:
        torch.distributed.destroy_process_group()


def measured(case, processes):
    """Wall-clock seconds of a step, the processor's of the busiest process, and the loss after the first step."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, __file__, "--run", case, "--processes", str(processes), "--folder", name]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        started = [subprocess.Popen([*command, "--rank", str(k)], env=environment) for k in range(processes)]
        assert [process.wait() for process in started] == [0] * processes
        wall, own, loss = zip(*(torch.load(Path(name) / f"{rank}.pt") for rank in range(processes)), strict=True)
        return max(wall), max(own), loss[0]


def main():
    """Rounds of one and several processes, in turns; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=CASES)
    parser.add_argument("--rank", type=int)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.run:
        return run(options.run, options.rank, options.processes, options.folder)
    several = options.processes
    print(f"| a step | wall, 1 | wall, {several} | ratio | processor, 1 | busiest of {several} | ratio |", flush=True)
    for case in CASES:
        pairs = [(measured(case, 1), measured(case, several)) for _ in range(options.rounds)]
        cells = []
        for k in range(2):
            cells += [f"{statistics.median(found[i][k] for found in pairs):.2f}" for i in range(2)]
            cells.append(f"{statistics.median(one[k] / other[k] for one, other in pairs):.2f}")
        print(f"| {case} | {' | '.join(cells)} | losses {pairs[0][0][2]:.3e}, {pairs[0][1][2]:.3e}", flush=True)
    return None


if __name__ == "__main__":
    main()
