"""What Lightning adds to an update: `Trainer.fit`, with one update in a step and with ten, against the bare loop.

    python tests/benchmarks/bench_overhead.py

Loss, gradient and Adam's step, compiled and not, of Burgers' equation. All are timed in turns in one process; a row has
the medians.
"""

from __future__ import annotations

import functools
import logging
import statistics
import time
import warnings

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss, leave_gradient
from pinnlab.optimizers import prefer_fused
from pinnlab.problems import Burgers

UPDATES, ROUNDS = 400, 5
POINTS = (100, 300, 1000, 3000)
TOGETHER = 10


def bare(module: PINN, data: CollocationDataModule, compiled: bool) -> float:
    """Milliseconds per update of a plain loop: the same residuals, gradient, Adam."""
    evaluate = CompiledLoss(module.system.squared_sums) if compiled else module.system.weighted_loss
    tensors, batch = module.trial.tensors(), data.store.batch()
    factors = module.loss_weights / len(batch["pde"])
    evaluate(tensors, batch, factors)
    optimizer = torch.optim.Adam(module.trial.parameters(), lr=1e-3)
    prefer_fused(optimizer)
    start = time.perf_counter()
    for _ in range(UPDATES):
        optimizer.zero_grad()
        loss, _ = evaluate(tensors, batch, factors)
        if not leave_gradient(loss):
            loss.backward()
        optimizer.step()
    return 1e3 * (time.perf_counter() - start) / UPDATES


class Clock(L.Callback):
    """Time from the first step's end to the last one's."""

    def on_train_batch_end(self, trainer: L.Trainer, *unused: object) -> None:
        """Notes the time."""
        if trainer.global_step == 1:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", 0.0)


def fitted(points: int, compiled: bool, updates: int) -> tuple[float, PINN, CollocationDataModule]:
    """Milliseconds per update of `Trainer.fit` with the same set-up."""
    problem = Burgers()
    adam = Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=UPDATES // updates + 1, updates=updates)
    module = PINN(problem, functools.partial(MLP, hidden=[20, 20, 20]), [adam], compile=compiled)
    data, clock = CollocationDataModule(problem, points=points, evaluation_points=100), Clock()
    L.Trainer(
        max_epochs=-1, logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        limit_val_batches=0, callbacks=[clock],
    ).fit(module, data)  # fmt: skip
    return 1e3 * clock.seconds / UPDATES, module, data


def main() -> None:
    """Measures in turns and prints the medians."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = ["| points | compiled | bare loop, ms | one update a step, ms | ten, ms |", "|---|---|---|---|---|"]
    for points in POINTS:
        for compiled in (True, False):
            taken: dict[str, list[float]] = {"bare": [], "one": [], "ten": []}
            for _ in range(ROUNDS):
                one, module, data = fitted(points, compiled, 1)
                taken["one"].append(one)
                taken["ten"].append(fitted(points, compiled, TOGETHER)[0])
                taken["bare"].append(bare(module, data, compiled))
            medians = " | ".join(f"{statistics.median(times):.2f}" for times in taken.values())
            rows.append(f"| {points:,} | {'yes' if compiled else 'no'} | {medians} |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
