"""Copies: of many tensors at once, one launch on a GPU for all of one data type, and in another layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copies each tensor into another one; of a list with several data types torch would copy one after the other."""
    for places in _by_dtype(targets):
        torch._foreach_copy_([targets[i] for i in places], [sources[i] for i in places])


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """A copy of each tensor."""
    found: list[Tensor] = [*tensors]
    for places in _by_dtype(tensors):
        for i, copied in zip(places, torch._foreach_mul([tensors[i] for i in places], 1.0), strict=True):
            found[i] = copied
    return found


def laid_out_like(parameter: Tensor, gradient: Tensor) -> Tensor:
    """A gradient in the layout of its parameter: a fused step goes through the memory of both in one order."""
    alike = gradient.stride() == parameter.stride()
    return gradient if alike else torch.empty_like(parameter).copy_(gradient)


def _by_dtype(tensors: Sequence[Tensor]) -> list[list[int]]:
    """The places of the tensors of each data type."""
    places: dict[torch.dtype, list[int]] = {}
    for i, tensor in enumerate(tensors):
        places.setdefault(tensor.dtype, []).append(i)
    return [*places.values()]
