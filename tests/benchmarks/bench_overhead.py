"""What Lightning adds to a step: `Trainer.fit` against the bare loss, gradient and optimizer step.

    python tests/benchmarks/bench_overhead.py

Both are timed in turns in one process, and the medians of the differences are printed.
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
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.problems import Burgers

STEPS, ROUNDS = 400, 5


def bare(module: PINN, data: CollocationDataModule, compiled: bool) -> float:
    """Milliseconds per step of a plain loop: the same residuals, backward, Adam."""
    evaluate = CompiledLoss(module.system.squared_sums) if compiled else module.system.weighted_loss
    tensors, batch = module.trial.tensors(), data.store.batch()
    factors = module.loss_weights / 1000
    evaluate(tensors, batch, factors)
    optimizer = torch.optim.Adam(module.trial.parameters(), lr=1e-3)
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _ = evaluate(tensors, batch, factors)
        loss.backward()
        optimizer.step()
    return 1e3 * (time.perf_counter() - start) / STEPS


class Clock(L.Callback):
    """Time from the first step's end to the last one's."""

    def on_train_batch_end(self, trainer: L.Trainer, *unused: object) -> None:
        """Notes the time."""
        if trainer.global_step == 1:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", 0.0)


def fitted(compiled: bool) -> tuple[float, PINN, CollocationDataModule]:
    """Milliseconds per step of `Trainer.fit` with the same set-up."""
    problem = Burgers()
    adam = Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=STEPS + 1)
    module = PINN(problem, functools.partial(MLP, hidden=[20, 20, 20]), [adam], compile=compiled)
    data, clock = CollocationDataModule(problem, points=1000, evaluation_points=100), Clock()
    L.Trainer(
        max_epochs=-1, logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        limit_val_batches=0, callbacks=[clock],
    ).fit(module, data)  # fmt: skip
    return 1e3 * clock.seconds / STEPS, module, data


def main() -> None:
    """Measures in turns and prints the medians."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for compiled in (True, False):
        differences, plain = [], []
        for _ in range(ROUNDS):
            through_fit, module, data = fitted(compiled)
            plain.append(bare(module, data, compiled))
            differences.append(through_fit - plain[-1])
        kind = "compiled" if compiled else "eager"
        added = statistics.median(differences)
        print(f"{kind}: bare step {statistics.median(plain):.2f} ms, Trainer.fit adds {added:.2f} ms")


if __name__ == "__main__":
    main()
