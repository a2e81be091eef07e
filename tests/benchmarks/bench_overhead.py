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
from collections.abc import Iterator, Sequence

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import leave_gradient
from pinnlab.optimizers import prefer_fused
from pinnlab.problems import Burgers

UPDATES, ROUNDS = 1000, 3
POINTS = (100, 300, 1000, 3000)
TOGETHER = 10


def bare(module: PINN, data: CollocationDataModule, device: torch.device) -> float:
    """Milliseconds per update of a plain loop: the same loss and gradient, and Adam."""
    module.to(device)
    module.objective.build(device)
    batch = {name: rows.to(device) for name, rows in data.store.batch().items()}
    optimizer = torch.optim.Adam(module.trial.parameters(), lr=1e-3)
    prefer_fused(optimizer)

    def update() -> None:
        optimizer.zero_grad()
        loss = module.objective(batch, module.loss_weights)
        if not leave_gradient(loss):
            loss.backward()
        optimizer.step()

    for _ in range(5):  # until a GPU replays
        update()
    float(module.objective.value())
    start = time.perf_counter()
    for _ in range(UPDATES):
        update()
    float(module.objective.value())
    return 1e3 * (time.perf_counter() - start) / UPDATES


class Clock(L.Callback):
    """Time from the first step's end to the last one's."""

    def on_train_batch_end(self, trainer: L.Trainer, *unused: object) -> None:
        """Notes the time."""
        if trainer.global_step == 1:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", 0.0)


def fitted(
    points: int, compiled: bool, updates: int, device: torch.device
) -> tuple[float, PINN, CollocationDataModule]:
    """Milliseconds per update of `Trainer.fit` with the same set-up."""
    problem = Burgers()
    adam = Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=UPDATES // updates + 1, updates=updates)
    module = PINN(problem, functools.partial(MLP, hidden=[20, 20, 20]), [adam], compile=compiled)
    data, clock = CollocationDataModule(problem, points=points, evaluation_points=100), Clock()
    L.Trainer(
        max_epochs=-1, logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        limit_val_batches=0, callbacks=[clock], accelerator="cpu" if device.type == "cpu" else "gpu", devices=1,
    ).fit(module, data)  # fmt: skip
    return 1e3 * clock.seconds / UPDATES, module, data


def rows(counts: Sequence[int], kinds: Sequence[bool], rounds: int, device: torch.device) -> Iterator[str]:
    """The table, row by row.

    Args:
        counts: of points.
        kinds: whether functions are compiled.
        rounds: turns of each.
        device: where.
    """
    yield "| an update of Adam, points | compiled | bare loop, ms | one in a step, ms | ten in a step, ms |"
    yield "|---|---|---|---|---|"
    for points in counts:
        for compiled in kinds:
            taken: dict[str, list[float]] = {"bare": [], "one": [], "ten": []}
            for _ in range(rounds):
                one, module, data = fitted(points, compiled, 1, device)
                taken["one"].append(one)
                taken["ten"].append(fitted(points, compiled, TOGETHER, device)[0])
                taken["bare"].append(bare(module, data, device))
            medians = " | ".join(f"{statistics.median(times):.2f}" for times in taken.values())
            yield f"| {points:,} | {'yes' if compiled else 'no'} | {medians} |"


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for row in rows(POINTS, (True, False), ROUNDS, torch.device("cpu")):
        print(row)
