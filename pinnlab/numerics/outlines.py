"""What compiled code returns, held against what its function returns: shapes, data types, devices, and numbers.

A code generator that drops or keeps an axis by mistake gives right numbers in a wrong shape, which broadcasting may
hide for long; and a function that asks what its arguments are (`isinstance(x, float)`) is another one when it is
traced. So every graph is tried once, on the tensors that it was made for, and against the function, on few rows if
these can be any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def check_numbers(function: Callable[..., Any], found: Any, expected: Any, nearby: Any) -> None:
    """Refuses what compiled code returned where its numbers are others than those of the function.

    Roundings differ: what the function itself changes by when its parameters do in their last bits is allowed, times
    `ROUNDINGS`, and the root of the type's precision of the largest number in all that it returns. What is not finite
    is not looked at, nor what are no floating-point numbers.

    Args:
        function: whose code it is.
        found: what the code returned.
        expected: what the function returned for the same arguments, of the same outline.
        nearby: the same for parameters that are `shaken`.

    Raises:
        RuntimeError: they are others; names the function.
    """
    leaves = [
        (own, wanted, near)
        for own, wanted, near in zip(*map(pytree.tree_leaves, (found, expected, nearby)), strict=True)
        if isinstance(wanted, Tensor) and wanted.is_floating_point() and wanted.numel()
    ]
    leaves = [leaf for leaf in leaves if bool((leaf[1].isfinite() & leaf[2].isfinite()).all())]
    largest = max((float(wanted.abs().max()) for _, wanted, _ in leaves), default=0.0)
    for own, wanted, near in leaves:
        allowed = torch.finfo(wanted.dtype).eps ** 0.5 * largest + ROUNDINGS * float((near - wanted).abs().max())
        if not float((own - wanted).abs().max()) <= allowed:
            raise RuntimeError(
                f"{name_of(function)}: compiled code returns other numbers than the function, which may decide by the "
                "types of what it is given"
            )


ROUNDINGS = 100.0
"""By how much more than a change in the last bits of its parameters another order of operations changes a function."""


def shaken(tensors: Mapping[str, Tensor], moved: str | None = None) -> dict[str, Tensor]:
    """Tensors of which those that training moves differ from others in the last bits of their numbers.

    The others, such as the edges of windows, may decide which part of a table a point takes: they stay.

    Args:
        tensors: parameters and buffers by name.
        moved: the name of one that training moves though it requires no gradient.
    """

    def other(tensor: Tensor) -> Tensor:
        signs = 1 - 2 * (torch.arange(tensor.numel(), device=tensor.device) % 2).view(tensor.shape)
        changed = tensor.detach() * (1 + 4 * torch.finfo(tensor.dtype).eps * signs.to(tensor.dtype))
        return changed.requires_grad_(tensor.requires_grad)

    return {name: other(t) if t.requires_grad or name == moved else t for name, t in tensors.items()}


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
