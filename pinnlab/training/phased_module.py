"""What a module that is trained in phases asks of its trainer, and brings along."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError
from pinnlab.networks.scaling import network_in_words
from pinnlab.optimizers import is_multi_eval
from pinnlab.optimizers.flat import refrozen
from pinnlab.training.closure import parameters_of
from pinnlab.training.evaluated_module import EvaluatedModule
from pinnlab.training.history import Counts
from pinnlab.training.hooks import check_hooks
from pinnlab.training.hparams import describe
from pinnlab.training.phase_keys import of_phase
from pinnlab.training.phase_precision import phase_dtype
from pinnlab.training.phases import Phase
from pinnlab.training.plateau import check_monitor, look_after_step, look_after_validation
from pinnlab.training.point_store import DRAW_POINTS
from pinnlab.training.switching import OptimizerPhases
from pinnlab.training.trainer_defaults import check_device, standard_callbacks, use_defaults
from pinnlab.training.trainer_parts import callbacks_of
from pinnlab.training.wording import phase_in_words


class PhasedModule(EvaluatedModule):
    """A module that a plain `Trainer` trains in phases; a subclass sets the attributes.

    Attributes:
        phases: the optimizers, one after the other.
        phase: the number of the present one, from 0.
        own_dtype: of parameters and points, in phases that do not choose their own.
        counted_before: what the run made before this module, which its counters go on from.
    """

    phases: Sequence[Phase]
    phase: int
    counted_before = Counts()
    own_dtype: torch.dtype
    _left_out: Sequence[torch.nn.Parameter] = ()  # what was frozen when the phase's optimizer was made

    def __repr__(self) -> str:
        """One line, instead of the tree of all modules in it."""
        phases = ", ".join(phase_in_words(phase).removeprefix("Phase") for phase in self.phases)
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{type(self).__name__}({self.problem.name}; {network_in_words(self.trial.network)}, {dtype}; {phases})"

    @property
    def trainer(self) -> Any:
        """The trainer, while there is one."""
        return cast(Any, super().trainer)

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        """The trainer and the module meet here, before Lightning fills in the limits that its user left open."""
        cast(Any, L.LightningModule.trainer).fset(self, trainer)
        if isinstance(trainer, L.Trainer):
            check_hooks(type(self))
            use_defaults(trainer)

    @property
    def learning_rate(self) -> float:
        """Of the first phase's optimizer; what `Tuner.lr_find` looks for and sets.

        Raises:
            ConfigurationError: it has none to find, because it searches along a line.
        """
        return _found_learning_rate(self.phases[0].sample_optimizer())

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        first = self.phases[0]
        optimizer = functools.partial(cast(Any, first.optimizer), lr=value)
        self.phases = [replace(first, optimizer=optimizer), *self.phases[1:]]
        describe(self, {"phases": ", ".join(map(phase_in_words, self.phases))})

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints above the progress bar, of whatever kind, on the first process."""
        bar = self.trainer.progress_bar_callback
        if bar is None or hasattr(bar, "is_enabled"):
            super().print(*args, **kwargs)
        elif self.trainer.is_global_zero:
            bar.print(*args, **kwargs)

    def train_dataloader(self) -> NoReturn:
        """Where a trainer was given no data.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"data: the trainer has no points to train on; {DRAW_POINTS}")

    def configure_callbacks(self) -> list[L.Callback]:
        """The callback that moves from phase to phase is always there; for the others see `standard_callbacks`."""
        if self._trainer is None:
            return [OptimizerPhases()]
        check_device(self.trainer, [self.own_dtype, *(phase_dtype(self, phase) for phase in self.phases)])
        return standard_callbacks(self.trainer)

    def configure_optimizers(self) -> Any:
        """The optimizer of the current phase only, with its scheduler.

        Raises:
            ConfigurationError: a learning rate is to be found that the optimizer does not go by, or the scheduler
                watches what is never measured.
        """
        self._left_out = [p for p in self.trial.parameters() if not p.requires_grad]
        with of_phase(self.phase):
            configured = self.phases[self.phase].configured(self.trial.trained())
        has_scheduler = isinstance(configured, dict)
        if has_scheduler:
            check_monitor(self.trainer, configured["lr_scheduler"]["scheduler"])
        if self.phase == 0 and callbacks_of(self.trainer, LearningRateFinder):
            _found_learning_rate(configured["optimizer"] if has_scheduler else configured)
        return configured

    def check_trained(self) -> None:
        """Whether the phase's optimizer still moves what is to be trained, and nothing else.

        Raises:
            ConfigurationError: a parameter was unfrozen that the optimizer does not have, or frozen under a method that
                evaluates several times a step, whose kept curvature moves it on.
        """
        optimizer = self.current_optimizer()
        unfrozen = {id(p) for p in self._left_out if p.requires_grad}
        if not unfrozen and not is_multi_eval(optimizer):
            return
        own = parameters_of(optimizer)
        if not unfrozen <= {id(p) for p in own} or (is_multi_eval(optimizer) and not all(p.requires_grad for p in own)):
            raise refrozen(optimizer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """One step of the phase's scheduler."""
        if not look_after_step(scheduler, self.current_loss()):
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_end(self) -> None:
        """Shows what was measured to a scheduler that watches it."""
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            look_after_validation(self.trainer)

    @abstractmethod
    def current_loss(self) -> float:
        """The loss after the last step."""

    @abstractmethod
    def current_optimizer(self) -> Optimizer:
        """The optimizer of the current phase."""


def _found_learning_rate(optimizer: Optimizer) -> float:
    """The learning rate of an optimizer that goes by it."""
    name = type(optimizer).__name__
    if is_multi_eval(optimizer) or "lr" not in optimizer.param_groups[0]:
        raise ConfigurationError(
            f"lr_find: {name} of the first phase finds the length of its steps itself; begin with another, such as Adam"
        )
    return float(optimizer.param_groups[0]["lr"])
