"""An optimizer that goes on with the state of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import is_multi_eval


def check_prolonged(phases: Sequence[Any], optimizers: Sequence[Optimizer]) -> None:
    """Refuses a phase with `prolong` whose optimizer cannot go on from the one before.

    Args:
        phases: of the run.
        optimizers: one for each.

    Raises:
        ConfigurationError: it is the first, its optimizer is of another class, or it remembers more than averages of
            gradients: quasi-Newton methods know what outlives a phase themselves.
    """
    for k, (phase, own) in enumerate(zip(phases, optimizers, strict=True)):
        if not phase.prolong:
            continue
        name = type(own).__name__
        if k == 0:
            raise ConfigurationError("model.phases.0.prolong: there is no phase before the first; leave it out")
        if is_multi_eval(own):
            raise ConfigurationError(
                f"model.phases.{k}.prolong: is for first-order optimizers such as Adam, not {name}"
            )
        if type(optimizers[k - 1]) is not type(own):
            before = type(optimizers[k - 1]).__name__
            raise ConfigurationError(f"model.phases.{k}.prolong: {name} cannot go on from the state of {before}")


def prolong(before: Optimizer, own: Optimizer) -> None:
    """Gives an optimizer the state of another of its class on the same parameters; it keeps its own options."""
    own.load_state_dict({**own.state_dict(), "state": before.state_dict()["state"]})
