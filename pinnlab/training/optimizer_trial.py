"""Tries the next phase's optimizer in mid-run, so that nothing is left of the trial when it is undone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, NotFiniteError
from pinnlab.optimizers.requirements import has_stalled, loss_of
from pinnlab.training.closure import evaluate
from pinnlab.training.trainer_parts import needed_store, point_store

# What the module remembers of its last step beside weights and gradients.
_LAST_STEP = ("batch", "loss_version", "fault")


@dataclass(frozen=True)
class Outcome:
    """What a trial came to.

    Attributes:
        before: the loss at its start.
        after: the loss at its end, on the same points.
        steps: optimizer steps made.
        evaluations: of the loss, made in all.
    """

    before: float
    after: float
    steps: int
    evaluations: int


class Snapshot:
    """All that a trial changes, to be put back bit by bit.

    The present optimizer and its schedulers are kept as they are: nobody steps them during a trial. Random numbers are
    none of its business, since all draws are numbered. What is spent is spent: evaluations are not put back.

    Args:
        trainer: of the run.
        module: the `PINN`, in the phase before the trial.
    """

    def __init__(self, trainer: L.Trainer, module: Any) -> None:
        strategy, store = trainer.strategy, point_store(module)
        self._optimizers, self._schedulers = strategy.optimizers, strategy.lr_scheduler_configs
        self._tensors = {name: tensor.detach().clone() for name, tensor in _tensors(module).items()}
        self._gradients = [None if p.grad is None else p.grad.clone() for p in module.parameters()]
        self._last_step = {name: getattr(module, name) for name in _LAST_STEP}
        self._evaluated = module.objective.last
        self._points = None if store is None else store.state_dict()

    def restore(self, trainer: L.Trainer, module: Any) -> None:
        """Puts everything back; the module has to be in the snapshot's phase again, with its precision and width."""
        strategy, store = trainer.strategy, point_store(module)
        strategy.optimizers, strategy.lr_scheduler_configs = self._optimizers, self._schedulers
        with torch.no_grad():
            for name, tensor in _tensors(module).items():
                tensor.copy_(self._tensors[name])
        for parameter, gradient in zip(module.parameters(), self._gradients, strict=True):
            parameter.grad = gradient
        for name, value in self._last_step.items():
            setattr(module, name, value)
        module.objective.last = self._evaluated
        if store is not None and self._points is not None:
            store.load_state_dict(self._points)


def check_trials(module: Any) -> None:
    """Refuses a trial that cannot be carried out, before the first step.

    Raises:
        ConfigurationError: there is no next phase to try, or no data module that gives it its points.
    """
    trying = [k for k, phase in enumerate(module.phases) if phase.until is not None and phase.until.trial is not None]
    if not trying:
        return
    if trying[-1] == len(module.phases) - 1:
        raise ConfigurationError(
            "model.phases.until: a TrialStep in the last phase has nothing to try; use its propose, or add a phase"
        )
    if point_store(module) is None:
        raise ConfigurationError(
            "model.phases.until: a TrialStep needs points for the next phase; train with a CollocationDataModule"
        )


def probe(trainer: L.Trainer, module: Any, evaluations: int) -> Outcome:
    """Steps with the optimizer of the module's phase, as Lightning would; a collective.

    Whole steps are made until the evaluations are spent; fewer when the optimizer stalls, the loss is no longer
    finite, or the phase has no more steps. The trainer does not count them.

    Args:
        trainer: of the run.
        module: the `PINN`, in the phase that is tried.
        evaluations: of the loss, at least.
    """
    store, start, steps = needed_store(module, "model.phases.until"), module.evaluations, 0
    limit = module.phases[module.phase].steps or math.inf
    losses: list[float] = []
    first = batch = store.batch()
    if module.phases[module.phase].updates > 1:  # the loss that a step tells is that of its last update
        module.on_train_batch_start(first, 0)
        _closure(trainer, module, first, losses)()
    while True:
        try:
            _step(trainer, module, batch, losses)
        except NotFiniteError:  # it ends the trial, not the run
            return Outcome(losses[0], math.nan, steps, module.evaluations - start)
        steps += 1
        spent = module.evaluations - start >= evaluations or steps >= limit
        if spent or has_stalled(module.current_optimizer()) or not math.isfinite(module.current_loss()):
            break
        batch = store.batch()
    if loss_of(module.current_optimizer()) is None:  # what is known is before its step
        _closure(trainer, module, first, losses)()
        after = losses[-1]
    else:
        after = module.current_loss()
    return Outcome(losses[0], after, steps, module.evaluations - start)


def _step(trainer: L.Trainer, module: Any, batch: dict[str, Tensor], losses: list[float]) -> None:
    """One optimizer step with its schedulers; appends the loss at every evaluation."""
    module.on_train_batch_start(batch, 0)
    closure = _closure(trainer, module, batch, losses)
    module.optimizer_step(trainer.current_epoch, 0, module.optimizers(), closure)
    for config in trainer.lr_scheduler_configs:
        module.lr_scheduler_step(config.scheduler, None)


def _closure(trainer: L.Trainer, module: Any, batch: dict[str, Tensor], losses: list[float]) -> Callable[[], Tensor]:
    """Evaluates loss and gradient, and appends the loss."""

    def closure() -> Tensor:
        loss = evaluate(trainer, module, batch)
        losses.append(float(loss))
        return loss

    return closure


def _tensors(module: Any) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
