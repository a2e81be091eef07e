"""What an optimizer needs from the training loop, for ours and for torch's alike."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError, StopReason


def is_multi_eval(optimizer: Optimizer) -> bool:
    """True when `step` calls its closure several times: no gradient clipping, no moving points in between."""
    return bool(getattr(optimizer, "multi_eval", False)) or isinstance(optimizer, torch.optim.LBFGS)


def check_closure(optimizer: Optimizer) -> None:
    """Has an optimizer refused that cannot be handed the loss.

    Args:
        optimizer: any.

    Raises:
        ConfigurationError: its `step` takes no `closure`.
    """
    try:
        parameters = inspect.signature(optimizer.step).parameters
    except (TypeError, ValueError):  # one in another language does not tell
        return
    if "closure" not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise ConfigurationError(
            f"model.phases.optimizer: {type(optimizer).__name__}.step takes no closure; write it as "
            "`def step(self, closure=None)`, and call the closure first: it leaves the gradient, and returns the loss"
        )


def needs_linearization(optimizer: Optimizer) -> bool:
    """True when `step` wants the residual and its Jacobian as the keyword `linearization`."""
    return bool(getattr(optimizer, "needs_linearization", False))


def needs_jacobian(optimizer: Optimizer) -> bool:
    """True when `step` computes the Jacobian of all residuals in any case, so that the gradient can come out of it."""
    return bool(getattr(optimizer, "needs_jacobian", False))


def check_squares(optimizer: Optimizer, energies: Sequence[str]) -> None:
    """Has an optimizer that linearizes residuals refuse a loss that is not a sum of squares.

    Args:
        optimizer: any.
        energies: the conditions whose term of the loss is no mean square.

    Raises:
        ConfigurationError: it linearizes, and there are some.
    """
    if energies and needs_linearization(optimizer):
        raise ConfigurationError(
            f"{type(optimizer).__name__} needs a loss that is a sum of squares, and condition {energies[0]!r} is an "
            "Energy; use Adam, LBFGS or SSBroyden"
        )


def needs_last_layer(optimizer: Optimizer) -> bool:
    """True when it solves for the network's last layer, see `pinnlab.networks.last_layer`."""
    return bool(getattr(optimizer, "needs_last_layer", False))


def wants_overlap(optimizer: Optimizer) -> bool:
    """True when successive mini-batches must share points, and `step` takes the keyword `overlap`."""
    return bool(getattr(optimizer, "wants_overlap", False))


def wants_blocks(optimizer: Optimizer) -> bool:
    """True when it works on parts of a network, such as its windows, and `step` takes the keyword `blocks`."""
    return bool(getattr(optimizer, "wants_blocks", False))


def has_stalled(optimizer: Optimizer) -> bool:
    """Whether one that searches along lines found no further decrease in its last step."""
    return getattr(optimizer, "status", None) is StopReason.STALLED


def loss_of(optimizer: Optimizer) -> Any:
    """The loss where its last step ended; None of one that keeps none: most first-order ones know that before it."""
    return getattr(optimizer, "loss", None)


def evaluations_per_step(optimizer: Optimizer) -> int:
    """About how often one `step` calls its closure: what a run's cost is planned with."""
    own = getattr(optimizer, "evaluations_per_step", None)
    if own is not None:
        return int(own)
    options = optimizer.defaults
    return int(options.get("iterations", options.get("max_iter", 10))) if is_multi_eval(optimizer) else 1


def objective_changed(optimizer: Optimizer) -> None:
    """Tells an optimizer that points or loss weights changed since its last step.

    An optimizer with a method `objective_changed` decides itself what survives. torch's L-BFGS would reuse a
    gradient of the old objective, so it forgets all but its count of evaluations. First-order optimizers keep
    their moments: they are running averages that are meant to outlive a batch.
    """
    method = getattr(optimizer, "objective_changed", None)
    if method is not None:
        method()
    elif isinstance(optimizer, torch.optim.LBFGS):
        for state in optimizer.state.values():
            counted = {key: state[key] for key in ("func_evals",) if key in state}
            state.clear()
            state.update(counted)


def prefer_fused(optimizer: Optimizer, device_types: Sequence[str] = ("cpu", "cuda")) -> None:
    """Lets torch's Adam and AdamW make their step in one kernel, unless the user chose how.

    On a GPU they take about twenty launches by default, a tenth of a millisecond, which a small loss takes itself; on a
    CPU twice to three times as long as the one kernel.

    Args:
        optimizer: before its first step.
        device_types: where all parameters must be.
    """
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return
    for group in optimizer.param_groups:
        chosen = group["foreach"] is not None or group["fused"] is not None
        # The kernel goes through memory from end to end.
        possible = all(p.device.type in device_types and p.is_contiguous() for p in group["params"])
        if possible and not (chosen or group["capturable"] or group["differentiable"]):
            group["fused"] = True


def check_memory(optimizer: Optimizer, residuals: int) -> None:
    """Has an optimizer refuse what does not fit into memory, before it makes it.

    Args:
        optimizer: one with a method `check_memory(residuals)`; others keep a few vectors, which fit.
        residuals: how many the loss has, of all ranks; 0 where that is not known.

    Raises:
        ConfigurationError: its matrices do not fit; names what does.
    """
    method = getattr(optimizer, "check_memory", None)
    if method is not None:
        method(residuals)
