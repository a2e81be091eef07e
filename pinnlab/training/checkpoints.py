"""What a checkpoint says of a module beside its parameters, and whether it fits one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnlab.errors import ConfigurationError


def described(module: Any) -> dict[str, Any]:
    """What is neither a parameter nor a callback's: whose checkpoint it is, and counters; primitives only."""
    return {
        "problem": module.problem.name,
        "evaluations": module.evaluations,
        "points_seen": module.points_seen,
        "loss_version": module.loss_version,
    }


def checked(checkpoint: Mapping[str, Any], module: Any) -> dict[str, Any]:
    """What `described` put into a checkpoint.

    Args:
        checkpoint: as Lightning hands it over.
        module: the `PINN` that is to go on from it.

    Raises:
        ConfigurationError: it is not one of pinnlab, or of another problem or network.
    """
    saved: dict[str, Any] | None = checkpoint.get("pinnlab")
    if saved is None:
        raise ConfigurationError("ckpt_path: this is not a checkpoint of pinnlab")
    if saved["problem"] != module.problem.name:
        raise ConfigurationError(
            f"ckpt_path: the checkpoint is of problem {saved['problem']}, this run's is {module.problem.name}"
        )
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    for name, tensor in checkpoint["state_dict"].items():
        if own.get(name) != tensor.shape:
            raise ConfigurationError(
                f"ckpt_path: the checkpoint's {name} has shape {tuple(tensor.shape)}, this run's network has "
                f"{tuple(own[name]) if name in own else 'none'}; use the same model.network"
            )
    return saved
