"""What a training step costs in many dimensions: ratios within one run, times in CPU seconds, peak memory.

    python tests/benchmarks/bench_dimensions.py

Each case runs in a process of its own, with one thread, so that its peak of memory is its own; cases take turns and the
median of the rounds counts, as the machine is usually shared. A step is a loss with its gradient and a step of Adam on
100 points, a network of four layers of 128 neurons, everything in float64, not compiled.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from pinnlab.networks import MLP
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import AllenCahnTwoBody, Poisson, Problem
from pinnlab.samplers import UniformRandom

CASES: dict[str, tuple[str, int, int | None, int]] = {
    "poisson 100, sample 16": ("poisson", 100, 16, 100),
    "poisson 1000, sample 16": ("poisson", 1000, 16, 100),
    "poisson 100, full": ("poisson", 100, None, 100),
    "poisson 1000, full": ("poisson", 1000, None, 100),
    "allen-cahn 100, sample 16": ("allen-cahn", 100, 16, 100),
    "allen-cahn 1000, sample 16": ("allen-cahn", 1000, 16, 100),
    "allen-cahn 100000, sample 16": ("allen-cahn", 100_000, 16, 100),
}
"""Equation, dimensions, coordinates that the Laplacian is estimated from, points."""


def measure(name: str, steps: int) -> dict[str, float]:
    """CPU seconds of a step, the median; peak memory in GiB, and how much of it came with the first step."""
    kind, dim, sample, count = CASES[name]
    torch.set_num_threads(1)
    problem: Problem
    problem = Poisson(dim=dim, sample=sample) if kind == "poisson" else AllenCahnTwoBody(dim=dim, sample=sample)
    region = problem.conditions["pde"].region
    assert region is not None
    rows = {"pde": UniformRandom().sample(region, count, seed=0)}
    if kind == "poisson":
        rows["boundary"] = UniformRandom().sample(problem.domain.boundary(), count // 4, seed=1)
    trial = Trial(problem, MLP(dim, 1, hidden=(128,) * 4).double())
    objective = GlobalLoss(ResidualSystem(problem, trial, "taylor"))
    objective.build(torch.device("cpu"))
    adam = torch.optim.Adam(trial.parameters(), lr=1e-3)
    weights = torch.ones(len(rows), dtype=torch.float64)
    before, times = peak(), []
    for step in range(steps):
        begin = time.process_time()
        trial.draws.take(step)
        adam.zero_grad()
        objective(rows, weights).backward()
        adam.step()
        times.append(time.process_time() - begin)
    return {"seconds": statistics.median(times[1:] or times), "GiB": peak(), "GiB of steps": peak() - before}


def peak() -> float:
    """The most memory that this process had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def apart(name: str, steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--case", name, "--steps", str(steps)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Prints one line for each case, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.case, given.steps)))
        return
    rounds = [{name: apart(name, given.steps) for name in given.only} for _ in range(given.rounds)]
    found = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]}
        for name in given.only
    }
    for name, numbers in found.items():
        print(f"{name:30s} {1e3 * numbers['seconds']:10.1f} ms of CPU a step, {numbers['GiB']:5.2f} GiB")
    for kind in ("poisson", "allen-cahn"):
        for how in ("sample 16", "full"):
            small, large = (found.get(f"{kind} {dim}, {how}") for dim in (100, 1000))
            if small and large:
                ratios = {key: large[key] / small[key] for key in ("seconds", "GiB")}
                print(f"{kind}, {how}: 1,000 over 100 dimensions: {ratios['seconds']:.2f} x time, "
                      f"{ratios['GiB']:.2f} x memory")  # fmt: skip


if __name__ == "__main__":
    main()
