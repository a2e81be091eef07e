"""Phases of training: one optimizer after the other inside one `Trainer.fit`."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.optimizer import _optimizers_to_device
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import _init_optimizers_and_lr_schedulers
from torch.optim import Optimizer

from pinnlab import distributed
from pinnlab.criteria import Criterion, Progress
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import LBFGS, evaluations_per_step, is_multi_eval, wants_overlap


@dataclass
class Phase:
    """A stretch of training with one optimizer.

    Args:
        optimizer: builds the optimizer from the parameters; a class path in YAML, in Python for example
            `functools.partial(torch.optim.Adam, lr=1e-3)`.
        steps: optimizer steps at most; an L-BFGS step is ten iterations.
        until: a criterion that may end the phase earlier.
        scheduler: builds a learning-rate scheduler that is stepped after every optimizer step.
        width: trains only the first neurons of every hidden layer, as many as this, at the cost of a network
            that narrow; the weights that lead from the others to them are set to zero. The next phase goes on
            from the same function: new neurons begin with their random incoming weights. Widths must not shrink
            from phase to phase. Default: all neurons.

    Raises:
        ConfigurationError: `steps` or `width` is not positive.
    """

    optimizer: OptimizerCallable
    steps: int | None = None
    until: Criterion | None = None
    scheduler: LRSchedulerCallable | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        for key in ("steps", "width"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigurationError(f"model.phases.{key}: must be at least 1, got {value}")

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """The phase's optimizer on some parameters.

        Raises:
            ConfigurationError: it refuses its options or these parameters.
        """
        try:
            return self.optimizer(parameters)
        except ConfigurationError:
            raise
        except ValueError as error:  # what torch and the packages around it raise
            raise ConfigurationError(f"model.phases.optimizer: {' '.join(str(error).split())}") from error

    def sample_optimizer(self) -> Optimizer:
        """The phase's optimizer on a parameter of its own: shows the kind, and finds bad options early."""
        return self.build([torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))])

    def planned_evaluations(self, parameters: Iterable[torch.nn.Parameter] | None = None) -> int:
        """How often the loss will be evaluated, about; a phase without a number of steps counts 10,000.

        Args:
            parameters: what is trained; without it the count is that of the optimizer on one small parameter.
        """
        if self.steps is None:
            return 10_000
        optimizer = self.sample_optimizer() if parameters is None else self.build(parameters)
        return self.steps * evaluations_per_step(optimizer)


@dataclass
class PhaseRecord:
    """What a phase did, for the summary.

    Attributes:
        optimizer: the optimizer's class name.
        steps: optimizer steps made.
        evaluations: loss and gradient evaluations made.
        seconds: wall time, of all sessions of a resumed run.
        loss: the loss at its end.
        stopped: why it ended, in words.
    """

    optimizer: str
    steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    stopped: str = StopReason.RUNNING.value


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
        _check_phases(trainer, pl_module)
        _enter(pl_module, 0)
        self.finished = False
        self.records = [_new_record(pl_module.phases[0])]
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
            self.records.append(_new_record(pl_module.phases[pl_module.phase]))
        else:
            self.finished = True
            trainer.should_stop = True

    def install(self, trainer: L.Trainer, pl_module: Any, phase: int) -> None:
        """Builds the optimizer of a phase in place of the present one.

        Lightning has no public way to do this in mid-run; its own builder keeps wrappers, schedulers and
        checkpoints consistent. `tests/test_phases.py` says so when a new Lightning moves it.
        """
        _enter(pl_module, phase)
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
        _use_width(pl_module, None)

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
        _enter(pl_module, saved["number"])
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


def default_phases() -> list[Phase]:
    """Adam to get near, L-BFGS to get close: 2,000 steps at 1e-3, then 300 steps of ten iterations."""
    return [
        Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=2000),
        Phase(LBFGS, steps=300),
    ]


def phases_of(trainer: L.Trainer) -> OptimizerPhases:
    """The callback that moves a trainer's module from phase to phase."""
    return next(c for c in trainer.callbacks if isinstance(c, OptimizerPhases))  # type: ignore[attr-defined]


def _new_record(phase: Phase) -> PhaseRecord:
    return PhaseRecord(type(phase.sample_optimizer()).__name__)


def _enter(module: Any, phase: int) -> None:
    """The one place where a phase begins, with its width; to enter a phase again does nothing to the weights."""
    module.phase = phase
    _use_width(module, module.phases[phase].width)


def _use_width(module: Any, width: int | None) -> None:
    if module.system.set_width(width):
        module.build_evaluation()


def _check_phases(trainer: L.Trainer, module: Any) -> None:
    """Refuses what cannot work, before the first step."""
    strategy = type(trainer.strategy).__name__
    if strategy not in ("SingleDeviceStrategy", "DDPStrategy") or "spawn" in str(trainer.strategy.launcher):
        raise ConfigurationError(
            f"trainer.strategy: {strategy} cannot train a PINN (derivatives of derivatives); use auto or ddp"
        )
    last = module.phases[-1]
    if last.steps is None and last.until is None and trainer.max_steps == -1 and trainer.max_epochs == -1:
        raise ConfigurationError("model.phases: the last phase never ends; give it steps or until")
    _check_widths(module)
    # On the real parameters: a matrix that would not fit is refused before the first step, not after hours of Adam.
    trained = [p for p in module.trial.parameters() if p.requires_grad]
    several = [o for o in (phase.build(trained) for phase in module.phases) if is_multi_eval(o)]
    if not several:
        return
    name = type(several[0]).__name__
    if trainer.accumulate_grad_batches != 1:
        raise ConfigurationError(f"trainer.accumulate_grad_batches: must be 1 with {name}, which calls the loss itself")
    if any(map(wants_overlap, several)) and getattr(getattr(trainer, "datamodule", None), "batch_size", None) == 1:
        raise ConfigurationError("data.batch_size: must be at least 2 for mini-batches that share points, got 1")
    if "mixed" in str(trainer.precision) or str(trainer.precision).startswith(("16", "bf16")):
        raise ConfigurationError(
            f"trainer.precision: {trainer.precision} is too coarse for {name}; leave it out (the module is float64)"
        )


def _check_widths(module: Any) -> None:
    """Refuses a width that is below an earlier phase's, or that the network cannot have."""
    whole = module.trial.tensors()
    for before, phase in zip([None, *module.phases], module.phases, strict=False):
        width = phase.width
        if width is None:
            continue
        if before is not None and (before.width is None or width < before.width):
            raise ConfigurationError(
                f"model.phases.width: {width} comes after {before.width or 'all neurons'}; widths must not shrink"
            )
        try:
            narrow = module.trial.narrowed(whole, width)
        except ConfigurationError as error:
            raise ConfigurationError(f"model.phases.width: {error}; leave width out, or use an MLP") from error
        if all(narrow[name].shape == tensor.shape for name, tensor in whole.items()):
            raise ConfigurationError(
                f"model.phases.width: {width} leaves out no neuron of the network; make it smaller or leave it out"
            )
