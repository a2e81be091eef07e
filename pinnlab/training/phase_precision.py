"""The precision that a phase trains in: of weights and points, and of products of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pinnlab.numerics.precision import multiply_coarsely
from pinnlab.training.trainer_parts import in_training, point_store

DTYPES = {"float64": torch.float64, "float32": torch.float32}
"""Of weights and points, by name."""

TENSOR_FLOAT = "tensorfloat32"
"""The name of float32 whose products of matrices are rounded coarsely."""

PHASE_DTYPES = {**DTYPES, TENSOR_FLOAT: torch.float32}
"""What a phase may choose."""


def phase_dtype(module: Any, phase: Any) -> torch.dtype:
    """The precision of a phase: its own, or else the module's."""
    own: torch.dtype = module.own_dtype
    return own if phase.dtype is None else PHASE_DTYPES[phase.dtype]


def use_dtype(module: Any, dtype: torch.dtype) -> None:
    """Casts a module and the points it is trained on; the loss is built anew where that changes it."""
    store = point_store(module)
    if store is not None and store.dtype != dtype:
        store.to(dtype)
    if module.dtype != dtype:
        # Not `to`, which would cast the metrics' sums as well: those are float64 always.
        module.double() if dtype == torch.float64 else module.float()
        module.objective.build(module.device)


def use_saved_dtype(module: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Casts a module for the parameters of a checkpoint.

    Training goes on in the dtype of the phase, and takes the parameters in it; to look at them the own one will do.

    Args:
        module: the `PINN`.
        state: the checkpoint's `state_dict`.
    """
    parameter = next(name for name, _ in module.named_parameters())
    use_dtype(module, state[parameter].dtype if in_training(module) else module.own_dtype)


def use_products(module: Any, phase: Any) -> None:
    """Has products rounded as the phase asks, while the module is trained; what a GPU recorded with others is left."""
    if in_training(module) and multiply_coarsely(phase.dtype == TENSOR_FLOAT):
        module.objective.build(module.device)
