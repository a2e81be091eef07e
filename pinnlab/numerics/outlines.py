"""What compiled code returns, held against what its function returned when it was traced: shapes, data types, devices.

A code generator that drops or keeps an axis by mistake gives right numbers in a wrong shape, which broadcasting may
hide for long. So every graph is tried once, on the tensors that it was made for, and on few rows against the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def outline(
    leaves: Sequence[Tensor | None], placeholders: Sequence[Tensor], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """What a traced function returns for inputs of other lengths: tensors without contents. Nothing is computed.

    Evaluating the function once more without contents would take as long as tracing it, 0.4 s.

    Args:
        leaves: what it returned for the placeholders, fake tensors or None.
        placeholders: fake tensors, whose first size may be a symbol.
        inputs: real ones in their place, whose contents are not looked at.
    """
    first: list[Any] = [stand_in.shape[0] for stand_in in placeholders]
    lengths = {
        size.node.expr: len(rows) for size, rows in zip(first, inputs, strict=True) if isinstance(size, torch.SymInt)
    }

    def number(size: Any) -> int:
        return int(size.node.expr.xreplace(lengths)) if isinstance(size, torch.SymInt) else int(size)

    def like(leaf: Any) -> Tensor:
        with leaf.fake_mode:
            sizes, strides = map(number, leaf.shape), map(number, leaf.stride())
            return torch.empty_strided(tuple(sizes), tuple(strides), dtype=leaf.dtype, device=leaf.device)

    return [None if leaf is None else like(leaf) for leaf in leaves]


def check_outline(function: Callable[..., Any], found: Any, expected: Any) -> None:
    """Refuses what compiled code returned where it is not what the function returns.

    Strides may differ, as every consumer honours them, but not so that several elements share their memory: results are
    changed in place.

    Args:
        function: whose code it is.
        found: what the code returned.
        expected: the function's `outline`, or what it returned.

    Raises:
        RuntimeError: a tensor has another shape or data type, is elsewhere, or overlaps itself; names the function.
    """
    leaves, wanted_leaves = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    if len(leaves) != len(wanted_leaves):
        raise RuntimeError(f"{name_of(function)}: compiled code returns {len(leaves)} values, not {len(wanted_leaves)}")
    for own, wanted in zip(leaves, wanted_leaves, strict=True):
        if _kind(own) != _kind(wanted):
            raise RuntimeError(
                f"{name_of(function)}: compiled code returns {_words(own)} where the function returns {_words(wanted)}"
            )


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or of the one that made it, for a message."""
    return getattr(function, "__qualname__", type(function).__name__).partition(".<locals>")[0]


def _kind(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return type(value)
    overlaps = any(stride == 0 and size > 1 for size, stride in zip(value.shape, value.stride(), strict=True))
    return tuple(value.shape), value.dtype, value.device, overlaps


def _words(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    shape, dtype, device, overlaps = _kind(value)
    return f"{shape} {str(dtype).removeprefix('torch.')} on {device}" + (", overlapping" if overlaps else "")
