"""Phases of training: what a run consists of, and what it means to enter one."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import Optimizer

from pinnlab.criteria import Criterion
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


def default_phases() -> list[Phase]:
    """Adam to get near, L-BFGS to get close: 2,000 steps at 1e-3, then 300 steps of ten iterations."""
    return [
        Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=2000),
        Phase(LBFGS, steps=300),
    ]


def new_record(phase: Phase) -> PhaseRecord:
    """The record of a phase that begins."""
    return PhaseRecord(type(phase.sample_optimizer()).__name__)


def enter(module: Any, phase: int) -> None:
    """The one place where a phase begins, with its width; to enter a phase again does nothing to the weights."""
    module.phase = phase
    use_width(module, module.phases[phase].width)


def use_width(module: Any, width: int | None) -> None:
    """Narrows the network, or widens it again with None; the loss is built anew where that changes it."""
    if module.system.set_width(width):
        module.build_evaluation()


def check_phases(trainer: L.Trainer, module: Any) -> None:
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
