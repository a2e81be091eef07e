"""What a checkpoint says of a module and its phase beside parameters, and whether it fits one."""

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
        "readings": module.system.readings.version,
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


def described_phase(module: Any) -> dict[str, Any]:
    """The module's phase, and its criterion's memory; primitives only."""
    phase = module.phases[module.phase]
    return {
        "number": module.phase,
        "count": len(module.phases),
        "until": None if phase.until is None else phase.until.state_dict(),
        "width": phase.width,
        "dtype": phase.dtype,
    }


def checked_phase(checkpoint: Mapping[str, Any], module: Any) -> dict[str, Any]:
    """What `described_phase` put into a checkpoint.

    Args:
        checkpoint: as Lightning hands it over.
        module: the `PINN` that is to go on from it.

    Raises:
        ConfigurationError: the module has other phases.
    """
    saved: dict[str, Any] = checkpoint["pinnlab_phase"]
    if saved["count"] != len(module.phases):
        raise ConfigurationError(
            f"ckpt_path: the checkpoint's run has {saved['count']} phases, this run {len(module.phases)}"
        )
    phase = module.phases[saved["number"]]
    for key in ("width", "dtype"):
        if saved.get(key) != getattr(phase, key):
            raise ConfigurationError(
                f"ckpt_path: the checkpoint's phase {saved['number'] + 1} has {key} {saved.get(key)}, "
                f"this run's {getattr(phase, key)}; use the same model.phases.{key}"
            )
    return saved
