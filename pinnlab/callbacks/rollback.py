"""Goes back to the last good state when the loss blows up."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning as L

from pinnlab import distributed
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import objective_changed
from pinnlab.switching import phases_of


class Rollback(L.Callback):
    """Keeps a snapshot of a good state and returns to it when the loss is not finite or has blown up.

    After a return the optimizer forgets its curvature and its learning rate is multiplied by `backoff`, because
    the same step from the same state would blow up again.

    Args:
        every: optimizer steps between two snapshots.
        factor: the loss has blown up when it exceeds the best one on these points by this factor. 1,000 is far
            beyond Adam's spikes.
        attempts: returns in a row, without a good snapshot in between, before training stops.
        backoff: factor of the learning rate at each return.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    def __init__(self, every: int = 100, factor: float = 1e3, attempts: int = 5, backoff: float = 0.5) -> None:
        for key, value in (("every", every), ("attempts", attempts)):
            if value < 1:
                raise ConfigurationError(f"Rollback.{key}: must be at least 1, got {value}")
        if factor <= 1:
            raise ConfigurationError(f"Rollback.factor: must exceed 1, got {factor}")
        if not 0 < backoff <= 1:
            raise ConfigurationError(f"Rollback.backoff: must be in (0, 1], got {backoff}")
        self.every, self.factor, self.attempts, self.backoff = every, factor, attempts, backoff
        self._start_over()

    def _start_over(self) -> None:
        self._snapshot: dict[str, Any] = {}
        self._best, self._version, self._phase = math.inf, 0, 0
        self._failures, self.returns = 0, 0

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing."""
        if stage == "fit":
            self._start_over()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes the first snapshot, before the first step."""
        if not self._snapshot:
            self._take(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Judges the step: return, or remember."""
        loss = pl_module.current_loss()
        if (pl_module.objective_version(), pl_module.phase) != (self._version, self._phase):
            self._version, self._phase, self._best = pl_module.objective_version(), pl_module.phase, math.inf
        blown_up = not math.isfinite(loss) or loss > self.factor * self._best
        if distributed.any_rank(blown_up, pl_module.device):
            self._return(trainer, pl_module, loss)
            return
        self._best = min(self._best, loss)
        if trainer.global_step % self.every == 0:
            self._take(trainer, pl_module)
            self._failures = 0

    def state_dict(self) -> dict[str, Any]:
        """The snapshot and the counters; tensors and primitives."""
        return {
            "snapshot": copy.deepcopy(self._snapshot),
            "best": self._best,
            "version": self._version,
            "phase": self._phase,
            "failures": self._failures,
            "returns": self.returns,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self._snapshot = copy.deepcopy(state_dict["snapshot"])
        self._best, self._version, self._phase = (state_dict[k] for k in ("best", "version", "phase"))
        self._failures, self.returns = state_dict["failures"], state_dict["returns"]

    def _take(self, trainer: L.Trainer, pl_module: Any) -> None:
        # Deep copies, here and on return: optimizers write their state in place.
        self._snapshot = copy.deepcopy(
            {
                "phase": pl_module.phase,
                "module": dict(pl_module.state_dict()),
                "optimizer": trainer.optimizers[0].state_dict(),
                "schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
            }
        )

    def _return(self, trainer: L.Trainer, pl_module: Any, loss: float) -> None:
        self._failures += 1
        self.returns += 1
        snapshot = copy.deepcopy(self._snapshot)
        pl_module.load_state_dict(snapshot["module"])
        pl_module.zero_grad(set_to_none=True)
        if self._failures > self.attempts:
            phases_of(trainer).stop(trainer, StopReason.DIVERGED)
            return
        if snapshot["phase"] != pl_module.phase:
            # The new phase failed before its first snapshot: its optimizer starts afresh from the old weights.
            phases_of(trainer).install(trainer, pl_module, pl_module.phase)
            self._take(trainer, pl_module)
        else:
            trainer.optimizers[0].load_state_dict(snapshot["optimizer"])
            for config, state in zip(trainer.lr_scheduler_configs, snapshot["schedulers"], strict=True):
                config.scheduler.load_state_dict(state)
        optimizer = pl_module.current_optimizer()
        objective_changed(optimizer)
        for group in optimizer.param_groups:
            group["lr"] *= self.backoff**self._failures
        trainer.print(f"rollback at step {trainer.global_step}: the loss was {loss:.3g}; back to the last snapshot")
