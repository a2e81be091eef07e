"""Learning-rate schedulers made of others: one after the other, or all at once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer, lr_scheduler

from pinnlab.errors import ConfigurationError

_ALONE = (lr_scheduler.SequentialLR, lr_scheduler.ChainedScheduler, lr_scheduler.OneCycleLR)
"""What torch's `SequentialLR` miscounts (the first two), and what overwrites the rate that the others start from."""


class SequentialLR(lr_scheduler.SequentialLR):
    """Torch's `SequentialLR`, of schedulers that are built here on the optimizer that the whole gets.

    Args:
        optimizer: whose rates change.
        schedulers: build one scheduler each, as `functools.partial(LinearLR, total_iters=100)`.
        milestones: the steps at which the second scheduler begins, the third, and so on.

    Raises:
        ConfigurationError: a scheduler is built already or does not work in a sequence, or the milestones do not grow.
        ValueError: their number is not that of the schedulers less one, or torch refuses a scheduler.
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRSchedulerCallable], milestones: list[int]) -> None:
        if any(begin >= end for begin, end in itertools.pairwise([0, *milestones])):
            raise ConfigurationError(
                f"model.phases.scheduler.milestones: must be steps from 1 on, each beyond the last, got {milestones}"
            )
        parts = _parts(schedulers, optimizer)
        for part in parts:
            if isinstance(part, _ALONE):
                raise ConfigurationError(
                    f"model.phases.scheduler: {type(part).__name__} does not work inside SequentialLR; use it "
                    "alone, or name simple schedulers in one SequentialLR"
                )
        super().__init__(optimizer, parts, milestones)


class ChainedScheduler(lr_scheduler.ChainedScheduler):
    """Torch's `ChainedScheduler`, of schedulers that are built here on the optimizer that the whole gets.

    Args:
        optimizer: whose rates change.
        schedulers: build one scheduler each.

    Raises:
        ConfigurationError: a scheduler is built already.
        ValueError: there are none, or torch refuses one.
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRSchedulerCallable]) -> None:
        super().__init__(_parts(schedulers, optimizer), optimizer)


_OURS: Mapping[Any, Any] = MappingProxyType(
    {lr_scheduler.SequentialLR: SequentialLR, lr_scheduler.ChainedScheduler: ChainedScheduler}
)


def build_scheduler(build: Any, optimizer: Optimizer) -> Any:
    """The scheduler of an optimizer; what torch's `SequentialLR` and `ChainedScheduler` are made of is built with it.

    Args:
        build: a class, a `functools.partial` of one, or another function of an optimizer.
        optimizer: whose rates change.
    """
    if isinstance(build, functools.partial):
        build = functools.partial(_OURS.get(build.func, build.func), *build.args, **build.keywords)
    return build(optimizer)


def check_length(scheduler: Any, steps: int | None) -> None:
    """Refuses a scheduler that ends before the phase does.

    Args:
        scheduler: of the phase.
        steps: of the phase; None for an unknown number.

    Raises:
        ConfigurationError: it, or one inside of it, is a `OneCycleLR` of fewer steps.
    """
    if isinstance(scheduler, lr_scheduler.ChainedScheduler):
        for part in scheduler._schedulers:
            check_length(part, steps)
    total = scheduler.total_steps if isinstance(scheduler, lr_scheduler.OneCycleLR) else None
    if total is not None and (steps is None or steps > total):
        raise ConfigurationError(
            f"model.phases.scheduler: OneCycleLR ends after total_steps={total}, the phase after "
            f"{steps or 'an unknown number'}; make total_steps as large"
        )


def _parts(builders: Sequence[Any], optimizer: Optimizer) -> list[Any]:
    for k, build in enumerate(builders):
        if not callable(build):
            raise ConfigurationError(
                f"model.phases.scheduler.schedulers[{k}]: must build a scheduler from an optimizer, as "
                f"functools.partial(LinearLR, total_iters=100), got {type(build).__name__}"
            )
    return [build_scheduler(build, optimizer) for build in builders]
