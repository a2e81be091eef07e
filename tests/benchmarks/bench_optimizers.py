"""What the optimizers cost beside the loss evaluations that they make.

    python tests/benchmarks/bench_optimizers.py [dense] [gauss_newton] [trainer]

Prints times (medians) and the ratios that matter; the ratios are what to compare between machines.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch

from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.optimizers import LevenbergMarquardt, SSBroyden
from pinnlab.problems import Burgers, Poisson2D
from pinnlab.samplers import Sobol
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import PointStore


def milliseconds(work: Callable[[], object], times: int = 30) -> float:
    """The median time of some work, after two runs to warm up."""
    taken = []
    for k in range(times + 2):
        start = time.perf_counter()
        work()
        if k > 1:
            taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def loss_and_gradient(module: PINN, batch: dict[str, torch.Tensor], compiled: bool) -> Callable[[], torch.Tensor]:
    """The bare evaluation: no Lightning, no optimizer."""
    evaluate = CompiledLoss(module.system.squared_sums) if compiled else module.system.weighted_loss
    tensors = module.trial.tensors()
    counts = module.loss_weights.new_tensor([len(rows) for rows in batch.values()])

    def work() -> torch.Tensor:
        for parameter in module.trial.parameters():
            parameter.grad = None
        loss, _ = evaluate(tensors, batch, module.loss_weights / counts)
        loss.backward()
        return loss.detach()

    return work


def dense() -> None:
    """One dense update against one evaluation: about 1,000 parameters, 3,000 points."""
    module = PINN(Burgers(), functools.partial(MLP, hidden=(21, 21, 21)))
    batch = {"pde": Sobol().sample(module.problem.domain, 3000, 0)}
    n = sum(p.numel() for p in module.trial.parameters())
    x = torch.nn.Parameter(torch.zeros(n, dtype=torch.float64))
    optimizer = SSBroyden([x])
    generator = torch.Generator().manual_seed(0)
    s, noise = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
    y = s + 0.1 * noise
    optimizer._learn(s, y, -s, 1.0)
    update = milliseconds(lambda: optimizer._learn(s, y, -s, 1.0))
    product = milliseconds(lambda: optimizer._times(y))
    evaluation = milliseconds(loss_and_gradient(module, batch, compiled=True))
    print(f"dense  n = {n}: update {update:.2f} ms (with its product Hy), product {product:.2f} ms, evaluation "
          f"{evaluation:.2f} ms: the update costs {update / evaluation:.0%} of an evaluation")  # fmt: skip


def gauss_newton() -> None:
    """One Levenberg-Marquardt iteration against its linear algebra: n about 500, N about 800."""
    problem = Poisson2D()
    module = PINN(problem, functools.partial(MLP, hidden=(20, 20)))
    store = PointStore(problem, {"pde": 680, "boundary": 120}, dict.fromkeys(problem.conditions, Sobol()), 0)
    batch = store.batch()
    functions = LinearizedFunctions(module.system, Compiler())
    factors = module.loss_weights / torch.tensor([len(rows) for rows in batch.values()], dtype=torch.float64)
    optimizer = LevenbergMarquardt(module.trial.parameters())
    closure = loss_and_gradient(module, batch, compiled=True)

    def enabled() -> torch.Tensor:
        with torch.enable_grad():
            return closure()

    def step() -> None:
        optimizer.step(enabled, linearization=Linearization(functions, module.trial.tensors(), batch, factors))

    whole = milliseconds(step, 60)
    linearization = Linearization(functions, module.trial.tensors(), batch, factors)
    size, n = linearization.shape
    rows = torch.randn(size, n, dtype=torch.float64)

    def algebra() -> None:
        matrix = rows.T @ rows
        matrix.diagonal().add_(1.0)
        torch.cholesky_solve(rows.T @ rows[:, :1], torch.linalg.cholesky(matrix))

    bare = milliseconds(algebra)
    print(f"LM     n = {n}, N = {size}: iteration {whole:.2f} ms, its linear algebra {bare:.2f} ms, beyond it "
          f"{whole - bare:.2f} ms; loss and gradient {milliseconds(enabled):.2f} ms")  # fmt: skip


class _Timed(PINN):
    """Notes how long every evaluation takes that an optimizer asks for through Lightning, and every step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.evaluation_times: list[float] = []
        self.step_times: list[tuple[float, int]] = []

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        def closure() -> Any:
            start = time.perf_counter()
            loss = optimizer_closure() if optimizer_closure else None
            self.evaluation_times.append(1e3 * (time.perf_counter() - start))
            return loss

        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        self.step_times.append((1e3 * time.perf_counter(), self.evaluations))


def trainer() -> None:
    """An evaluation that SSBroyden asks for in `Trainer.fit` against the bare compiled one."""
    problem = Burgers()
    phases = [Phase(functools.partial(torch.optim.Adam, lr=5e-3), steps=50), Phase(SSBroyden, steps=150)]
    module = _Timed(problem, functools.partial(MLP, hidden=(20, 20, 20)), phases, compile=True)
    data = CollocationDataModule(problem, points=3000, held_out=0)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    L.Trainer(accelerator="cpu", max_epochs=-1, enable_checkpointing=False, limit_val_batches=0,
              num_sanity_val_steps=0, **quiet).fit(module, data)  # fmt: skip
    bare = milliseconds(loss_and_gradient(module, data.store.batch(), compiled=True), 200)
    seen = statistics.median(module.evaluation_times[100:])
    (start, before), (end, after) = module.step_times[60], module.step_times[-1]
    whole = (end - start) / (after - before)
    print(f"fit    an evaluation {seen:.2f} ms in Trainer.fit, bare {bare:.2f} ms: {seen / bare:.2f} times; with "
          f"SSBroyden's own work {whole:.2f} ms")  # fmt: skip


if __name__ == "__main__":
    parts = {"dense": dense, "gauss_newton": gauss_newton, "trainer": trainer}
    for name in sys.argv[1:] or parts:
        parts[name]()
