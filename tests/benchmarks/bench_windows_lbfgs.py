"""Quasi-Newton methods on networks of windows, at equal numbers of evaluations of loss and gradient.

    python tests/benchmarks/bench_windows_lbfgs.py [--problem poisson] [--evaluations 2000] [--seeds 4]

A line has the loss, the relative L2 errors with each seed, and seconds of the processor of the first one. The settings
were chosen with seed 0. Evaluations of several colours count one each, although each moves some of the windows only.
"""

import argparse
import logging
import statistics
import time
import warnings
from functools import partial

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import EvaluationBudget
from pinnlab.networks import MLP, SIREN, Subdomains
from pinnlab.optimizers import LBFGS, MultiPreconditionedLBFGS, SchwarzLBFGS, SSBroyden
from pinnlab.problems import Burgers, MultiscalePoisson

DEEP = partial(SIREN, hidden=[16, 16], first_frequency=6.0)
SINES = partial(SIREN, hidden=[8], first_frequency=8.0)
POISSON = partial(MultiscalePoisson, octaves=4, exact_conditions=True)
BURGERS = partial(Burgers, exact_conditions=True)
PROBLEMS = {
    "poisson": (POISSON, partial(Subdomains, grid=[16], network=SINES), 600),
    "poisson, two levels": (POISSON, partial(Subdomains, grid=[16], levels=2, network=SINES), 600),
    "poisson, square": (
        partial(MultiscalePoisson, dim=2, octaves=3, exact_conditions=True),
        partial(Subdomains, grid=[8, 8], network=DEEP),
        3000,
    ),
    "burgers": (BURGERS, partial(Subdomains, grid=[4, 2], network=partial(MLP, hidden=[16])), 1500),
}
OPTIMIZERS = {
    "LBFGS": LBFGS,
    "SSBroyden": SSBroyden,
    "SchwarzLBFGS additive": partial(SchwarzLBFGS, mode="additive", local_iterations=10, history=50),
    "MP-LBFGS, 1 global iteration, scalar start": partial(
        MultiPreconditionedLBFGS, global_iterations=1, block_start=False
    ),
    "MP-LBFGS, scalar start": partial(MultiPreconditionedLBFGS, block_start=False),
    "MP-LBFGS": MultiPreconditionedLBFGS,
}


def trained(problem, network, points, optimizer, evaluations, seed):
    """One run: the loss, the error and seconds of the processor."""
    L.seed_everything(seed, verbose=False)
    built = problem()
    module = PINN(built, network, [Phase(optimizer)], compile=False, seed=seed)
    data = CollocationDataModule(built, points={"pde": points}, seed=seed)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=-1, limit_val_batches=0, callbacks=[EvaluationBudget(evaluations)],
    )  # fmt: skip
    before = time.process_time()
    trainer.fit(module, data)
    return module.current_loss(), module.measure_errors(data)["u"], time.process_time() - before


def main():
    """All methods on one problem or on all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", choices=PROBLEMS)
    parser.add_argument("--optimizer", choices=OPTIMIZERS)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for name in [options.problem] if options.problem else PROBLEMS:
        for method in [options.optimizer] if options.optimizer else OPTIMIZERS:
            arguments = (*PROBLEMS[name], OPTIMIZERS[method], options.evaluations)
            losses, errors, seconds = zip(*(trained(*arguments, seed) for seed in range(options.seeds)), strict=True)
            cells = [f"{statistics.median(losses):.1e}", *(f"{error:.1e}" for error in errors), f"{seconds[0]:.0f}"]
            print(f"| {name} | {method} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
