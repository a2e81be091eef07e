"""What a study keeps of the course of a run, and not of its end: curves, in one cell of its line each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.studies.engine.runner import Row
from pinnlab.training.trainer_parts import callbacks_of

Unit = Literal["evaluations", "points_seen", "seconds", "processor_seconds"]
_CLOCKS: Mapping[str, Callable[[], float]] = {"seconds": time.perf_counter, "processor_seconds": time.process_time}


class Recorder(L.Callback):
    """Measures a run at given numbers of evaluations, of points seen, or of seconds without those of measuring.

    Seconds are those of the wall clock or of this process's processor: what others do on the machine is not in these.

    Args:
        at: when: at the end of the step in which a number is reached; 0 is before the first step.
        what: takes trainer and module to numbers by name; in a recipe the path of a function.
        unit: what `at` counts.
        ends: whether the run ends with the last of them.

    Attributes:
        curves: by name what was measured, in the order of `at`; a run that ended early has fewer.
        spent: how many of the unit the run took.

    Raises:
        ConfigurationError: the numbers do not increase.
    """

    def __init__(
        self, at: Sequence[float], what: Callable[..., Any], unit: Unit = "evaluations", ends: bool = False
    ) -> None:
        if list(at) != sorted(set(at)) or not at:
            raise ConfigurationError(f"Recorder.at: give increasing numbers of evaluations, not {list(at)}")
        self.at, self.what, self.unit = tuple(at), what, unit
        self.ends_runs = ends
        self.curves: dict[str, list[float]] = {}
        self.spent = 0.0
        self._next = 0
        self._began = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures the initial weights, if asked for."""
        self._began = self._now()
        self._measure(trainer, pl_module, self._began)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measures when the next number is reached."""
        self._measure(trainer, pl_module, self._now())

    def _measure(self, trainer: L.Trainer, module: Any, asked: float) -> None:
        count = self.spent = asked - self._began if self.unit in _CLOCKS else float(getattr(module, self.unit))
        if self._next == len(self.at) or count < self.at[self._next]:
            return
        values = self.what(trainer, module)
        while self._next < len(self.at) and count >= self.at[self._next]:
            for name, value in values.items():
                self.curves.setdefault(name, []).append(value)
            self._next += 1
        self._began += self._now() - asked
        if self.ends_runs and self._next == len(self.at):
            trainer.should_stop = True

    def _now(self) -> float:
        return _CLOCKS[self.unit]() if self.unit in _CLOCKS else 0.0


class StableRate(L.Callback):
    """Sets the rate of gradient descent to a fraction of the largest stable one, 1 / the kernel's largest eigenvalue.

    A step of rate a on the loss r'r multiplies the part of r along an eigenvector of the kernel by 1 - 2 a lambda,
    and what is multiplied by less than -1 grows. The kernel is that of the initial weights.

    Args:
        fraction: of the largest stable rate; at 1/2 the first mode vanishes in one step.

    Attributes:
        rate: the one that was set.

    Raises:
        ConfigurationError: the fraction is not positive.
    """

    def __init__(self, fraction: float) -> None:
        if not fraction > 0:
            raise ConfigurationError(f"StableRate.fraction: must be above 0, got {fraction}")
        self.fraction, self.rate = fraction, math.nan

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Computes the kernel of all points and sets the rate."""
        kernel = kernel_of(trainer, pl_module)
        self.rate = self.fraction / float(torch.linalg.eigvalsh(kernel)[-1])
        for group in pl_module.current_optimizer().param_groups:
            group["lr"] = self.rate


def kernel_of(trainer: Any, module: Any) -> Tensor:
    """The neural tangent kernel `(N, N)` of the loss on all points, see `Linearization.kernel`."""
    kernel: Tensor = module.linearization(trainer.datamodule.store.batch()).kernel()
    return kernel


def error(trainer: Any, module: Any) -> dict[str, float]:
    """The relative L2 error of the worst unknown, for a `Recorder`."""
    return {"relative_l2": max(module.measure_errors(trainer.datamodule).values())}


def recording(
    at: Sequence[float], what: Callable[..., Any], unit: Unit = "evaluations", ends: bool = False
) -> dict[str, Any]:
    """A `Recorder` as a recipe names it."""
    init_args = {"at": list(at), "what": f"{what.__module__}.{what.__qualname__}", "unit": unit, "ends": ends}
    return {"class_path": f"{__name__}.Recorder", "init_args": init_args}


def stable_rate(fraction: float) -> dict[str, Any]:
    """A `StableRate` as a recipe names it."""
    return {"class_path": f"{__name__}.StableRate", "init_args": {"fraction": fraction}}


def recorded(trained: Any) -> Row:
    """What the `Recorder`s of a run measured, as cells."""
    recorders = callbacks_of(trained.trainer, Recorder)
    return {name: cell(values) for recorder in recorders for name, values in recorder.curves.items()}


def clock_of(trained: Any) -> Recorder:
    """The first `Recorder` of a run."""
    return callbacks_of(trained.trainer, Recorder)[0]


def errors_in_time(trained: Any) -> Row:
    """The errors after so many seconds of the processor, and how many the run took."""
    clock = clock_of(trained)
    return {"processor_seconds": round(clock.spent, 2), "errors": cell(clock.curves.get("relative_l2", []))}


def cell(values: Sequence[float]) -> str:
    """Numbers as one cell of a line: four digits each, with blanks between."""
    return " ".join(f"{value:.4g}" for value in values)


def numbers(cell: str) -> list[float]:
    """The numbers of a cell."""
    return [float(value) for value in cell.split()]


def settled(at: Sequence[int], curve: Sequence[float], level: float = 0.5) -> float:
    """The number, of those in `at`, from which on a curve stays below a level; infinite if it ends above it."""
    last = max((i for i, value in enumerate(curve) if not value < level), default=-1)
    return at[last + 1] if last + 1 < len(curve) else math.inf
