"""Tiles that do not overlap against windows that do: errors at equal numbers, points and steps.

    python tests/benchmarks/bench_tiles.py [PART OF A NAME] [--seeds 0 1 2 3] [--weight 100] [--flux residual]

A line has the relative L2 errors of the seeds and the seconds of the processor of a run, one thread, uncompiled; the
tables of docs/subdomains.md are made of them. Smooth solutions of many frequencies, and three that are not smooth where
tiles meet: slopes jump between two materials (on a line, and on a plate with a source where they touch, where the flux
jumps too), and second derivatives between 25. `weight` is that of what couples the tiles.
"""

import argparse
import logging
import math
import time
import warnings
from functools import partial

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.domains import Interval
from pinnlab.networks import SIREN, RandomFeatures, Subdomains, Tiles
from pinnlab.optimizers import GainRatio, LeastSquares, LevenbergMarquardt
from pinnlab.problems import (
    BlockPoisson,
    Dirichlet,
    Exact,
    Interface,
    MultiscalePoisson,
    Problem,
    Residual,
    RoughMedium1D,
    Tiled,
)


class Plate(Problem):
    """`Interface` as it is, not folded: one temperature on [-1, 1] x [0, 1], whose flux jumps at x = 0."""

    def __init__(self):
        self.folded = Interface()
        plate = Interval("x", -1, 1) * Interval("y", 0, 1)
        edge = Dirichlet(plate.boundary(), weight=10.0, u=0.0)
        super().__init__(plate, ["u"], {"pde": Residual(plate, self.balance), "edge": edge})

    def conductivity(self, x):
        return torch.where(x < 0, self.folded.left, self.folded.right)

    def balance(self, u, x, y):
        left, right = self.folded.heating(x.abs(), y)
        return (self.conductivity(x) * u.laplacian() + torch.where(x < 0, left, right)) / 10

    def flux(self, u, x, y):
        added = torch.where(x < 0, 0.0, self.folded.source) * torch.sin(math.pi * y)
        return (self.conductivity(x) * u.x + added) / 10

    def solution(self, x, y):
        left, right = self.folded.solution(x.abs(), y)
        return torch.where(x < 0, left, right)

    def reference(self):
        return Exact(self.solution)


def sines(count, scale):
    return lambda narrower: partial(RandomFeatures, count=count, scale=scale / narrower)


def trained(*hidden, frequency):
    return lambda narrower: partial(SIREN, hidden=list(hidden), first_frequency=frequency / narrower)


SOLVE = partial(LeastSquares, sparse=True), 2
GAUSS_NEWTON = partial(LevenbergMarquardt, form="sparse", damping=GainRatio(initial=1e-12, lowest=1e-24)), 60

WAVES, SQUARE = MultiscalePoisson(exact_conditions=True), MultiscalePoisson(dim=2, octaves=4, exact_conditions=True)
JUMP = RoughMedium1D(medium="jump", form="strong", condition_weight=1e4)
CASES = {
    "waves, 32 of 32 sines": (WAVES, [32], sines(32, 6.0), SOLVE, {"pde": 3000}, None),
    "waves, 16 of 8 x 8 trained": (WAVES, [16], trained(8, 8, frequency=8.0), GAUSS_NEWTON, {"pde": 2500}, None),
    "square, 8 x 8 of 100 sines": (SQUARE, [8, 8], sines(100, 7.0), SOLVE, {"pde": 16_000}, None),
    "jump, 2 of 30 sines": (JUMP, [2], sines(30, 2.0), (LeastSquares, 2), {"pde": 500, "ends": 2}, "flux"),
    "plate, 2 of 200 sines": (Plate(), [2, 1], sines(200, 4.0), (LeastSquares, 2), {"pde": 4000, "edge": 600}, "flux"),
    "plate, 4 x 2 of 10 x 10 trained": (
        Plate(),
        [4, 2],
        trained(10, 10, frequency=2.0),
        GAUSS_NEWTON,
        {"pde": 2000, "edge": 400},
        "flux",
    ),
    "blocks, 5 x 5 of 100 sines": (
        BlockPoisson(),
        [5, 5],
        sines(100, 4.0),
        (partial(LeastSquares, sparse=True), 1),
        {"pde": 6000, "edge": 500},
        None,
    ),
    "blocks, 5 x 5 of 200 sines": (
        BlockPoisson(),
        [5, 5],
        sines(200, 4.0),
        (partial(LeastSquares, sparse=True), 1),
        {"pde": 8000, "edge": 1000},
        None,
    ),
}
"""By name: problem, grid, network, optimizer and steps, points, what must not jump between tiles beside u.

A tile is 1.9 times narrower than a window, and a wave as much lower in its coordinates: so are its network's.
"""


def run(case, kind, seed, weight, flux, order, narrower):
    """The error, the numbers that are trained and the seconds of the processor of one run."""
    problem, grid, network, (optimizer, steps), points, own = CASES[case]
    if kind is Tiles:
        problem = Tiled(problem, grid, flux=flux or own, order=order, weight=weight)
        faces = len(problem.conditions["interfaces"].region.pieces())
        several = len(problem.coordinates) > 1
        points = {**points, "interfaces": max(sum(points.values()) // 5, 20 * faces) if several else faces}
    before = time.process_time()
    build = partial(kind, grid=grid, network=network(narrower if kind is Tiles else 1.0))
    model = PINN(problem, build, [Phase(optimizer, steps)], compile=False, seed=seed)
    data = CollocationDataModule(problem, points=points, seed=seed)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    L.Trainer(max_epochs=-1, **quiet).fit(model, data)
    spent = time.process_time() - before
    return model.measure_errors(data)["u"], sum(p.numel() for p in model.trial.trained()), spent


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chosen", nargs="?", default="")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--order", type=int, default=1)
    parser.add_argument("--narrower", type=float, default=1.9)
    parser.add_argument("--flux")
    parser.add_argument("--kind", choices=["Tiles", "Subdomains"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    kinds = [kind for kind in (Subdomains, Tiles) if given.kind in (None, kind.__name__)]
    for case in [name for name in CASES if given.chosen in name]:
        for kind in kinds:
            made = [
                run(case, kind, seed, given.weight, given.flux, given.order, given.narrower) for seed in given.seeds
            ]
            errors, (numbers, *_), seconds = zip(*made, strict=True)
            spent = sum(seconds) / len(seconds)
            shown = ", ".join(f"{e:.1e}" for e in errors)
            print(f"RESULT {case} | {kind.__name__} | {numbers:,} | {shown} | {spent:.1f} s", flush=True)
