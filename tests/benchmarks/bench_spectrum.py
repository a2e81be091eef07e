"""What spectra cost, in evaluations of the loss with its gradient, and the memory that they take.

    python tests/benchmarks/bench_spectrum.py [exact] [matrix_free] [callback]

Everything is measured in turns in one process; the ratios are what to compare between machines.
"""

from __future__ import annotations

import functools
import logging
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from pinnlab.analysis.ntk import kernel_spectra, kernel_spectrum
from pinnlab.callbacks import NTKSpectrum, ResidualResampling, Rollback
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.blocked_loss import BlockedLoss
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.optimizers import SSBroyden
from pinnlab.problems import Burgers
from pinnlab.samplers import Sobol
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def burgers(points: int) -> tuple[PINN, dict[str, torch.Tensor], torch.Tensor]:
    """A module with 8,161 parameters, so many points, nine tenths of them for the equation, and the loss's factors."""
    problem = Burgers(exact_conditions=False)
    module = PINN(problem, functools.partial(MLP, hidden=(51, 51, 51, 51)))
    batch = {}
    for name, condition in problem.conditions.items():
        count = points * 9 // 10 if name == "pde" else points // 20
        batch[name] = condition.rows(Sobol().sample(condition.region, count, 0))
    counts = module.loss_weights.new_tensor([len(rows) for rows in batch.values()])
    return module, batch, module.loss_weights / counts


def exact() -> None:
    """All eigenvalues at N = 1,000 and n = 8,161, of the whole and of the three blocks."""
    module, batch, factors = burgers(1000)
    tensors = module.trial.tensors()
    loss = BlockedLoss(CompiledLoss(module.system.squared_sums), module.system.floats_per_row())

    def evaluation() -> None:
        for parameter in module.trial.parameters():
            parameter.grad = None
        loss(tensors, batch, factors)[0].backward()

    kinds = {"compiled": LinearizedFunctions(module.system, Compiler()), "eager": LinearizedFunctions(module.system)}
    works: dict[str, Callable[[], object]] = {"loss": lambda: [evaluation() for _ in range(10)]}
    for kind, functions in kinds.items():
        make = functools.partial(Linearization, functions, tensors, batch, factors)
        works[f"{kind}, whole"] = lambda make=make: kernel_spectrum(make())
        works[f"{kind}, whole and blocks"] = lambda make=make: kernel_spectra(make())
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(9):
        for name, work in works.items():
            taken = seconds(work)
            if turn > 1:
                times[name].append(taken)
    unit = statistics.median(times.pop("loss")) / 10
    shape = Linearization(kinds["eager"], tensors, batch, factors).shape
    print(f"exact, N x n = {shape}: loss with gradient, compiled, {1e3 * unit:.1f} ms")
    for name, taken in times.items():
        ratios = sorted(t / unit for t in taken)
        print(f"  {name}: {statistics.median(ratios):.0f} evaluations ({ratios[0]:.0f} to {ratios[-1]:.0f})")


def matrix_free() -> None:
    """The largest 50 eigenvalues at N = 50,000."""
    module, batch, factors = burgers(50_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    functions = LinearizedFunctions(module.system)
    linearization = Linearization(functions, module.trial.tensors(), batch, factors)
    start = time.perf_counter()
    found = kernel_spectrum(linearization, top=50)
    taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = found.eigenvalues
    print(f"matrix-free, N x n = {linearization.shape}, top 50: {taken:.0f} s, {linearization.evaluations} passes over "
          f"the points, peak memory {peak:.2f} GiB, {before:.2f} GiB of it before; eigenvalues {float(values[0]):.6g} "
          f"to {float(values[-1]):.6g}, trace {found.trace:.6g}")  # fmt: skip


class Timed(NTKSpectrum):
    """Notes the time that it takes, and the time of the run from the end of the first step on."""

    taken = begun = seconds = 0.0
    measurements = 0

    def _measure(self, *arguments: Any) -> None:
        self.measurements += 1
        super()._measure(*arguments)

    def _during(self, hook: Callable[..., None], *arguments: Any) -> None:
        self.taken += seconds(lambda: hook(*arguments))

    def on_train_start(self, *arguments: Any) -> None:
        """Adds its time."""
        self._during(super().on_train_start, *arguments)

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Adds its time."""
        self.begun = self.begun or time.perf_counter()  # compilation is over
        self._during(super().on_train_batch_end, *arguments)

    def after_switch(self, *arguments: Any) -> None:
        """Adds its time."""
        self._during(super().after_switch, *arguments)

    def on_train_end(self, *arguments: Any) -> None:
        """Adds its time."""
        self._during(super().on_train_end, *arguments)
        self.seconds = time.perf_counter() - self.begun


def callback() -> None:
    """The share of `NTKSpectrum` with its defaults in the recipe `burgers`, with all that TensorBoard gets."""
    problem = Burgers()
    phases = [Phase(functools.partial(torch.optim.Adam, lr=5e-3)), Phase(SSBroyden, steps=500)]
    module = PINN(problem, functools.partial(MLP, hidden=(20, 20, 20)), phases)
    data, timed = CollocationDataModule(problem, points={"pde": 3000}), Timed()
    with tempfile.TemporaryDirectory() as folder:
        L.Trainer(
            accelerator="cpu", max_epochs=-1, logger=TensorBoardLogger(folder), enable_progress_bar=False,
            enable_checkpointing=False, enable_model_summary=False, num_sanity_val_steps=0, val_check_interval=100,
            check_val_every_n_epoch=None, callbacks=[ResidualResampling(every=500), Rollback(), timed],
        ).fit(module, data)  # fmt: skip
    rest = timed.seconds - timed.taken
    evaluation = rest / module.evaluations
    print(f"callback in the recipe burgers, {module.evaluations} evaluations: {timed.measurements} measurements took "
          f"{timed.taken:.2f} s, the rest of the run {rest:.1f} s: {timed.taken / rest:.1%}; a measurement costs "
          f"{timed.taken / timed.measurements / evaluation:.1f} evaluations of {1e3 * evaluation:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parts = {"exact": exact, "matrix_free": matrix_free, "callback": callback}
    for chosen in sys.argv[1:] or parts:
        parts[chosen]()
