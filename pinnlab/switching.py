"""Moves a run from phase to phase."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import lightning as L
from lightning.fabric.utilities.optimizer import _optimizers_to_device
from lightning.pytorch.core.optimizer import _init_optimizers_and_lr_schedulers
from torch.optim import Optimizer

from pinnlab import distributed
from pinnlab.criteria import Progress
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import is_multi_eval, wants_overlap
from pinnlab.phases import Phase, PhaseRecord, check_phases, enter, new_record, use_width


class OptimizerPhases(L.Callback):
    """Moves a module from phase to phase; the module adds this callback itself.

    Decides after every step whether the phase is over: its steps are made, its criterion is met, or its
    optimizer stalled. All ranks decide alike. The last phase's end ends the training.
    """

    def __init__(self) -> None:
        self.records: list[PhaseRecord] = []
        self.finished = False
        self._watch = time.perf_counter()

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the phases against the trainer and starts with the first; a checkpoint overrides that later."""
        if stage != "fit":
            return
        check_phases(trainer, pl_module)
        enter(pl_module, 0)
        self.finished = False
        self.records = [new_record(pl_module.phases[0])]
        for phase in pl_module.phases:
            if phase.until is not None:
                phase.until.reset()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Starts the clock; a run that was resumed after its end stops at once."""
        self._watch = time.perf_counter()
        self._fit_points(trainer)
        trainer.should_stop = trainer.should_stop or self.finished

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step and moves on when the phase is over."""
        if self.finished:
            return
        phase, record = pl_module.phases[pl_module.phase], self.records[-1]
        self._count(pl_module, record)
        reason = self._over(phase, record, trainer.optimizers[0], pl_module)
        if not distributed.any_rank(reason is not None, pl_module.device):
            return
        record.stopped = reason or StopReason.CRITERION.value
        trainer.print(f"phase {pl_module.phase + 1} ({record.optimizer}), {record.steps} steps: {record.stopped}")
        if pl_module.phase + 1 < len(pl_module.phases):
            self.install(trainer, pl_module, pl_module.phase + 1)
            self.records.append(new_record(pl_module.phases[pl_module.phase]))
        else:
            self.finished = True
            trainer.should_stop = True

    def install(self, trainer: L.Trainer, pl_module: Any, phase: int) -> None:
        """Builds the optimizer of a phase in place of the present one.

        Lightning has no public way to do this in mid-run; its own builder keeps wrappers, schedulers and
        checkpoints consistent. `tests/test_phases.py` says so when a new Lightning moves it.
        """
        enter(pl_module, phase)
        pl_module.zero_grad(set_to_none=True)
        strategy = trainer.strategy
        strategy.optimizers, strategy.lr_scheduler_configs = _init_optimizers_and_lr_schedulers(pl_module)
        _optimizers_to_device(strategy.optimizers, strategy.root_device)
        self._fit_points(trainer)

    def stop(self, trainer: L.Trainer, reason: StopReason) -> None:
        """Ends the training for a reason that is not a phase's own."""
        self.records[-1].stopped = reason.value
        self.finished = True
        trainer.should_stop = True

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Outside of training the whole network is used: other weights may be loaded then."""
        use_width(pl_module, None)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Notes that the run did not end by itself."""
        self.teardown(trainer, pl_module, "fit")
        if self.records and not self.finished:
            self.records[-1].stopped = StopReason.INTERRUPTED.value

    def summary(self) -> list[dict[str, Any]]:
        """The records as primitives, when training is over; says so where not a phase's own rule ended it."""
        if self.records and self.records[-1].stopped == StopReason.RUNNING.value:
            self.records[-1].stopped = StopReason.TRAINER.value
        return [asdict(record) for record in self.records]

    def state_dict(self) -> dict[str, Any]:
        """Records and the rest that later decisions depend on; primitives only."""
        return {"records": [asdict(record) for record in self.records], "finished": self.finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self.records = [PhaseRecord(**record) for record in state_dict["records"]]
        self.finished = state_dict["finished"]

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the phase's number and its criterion's memory."""
        phase = pl_module.phases[pl_module.phase]
        checkpoint["pinnlab_phase"] = {
            "number": pl_module.phase,
            "count": len(pl_module.phases),
            "until": None if phase.until is None else phase.until.state_dict(),
            "width": phase.width,
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Goes to the checkpoint's phase, before Lightning restores the optimizer."""
        saved = checkpoint["pinnlab_phase"]
        if saved["count"] != len(pl_module.phases):
            raise ConfigurationError(
                f"ckpt_path: the checkpoint's run has {saved['count']} phases, this run {len(pl_module.phases)}"
            )
        phase = pl_module.phases[saved["number"]]
        if saved.get("width") != phase.width:
            raise ConfigurationError(
                f"ckpt_path: the checkpoint's phase {saved['number'] + 1} has width {saved.get('width')}, "
                f"this run's {phase.width}; use the same model.phases.width"
            )
        enter(pl_module, saved["number"])
        if phase.until is not None and saved["until"] is not None:
            phase.until.load_state_dict(saved["until"])
        if trainer.strategy.optimizers:  # strategies that restore after their optimizers were built
            self.install(trainer, pl_module, pl_module.phase)

    def _count(self, pl_module: Any, record: PhaseRecord) -> None:
        now = time.perf_counter()
        record.seconds += now - self._watch
        self._watch = now
        record.steps += 1
        record.evaluations = pl_module.evaluations - sum(r.evaluations for r in self.records[:-1])
        record.loss = pl_module.current_loss()

    def _over(self, phase: Phase, record: PhaseRecord, optimizer: Optimizer, pl_module: Any) -> str | None:
        """Why the phase is over, or None."""
        met = False
        if phase.until is not None:
            norm = pl_module.gradient_norm()
            met = phase.until.update(Progress(record.steps, record.evaluations, record.loss, norm))
        if getattr(optimizer, "status", None) is StopReason.STALLED:
            return StopReason.STALLED.value
        if phase.until is not None and met:
            return phase.until.reason
        if phase.steps is not None and record.steps >= phase.steps:
            return StopReason.STEPS.value
        return None

    def _fit_points(self, trainer: L.Trainer) -> None:
        """An optimizer that evaluates several times per step gets all points, or mini-batches that share some."""
        store = getattr(getattr(trainer, "datamodule", None), "store", None)
        if store is not None:
            store.overlapping = wants_overlap(trainer.optimizers[0])
            store.full_batch = is_multi_eval(trainer.optimizers[0]) and not store.overlapping


def phases_of(trainer: L.Trainer) -> OptimizerPhases:
    """The callback that moves a trainer's module from phase to phase."""
    return next(c for c in trainer.callbacks if isinstance(c, OptimizerPhases))  # type: ignore[attr-defined]
