"""The updates that a step of a first-order optimizer makes before its last one, which is Lightning's."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import distributed
from pinnlab.numerics.compilation import TensorFunction
from pinnlab.numerics.graph_replay import Replayed
from pinnlab.objective.faults import all_finite
from pinnlab.objective.global_loss import Repeatable
from pinnlab.optimizers.adam_updates import AdamRule, AdamState, is_pure
from pinnlab.training.closure import evaluate, gradients_of
from pinnlab.training.trainer_parts import accumulation

MOST_RECORDED = 50
"""Updates in one recording: each adds its kernels, of which a GPU looks at some thousand before it begins."""

STEADY_STEPS = 10
"""Steps at the same rate before its updates are recorded: the rate is part of the recording."""


class Updates:
    """Makes updates on the points of a step, without the trainer.

    What a trainer does around a step takes half a millisecond or more, as long as a loss at a few hundred points. The
    updates of a fused Adam are one recording on a GPU, and the host waits for none of them. On a CPU that would gain
    nothing: the same computation takes as long as the optimizer's own steps.

    An update whose gradient is not finite is not made, nor are those after it: the step's last one meets the same
    value, and it is the trainer's.
    """

    def __init__(self) -> None:
        self._kind: Any = None
        self._steady = 0  # steps of that kind
        self._replayed: dict[int, Replayed] = {}  # by how many updates it makes
        self._refused: Any = None  # the gradients that cannot be recorded, and in which generation of recordings

    def make(self, module: Any, optimizer: Optimizer, number: int, own: bool) -> None:
        """Makes them; a collective.

        Args:
            module: the `PINN`, in a step.
            optimizer: of its phase, not Lightning's wrapper of it.
            number: of updates, at least one.
            own: whether loss and clipping are those of `PINN`, and no subclass has others.
        """
        pure = own and is_pure(optimizer) and not module.trainer.gradient_clip_val
        loss = module.objective.repeatable(module.batch, module.loss_weights) if pure else None
        if loss is None:
            _one_by_one(module, optimizer, number)
            return
        state = AdamState(optimizer, {p: n for n, p in loss.tensors.items() if isinstance(p, torch.nn.Parameter)})
        self._look(loss, state.rule)
        with module.trainer.precision_plugin.train_step_context():
            for made in range(0, number, MOST_RECORDED):
                self._at_once(loss, state, min(number - made, MOST_RECORDED))
        module.evaluations += number

    def _look(self, loss: Repeatable, rule: AdamRule) -> None:
        """Throws recordings away that have other numbers in them, or another loss."""
        kind = (rule, loss.recordings, (loss.gradients, loss.recordings.generation))
        if kind == self._kind:
            self._steady += 1
            return
        if not all([replayed.close() for replayed in self._replayed.values()]):
            self._refused = self._kind[-1]
        self._kind, self._steady, self._replayed = kind, 0, {}

    def _at_once(self, loss: Repeatable, state: AdamState, number: int) -> None:
        """Some as one computation."""
        compute: TensorFunction = functools.partial(state.rule.after, number, loss.gradients)
        if self._steady >= STEADY_STEPS and self._refused != self._kind[-1]:
            compute = self._replayed.setdefault(number, Replayed(compute, loss.recordings, "updates of Adam"))
        state.take(compute({**loss.tensors, **state.tensors()}, loss.inputs))


class _NotFinite(Exception):
    """A gradient is not finite; the optimizer has not moved yet."""


def _one_by_one(module: Any, optimizer: Optimizer, number: int) -> None:
    """Each by the optimizer's own step, with a closure, which some insist on."""
    trainer = module.trainer

    def closure() -> Tensor:
        loss = _alone(module, optimizer) if distributed.world_size() == 1 else evaluate(trainer, module, module.batch)
        if not all_finite(gradients_of(optimizer)):
            raise _NotFinite
        module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        return loss

    with contextlib.suppress(_NotFinite):
        for _ in range(number):
            optimizer.step(closure)  # type: ignore[arg-type]  # a tensor, as torch's optimizers expect in fact


def _alone(module: Any, optimizer: Optimizer) -> Tensor:
    """As `evaluate` on one process, without the callbacks around it, which take as long as a small loss."""
    with module.trainer.precision_plugin.train_step_context():
        loss: Tensor = module.training_step(module.batch, 0)
    optimizer.zero_grad()
    module.backward(loss)
    return loss.detach()


def check_updates(trainer: Any, updates: Sequence[int]) -> None:
    """Refuses several updates in a step where Lightning adds up or scales gradients.

    Args:
        trainer: of the run.
        updates: in a step of each phase.

    Raises:
        ConfigurationError: it does; names the trainer's option.
    """
    if max(updates) == 1:
        return
    if (key := accumulation(trainer)) is not None:
        raise ConfigurationError(f"{key}: must be 1 with model.phases.updates")
