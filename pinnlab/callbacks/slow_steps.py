"""Says when steps are suddenly much slower than before: something else is on the cores."""

from __future__ import annotations

import statistics
import time
from collections import deque
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.errors import ConfigurationError, check_real, check_whole

WINDOW = 50
"""Steps whose median a step is held against; until there are as many, nothing is said."""


class SlowSteps(L.Callback):
    """Tells once when several steps in a row take many times what steps took before, in the same phase.

    A second process with as many threads as cores makes a step not twice, but ten to fifty times as long: threads that
    wait for each other keep the cores busy. A single slow step is none: points are drawn, functions compiled.

    Args:
        factor: times the median of the last 50 steps.
        patience: steps in a row that have to be so slow.

    Attributes:
        warnings: what was said; it goes into the summary.

    Raises:
        ConfigurationError: `factor` does not exceed 1, or `patience` is below 1.
    """

    def __init__(self, factor: float = 10.0, patience: int = 5) -> None:
        check_real("SlowSteps", factor=factor)
        check_whole("SlowSteps", least=1, patience=patience)
        if not factor > 1:
            raise ConfigurationError(f"SlowSteps.factor: must exceed 1, got {factor}")
        self.factor, self.patience = factor, patience
        self.warnings: list[str] = []
        self._start_over(None)

    def _start_over(self, kind: Any) -> None:
        self._kind, self._slow = kind, 0
        self._times: deque[float] = deque(maxlen=WINDOW)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Nothing is known yet."""
        self.warnings = []
        self._start_over(None)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The clock of a step; what is done between two steps is no part of it."""
        self._begun = time.perf_counter()

    @rank_zero_only
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Looks at the step's time."""
        seconds, kind = time.perf_counter() - self._begun, (pl_module.phase, sum(map(len, batch.values())))
        if kind != self._kind:
            self._start_over(kind)
        if self.warnings:
            return
        median = statistics.median(self._times) if len(self._times) == WINDOW else None
        if median is None or seconds <= self.factor * median:
            self._slow = 0
            self._times.append(seconds)
            return
        self._slow += 1
        if self._slow == self.patience:
            line = (
                f"steps take {1e3 * seconds:.0f} ms, {seconds / median:.0f} times as long as before: is another "
                "process on the cores? Give each its share: OMP_NUM_THREADS = cores / processes"
            )
            self.warnings.append(line)
            pl_module.print(line)
