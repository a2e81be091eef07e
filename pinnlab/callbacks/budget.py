"""The end of a run after a number of loss evaluations, whatever its phases still plan."""

from __future__ import annotations

from typing import Any

import lightning as L

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.switching import phases_of


class EvaluationBudget(L.Callback):
    """Ends a run when its evaluations of loss and gradient are spent: the currency in which methods are compared.

    Args:
        evaluations: how many. The step in which they run out is finished, so a few more may be made.

    Raises:
        ConfigurationError: it is below 1.
    """

    def __init__(self, evaluations: int) -> None:
        if evaluations < 1:
            raise ConfigurationError(f"EvaluationBudget.evaluations: must be at least 1, got {evaluations}")
        self.evaluations = evaluations
        self._spent = False

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """A new run has its whole budget."""
        self._spent = False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Asks the trainer to stop after this step."""
        if pl_module.evaluations >= self.evaluations and not trainer.should_stop:
            self._spent = trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Says why: only now the phase's record has the last step."""
        if self._spent:
            phases_of(trainer).stop(trainer, StopReason.BUDGET)
