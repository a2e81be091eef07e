"""The end of a run after a number of loss evaluations, whatever its phases still plan."""

from __future__ import annotations

from typing import Any

import lightning as L

from pinnlab.errors import ConfigurationError, StopReason, check_whole
from pinnlab.training.switching import phases_of


class EvaluationBudget(L.Callback):
    """Ends a run when its evaluations of loss and gradient are spent: the currency in which methods are compared.

    Where batches differ in size, points are the fairer currency: an evaluation on ten points is not one on a thousand.
    In neither are residuals of candidates among which `ResidualResampling` and its like choose points: those take time
    that is counted nowhere, with `every: 1` more than the steps do.

    Args:
        evaluations: how many. The step in which they run out is finished, so a few more may be made.
        points_seen: how many points, instead: rows of all conditions and processes, each time they are evaluated.

    Raises:
        ConfigurationError: not exactly one of the two is given, or it is below 1.
    """

    ends_runs = True
    """Marks callbacks that end a run: with one the last phase need not say how long it is."""

    def __init__(self, evaluations: int | None = None, points_seen: int | None = None) -> None:
        if (evaluations is None) == (points_seen is None):
            raise ConfigurationError("EvaluationBudget: give either evaluations or points_seen")
        for key, value in (("evaluations", evaluations), ("points_seen", points_seen)):
            if value is not None:
                check_whole("EvaluationBudget", least=1, **{key: value})
        self.evaluations, self.points_seen = evaluations, points_seen
        self._spent = False

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """A new run has its whole budget."""
        self._spent = False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """A run that was resumed after its budget was spent stops at once."""
        self._check(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Asks the trainer to stop after this step."""
        self._check(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Says why, unless the last phase was over, too: only now the phase's record has the last step."""
        phases = phases_of(trainer)
        if self._spent and not phases.finished:
            phases.stop(trainer, StopReason.BUDGET if self.points_seen is None else StopReason.POINTS)

    def _check(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.points_seen is None:
            over = pl_module.evaluations >= self.evaluations
        else:
            over = pl_module.points_seen >= self.points_seen
        if over and not trainer.should_stop:
            self._spent = trainer.should_stop = True
