"""What loggers show of a run's settings: primitives in the `hparams` of module and data, and in no checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(owner: Any, words: Mapping[str, Any]) -> None:
    """Adds words and numbers to the `hparams` of a module or data module, which loggers get when training starts."""
    owner.described = {**getattr(owner, "described", {}), **words}
    owner.save_hyperparameters(dict(owner.described))


def leave_out(checkpoint: dict[str, Any], owner: Any) -> None:
    """Takes the description out of a checkpoint; what a subclass has saved of its own stays.

    Lightning hands `hparams` in a checkpoint to the constructor, which would get the name of the problem for a problem.
    """
    described = getattr(owner, "described", None)
    if described is None:
        return
    own = {k: v for k, v in checkpoint.get(owner.CHECKPOINT_HYPER_PARAMS_KEY, {}).items() if k not in described}
    if own:
        checkpoint[owner.CHECKPOINT_HYPER_PARAMS_KEY] = own
        return
    for key in (owner.CHECKPOINT_HYPER_PARAMS_KEY, owner.CHECKPOINT_HYPER_PARAMS_NAME):
        checkpoint.pop(key, None)
