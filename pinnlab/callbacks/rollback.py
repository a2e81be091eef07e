"""Goes back to the last good state when the loss blows up."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning as L
import torch

from pinnlab.errors import ConfigurationError, NotFiniteError, StopReason, check_real, check_whole
from pinnlab.numerics import distributed
from pinnlab.optimizers import objective_changed
from pinnlab.optimizers.requirements import has_stalled, loss_of
from pinnlab.training.faults import fault_line
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import point_store


class Rollback(L.Callback):
    """Keeps a snapshot of a good state and returns to it when the loss is not finite or has blown up.

    After a return the optimizer forgets its curvature and its learning rate is multiplied by `backoff`, because
    the same step from the same state would blow up again.

    A phase that fails before its first snapshot was entered too early: the run returns to where it left the phase
    before, with that phase's optimizer and points, and tries again only when that phase has twice the steps. An
    optimizer that stalls before it has moved the weights at all has failed, too, unless the one before it had stalled
    itself.

    A first step that fails because the problem does, with a target that is no number or a logarithm of a negative one,
    would fail again: the run ends at once, with a line that names the condition and the point.

    Args:
        every: optimizer steps between two snapshots.
        factor: the loss has blown up when it exceeds the best one on these points by this factor. 1,000 is far
            beyond Adam's spikes. With an `Energy`, which has no such size, only what is not finite has.
        attempts: returns in a row, without a good snapshot in between, before training stops; for returns to the
            phase before, without a good snapshot of the new phase in between. A phase that stalls once more ends like
            any phase that stalls.
        backoff: factor of the learning rate at each return.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    recovers = True
    """Marks callbacks that answer for a step that was not finite: without one such a step ends the run."""

    def __init__(self, every: int = 100, factor: float = 1e3, attempts: int = 5, backoff: float = 0.5) -> None:
        check_whole("Rollback", least=1, every=every, attempts=attempts)
        check_real("Rollback", factor=factor, backoff=backoff)
        if factor <= 1:
            raise ConfigurationError(f"Rollback.factor: must exceed 1, got {factor}")
        if not 0 < backoff <= 1:
            raise ConfigurationError(f"Rollback.backoff: must be in (0, 1], got {backoff}")
        self.every, self.factor, self.attempts, self.backoff = every, factor, attempts, backoff
        self._start_over()

    def _start_over(self) -> None:
        self._snapshot: dict[str, Any] = {}
        self._unproven: dict[str, Any] | None = None
        self._best, self._version = math.inf, 0
        self._failures, self._refusals, self.returns = 0, 0, 0
        self._begun = False  # whether a step was good

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing."""
        if stage == "fit":
            self._start_over()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes the first snapshot, before the first step."""
        if not self._snapshot:
            self._snapshot = self._picture(trainer, pl_module)

    def _exceeds(self, pl_module: Any, loss: float) -> bool:
        """Whether a loss is too large; energies have no size to compare with, as they may pass through zero."""
        return loss > self.factor * self._best and not pl_module.problem.energies()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Judges the step: return, or remember."""
        # Not the objective's present version: a callback may have changed points after the step whose loss this is.
        loss, version = pl_module.current_loss(), pl_module.loss_version
        if version != self._version:
            self._version, self._best = version, math.inf
        fault = pl_module.fault
        blown_up = fault is not None or not math.isfinite(loss) or self._exceeds(pl_module, loss)
        if distributed.any_rank(blown_up, pl_module.device):
            self._check_start(pl_module)
            self._return(trainer, pl_module, f"the loss was {loss:.3g}" + (f" ({fault})" if fault else ""), loss)
        elif self._stuck(trainer, pl_module):
            self._return(trainer, pl_module, StopReason.STALLED.value, loss)
        else:
            self._best, self._begun = min(self._best, loss), True
            self._remember(trainer, pl_module)

    def before_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes a snapshot of the phase that is about to be left, with its points."""
        self._snapshot, self._unproven = self._picture(trainer, pl_module), None
        store = point_store(pl_module)
        self._snapshot["points"] = None if store is None else store.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """The snapshot and the counters; tensors and primitives."""
        return {
            "snapshot": copy.deepcopy(self._snapshot),
            "unproven": copy.deepcopy(self._unproven),
            "best": self._best,
            "version": self._version,
            "failures": self._failures,
            "refusals": self._refusals,
            "returns": self.returns,
            "begun": self._begun,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self._snapshot, self._unproven = (copy.deepcopy(state_dict[key]) for key in ("snapshot", "unproven"))
        self._best, self._version = state_dict["best"], state_dict["version"]
        self._failures, self._refusals = state_dict["failures"], state_dict["refusals"]
        self.returns, self._begun = state_dict["returns"], state_dict.get("begun", True)

    def _remember(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes a snapshot when it is time; it counts once the loss at its weights is known to be good."""
        due = trainer.global_step % self.every == 0
        picture = self._picture(trainer, pl_module) if due else None
        after_step = loss_of(pl_module.current_optimizer()) is not None  # else the next step will show it to be good
        proven, self._unproven = (picture, None) if after_step else (self._unproven, picture)
        if proven is not None:
            if self._snapshot["phase"] != pl_module.phase:
                self._refusals = 0  # the new phase has proved itself
            self._snapshot, self._failures = proven, 0

    def _picture(self, trainer: L.Trainer, pl_module: Any) -> dict[str, Any]:
        # Deep copies, here and on return: optimizers write their state in place.
        return copy.deepcopy(
            {
                "phase": pl_module.phase,
                "module": dict(pl_module.state_dict()),
                "optimizer": trainer.optimizers[0].state_dict(),
                "schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
                "points": None,
                "loss_version": pl_module.loss_version,
                "best": self._best,
            }
        )

    def _stuck(self, trainer: L.Trainer, pl_module: Any) -> bool:
        """Whether a new phase stalled where it began, and going back can help."""
        if self._snapshot["phase"] == pl_module.phase or self._refusals >= self.attempts:
            return False
        if not has_stalled(pl_module.current_optimizer()):
            return False
        if phases_of(trainer).records[-2].stopped == StopReason.STALLED.value:
            return False
        before = self._snapshot["module"]
        return all(torch.equal(p, before[name].to(p)) for name, p in pl_module.named_parameters())

    def _check_start(self, pl_module: Any) -> None:
        """Ends a run that cannot begin: going back does not help where the problem itself is not finite."""
        if self._begun:
            return
        pl_module.load_state_dict(self._snapshot["module"])
        fault = fault_line(pl_module, "before the first step")
        if fault is not None:
            raise NotFiniteError(fault)

    def _return(self, trainer: L.Trainer, pl_module: Any, reason: str, loss: float) -> None:
        self.returns, self._unproven = self.returns + 1, None
        snapshot, phases = copy.deepcopy(self._snapshot), phases_of(trainer)
        back = snapshot["phase"] != pl_module.phase
        if back:
            self._refusals += 1
        else:
            self._failures += 1
        if max(self._refusals, self._failures) > self.attempts:
            pl_module.load_state_dict(snapshot["module"])
            pl_module.zero_grad(set_to_none=True)
            trainer.optimizers[0].state.clear()  # what it knows may be what is not finite
            phases.stop(trainer, StopReason.DIVERGED, reason)
            # The last evaluation was of what is given up: the loss that is told is of what stays.
            pl_module.evaluations += 1
            pl_module.objective(pl_module.batch, pl_module.loss_weights)
        elif back:
            phases.go_back(
                trainer, pl_module, snapshot["phase"], self.every, f"{reason}; back to the phase before", loss
            )
            self._restore_phase(trainer, pl_module, snapshot)
        else:
            phases.history.decide(trainer, pl_module, "rollback", f"{reason}; back to the last snapshot", loss)
            self._restore(trainer, pl_module, snapshot)
            optimizer = pl_module.current_optimizer()
            objective_changed(optimizer)
            for group in optimizer.param_groups:
                group["lr"] *= self.backoff**self._failures

    def _restore_phase(self, trainer: L.Trainer, pl_module: Any, snapshot: dict[str, Any]) -> None:
        """Puts the phase before where it was left, points included."""
        self._restore(trainer, pl_module, snapshot)
        store = point_store(pl_module)
        if store is not None and snapshot["points"] is not None:
            store.load_state_dict(snapshot["points"])
        # What its optimizer knows is of that objective; if the present one is another, it is told at the next step.
        pl_module.loss_version = snapshot["loss_version"]
        self._best, self._version = snapshot["best"], pl_module.objective_version()

    def _restore(self, trainer: L.Trainer, pl_module: Any, snapshot: dict[str, Any]) -> None:
        pl_module.load_state_dict(snapshot["module"])
        pl_module.zero_grad(set_to_none=True)
        trainer.optimizers[0].load_state_dict(snapshot["optimizer"])
        for config, state in zip(trainer.lr_scheduler_configs, snapshot["schedulers"], strict=True):
            config.scheduler.load_state_dict(state)
