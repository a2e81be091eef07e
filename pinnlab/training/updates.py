"""The updates that a step of a first-order optimizer makes before its last one, which is Lightning's."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import distributed
from pinnlab.numerics.compilation import TensorFunction
from pinnlab.numerics.compiled_loss import leave_gradient
from pinnlab.numerics.graph_replay import Replayed
from pinnlab.objective.faults import total
from pinnlab.objective.global_loss import Repeatable
from pinnlab.optimizers.adam_updates import AdamUpdates, is_pure

MOST_RECORDED = 50
"""Updates in one recording: each adds its kernels, of which a GPU looks at some thousand before it begins."""


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
        self._replayed: dict[int, Replayed] = {}  # by how many updates it makes

    def make(self, module: Any, optimizer: Optimizer, number: int) -> None:
        """Makes them; a collective.

        Args:
            module: the `PINN`, in a step.
            optimizer: of its phase, not Lightning's wrapper of it.
            number: of updates.
        """
        if number == 0:
            return
        pure = is_pure(optimizer) and not module.trainer.gradient_clip_val
        loss = module.objective.repeatable(module.batch, module.loss_weights) if pure else None
        if loss is None:
            _one_by_one(module, optimizer, number)
        else:
            for made in range(0, number, MOST_RECORDED):
                self._at_once(loss, optimizer, min(number - made, MOST_RECORDED))
            module.evaluations += number

    def _at_once(self, loss: Repeatable, optimizer: Optimizer, number: int) -> None:
        """Some as one computation; it is recorded while the optimizer's numbers, such as its rate, stay."""
        names: dict[Any, str] = {p: name for name, p in loss.tensors.items() if isinstance(p, torch.nn.Parameter)}
        updates = AdamUpdates(optimizer, names)
        compute = functools.partial(updates.after, number, loss.gradients)
        kind = (updates.numbers, loss.recordings, loss.gradients)
        if kind != self._kind:
            self._kind, self._replayed = kind, {}
            replayed: TensorFunction = compute
        else:
            replayed = self._replayed.setdefault(number, Replayed(compute, loss.recordings, "updates of Adam"))
        updates.take(replayed({**loss.tensors, **updates.tensors()}, loss.inputs))


class _NotFinite(Exception):
    """A gradient is not finite; the optimizer has not moved yet."""


def _one_by_one(module: Any, optimizer: Optimizer, number: int) -> None:
    """Each by the optimizer's own step, with a closure, which some insist on."""
    trainer = module.trainer

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = module.objective(module.batch, module.loss_weights)
        module.evaluations += 1
        _leave_gradient(loss, optimizer)
        if not math.isfinite(total(_gradients(optimizer))):
            raise _NotFinite
        module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        return loss.detach()

    with contextlib.suppress(_NotFinite):
        for _ in range(number):
            optimizer.step(closure)  # type: ignore[arg-type]  # a tensor, as torch's optimizers expect in fact


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _leave_gradient(loss: Tensor, optimizer: Optimizer) -> None:
    """Leaves the mean of all ranks' gradients, as DDP does, which is beside the module here."""
    world = distributed.world_size()
    if world == 1:
        if not leave_gradient(loss):
            loss.backward()
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = torch.autograd.grad(loss, parameters)  # of each, as ranks agree on what there is
    flat = distributed.all_sum(torch.cat([g.reshape(-1) for g in gradients])) / world
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p).clone()


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
    if trainer.accumulate_grad_batches != 1:
        raise ConfigurationError("trainer.accumulate_grad_batches: must be 1 with model.phases.updates")
    if "mixed" in str(trainer.precision):
        raise ConfigurationError(
            f"trainer.precision: {trainer.precision} cannot go with model.phases.updates; leave it out"
        )
