"""Notices when a step makes or meets a number that is not finite, and says which.

Nothing is evaluated for it as long as all is well: it goes by the loss, which is known after each step, and by one sum
over a first-order method's gradient. Only then are the residuals looked at, uncompiled, condition by condition.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import lightning as L
import torch
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError, NotFiniteError
from pinnlab.numerics import distributed
from pinnlab.objective.faults import all_finite, find_bad_parameter, find_bad_target, find_fault, total
from pinnlab.optimizers.requirements import has_stalled, loss_of
from pinnlab.training.closure import gradients_of
from pinnlab.training.trainer_parts import any_says, point_store


def fault_line(module: Any, when: str) -> str | None:
    """What is not finite at a `PINN`'s parameters on its present batch, in one line; None if all is.

    A collective: every rank looks at the rows of all ranks, and finds the same.

    Args:
        module: the `PINN`.
        when: in words, for the line.
    """
    batch = {name: distributed.gather(rows) for name, rows in module.batch.items()}
    fault = find_fault(module.system, batch, module.loss_weights)
    return None if fault is None else fault.line(when)


def gradient_fault(module: Any, optimizer: Optimizer) -> str | None:
    """What is not finite of the gradient that a step begins with, before it gets into the parameters.

    Optimizers of pinnlab that evaluate several times look themselves, and leave the parameters where they were. All
    ranks have the same gradient.

    Args:
        module: the `PINN`, after the backward pass.
        optimizer: about to step.
    """
    if hasattr(optimizer, "multi_eval"):
        return None
    gradients = gradients_of(optimizer)
    if not gradients or math.isfinite(module.objective.value_with(total(gradients))[1]):
        return None
    when = _in_step(module)
    return fault_line(module, when) or f"the gradient is not finite {when}; looked at again, every part of it is"


def step_fault(module: Any, optimizer: Optimizer) -> str | None:
    """What is not finite after a step.

    An optimizer of pinnlab that met such a value and is back at a point where all is well by itself, as
    `MultiBatchLBFGS` may be, goes on; a warning says so.

    Args:
        module: the `PINN`.
        optimizer: has made the step.
    """
    loss, known = module.current_loss(), loss_of(optimizer) is not None
    if math.isfinite(loss) and not (has_stalled(optimizer) and not all_finite(gradients_of(optimizer))):
        return None
    when = _in_step(module)
    line = fault_line(module, when)
    if line is None and not math.isfinite(loss):
        if known:
            line = f"the loss is {loss} {when}; looked at again, every part of it is finite"
        elif hasattr(optimizer, "status"):
            warnings.warn(f"the loss was {loss} {when}; the optimizer went back to where it is finite", stacklevel=2)
    return line  # torch's L-BFGS does not say which of its evaluations it kept: the last may be a trial that failed


def check_parameters(module: Any) -> None:
    """Refuses parameters that are not finite: what is saved must be worth going on from.

    Raises:
        NotFiniteError: one is not; names it.
    """
    fault = find_bad_parameter(module.system)
    if fault is not None:
        raise NotFiniteError(fault.line(f"after step {module.global_step}"))


def check_targets(module: Any) -> None:
    """Refuses points and prescribed values that are not finite, before the first step.

    Raises:
        ConfigurationError: one is not; names the condition and the first such point.
    """
    store = point_store(module)
    if store is None:
        return
    parameter = next(module.trial.parameters())
    fault = find_bad_target(module.system, {name: rows.to(parameter) for name, rows in store.rows.items()})
    if fault is not None:
        raise ConfigurationError(f"problem: {fault.line()}")


def raise_unless_recovered(module: Any) -> None:
    """Ends a run whose last step met what is not finite, unless a callback, such as `Rollback`, answers for it.

    Such a callback has the attribute `recovers`.

    Raises:
        NotFiniteError: with the module's `fault`.
    """
    if module.fault is not None and not any_says(module.trainer, "recovers"):
        raise NotFiniteError(module.fault)


def keep_checkpoints(trainer: L.Trainer, module: Any, error: BaseException) -> None:
    """Keeps a state that is not finite out of the checkpoints that are written on an exception."""
    finite = all(bool(torch.isfinite(p).all()) for p in module.parameters())
    if isinstance(error, NotFiniteError) or not finite:
        for callback in trainer.checkpoint_callbacks:
            if hasattr(callback, "save_on_exception"):
                callback.save_on_exception = False


def _in_step(module: Any) -> str:
    optimizer = type(module.current_optimizer()).__name__
    return f"in step {module.global_step + 1} (phase {module.phase + 1}, {optimizer})"
