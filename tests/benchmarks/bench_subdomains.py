"""How much of the work of a step through a sparse Jacobian each of several processes does, against one process.

    python tests/benchmarks/bench_subdomains.py [--processes 2] [--rounds 3]

64 windows on an interval, and 64 x 2 on a square: `LeastSquares` on random sines and `LevenbergMarquardt` on trained
ones, one thread each. A line is about one step of training, after one that is not counted: wall-clock seconds with one
process and with several, in turns; and seconds of the processor, of one process and of the busiest of several. Where
other programs run beside it, the processor's are the ones that count. Time in which a process waits for another one
without sleeping is in them.
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

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.networks import SIREN, RandomFeatures, Subdomains
from pinnlab.optimizers import GainRatio, LeastSquares, LevenbergMarquardt
from pinnlab.problems import MultiscalePoisson

DAMPED = GainRatio(initial=1e-12, lowest=1e-24)
CASES = {
    "64 windows of 64 random sines, 20,000 points": (
        MultiscalePoisson(exact_conditions=True),
        partial(Subdomains, grid=[64], network=partial(RandomFeatures, count=64, scale=6.0)),
        partial(LeastSquares, sparse=True),
        20_000,
    ),
    "64 windows of 16 trained sines, 10,000 points": (
        MultiscalePoisson(exact_conditions=True),
        partial(Subdomains, grid=[64], network=partial(SIREN, hidden=[16], first_frequency=6.0)),
        partial(LevenbergMarquardt, form="sparse", damping=DAMPED),
        10_000,
    ),
    "32 x 2 windows of 64 random sines, 12,000 points": (
        MultiscalePoisson(dim=2, octaves=2, exact_conditions=True),
        partial(Subdomains, grid=[32, 2], network=partial(RandomFeatures, count=64, scale=6.0)),
        partial(LeastSquares, sparse=True),
        12_000,
    ),
}
STEPS = 3


class Clock(L.Callback):
    """Seconds of the wall clock and of the processor between the ends of the first and the last step."""

    def __init__(self):
        self.times = []

    def on_train_batch_end(self, trainer, pl_module, *unused):
        self.times.append((time.perf_counter(), time.process_time()))

    def per_step(self):
        (wall, own), (wall_end, own_end) = self.times[0], self.times[-1]
        steps = len(self.times) - 1
        return (wall_end - wall) / steps, (own_end - own) / steps


def train(case, processes):
    """One run; seconds per step, and the loss."""
    problem, network, optimizer, points = CASES[case]
    # Phases of one step, because least squares end when there is nothing left to gain.
    phases = [Phase(optimizer, steps=1) for _ in range(STEPS + 1)]
    module, clock = PINN(problem, network, phases, compile=False, seed=0), Clock()
    trainer = L.Trainer(
        max_epochs=-1, devices=processes, strategy="ddp" if processes > 1 else "auto", accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[clock],
        limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, CollocationDataModule(problem, points={"pde": points}, evaluation_points=100))
    return trainer.global_rank, [*clock.per_step(), module.current_loss()]


def run(case, processes, folder):
    """One case, in this process or as one of several."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    rank, values = train(case, processes)
    torch.save(values, folder / f"{rank}.pt")


def measured(case, processes):
    """Wall-clock seconds of a step, the processor's of the busiest process, and the loss."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(
            [sys.executable, __file__, "--run", case, "--processes", str(processes), "--folder", name],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        wall, own, loss = zip(*(torch.load(Path(name) / f"{rank}.pt") for rank in range(processes)), strict=True)
        return max(wall), max(own), loss[0]


def main():
    """Rounds of one and several processes, in turns; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=CASES)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.run:
        return run(options.run, options.processes, options.folder)
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
