"""Writing into a jet: `h[:, 0] = 1`, `h += 1`, `h.mul_(2)`.

Nothing is written in memory: a jet gets new channels. Torch's views share memory with their base, so that a write to
one changes the other; jets that may do so know each other (`Jet.as_view_of`), and a write that would have to reach one
that is still in use, and cannot, is refused rather than forgotten.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.coordinates import CoordinateJet
from pinnlab.derivatives.jet import Channel, Jet, rule
from pinnlab.errors import UnsupportedOperationError


@rule("setitem")
def _setitem(x: Any, index: Any, value: Any) -> None:
    if isinstance(value, Jet) and value.source is not None and _is_same_view(value.source, x, index):
        return  # the end of `x[index] += ...`, which has already changed both
    _overwrite(x, _replaced(_writable(x), index, value))


@rule("copy_")
def _copy(x: Any, source: Any, non_blocking: bool = False) -> Jet:
    whole = isinstance(source, Jet) and source.shape == _writable(x).shape
    return _overwrite(x, source if whole else _replaced(_writable(x), ..., source))


@rule("fill_")
def _fill(x: Any, value: Any) -> Jet:
    return _copy(x, value)


@rule("zero_")
def _zero(x: Any) -> Jet:
    return _copy(x, 0.0)


def _writable(x: Any) -> Jet:
    if not isinstance(x, Jet):
        raise UnsupportedOperationError(
            "the Taylor engine has no rule for writing what depends on the coordinates into a tensor that does not: "
            "set model.engine to 'reverse' (slower), or put the parts together with torch.stack or torch.cat"
        )
    return x


def _is_same_view(source: tuple[Jet, Any], base: Any, index: Any) -> bool:
    return source[0] is base and type(source[1]) is type(index) and bool(source[1] == index)


def _overwrite(x: Jet, new: Jet) -> Jet:
    """Gives a jet the channels of another, and writes them through to the base that it is a view of."""
    base, index = x.source or (None, None)
    if any(jet is not base for jet in x.relatives()):
        raise UnsupportedOperationError(
            "the Taylor engine has no rule for writing into a tensor of which other views are in use: set model.engine "
            "to 'reverse' (slower), or write into a clone()"
        )
    _assign(x, new)
    if base is not None:
        _assign(base, _replaced(base, index, x))
    return x


def _assign(x: Jet, new: Jet) -> None:
    x.value, x.first, x.higher, x.scales = new.value, new.first, new.higher, None
    if isinstance(x, CoordinateJet):
        x.slopes = None


def _replaced(x: Jet, index: Any, value: Any) -> Jet:
    """A copy of a jet with other entries at an index; as in torch, the new ones must broadcast to their place."""
    if isinstance(index, Tensor) and index.dtype == torch.bool and not isinstance(value, Jet) and _is_number(value):
        mask = index.reshape(*index.shape, *[1] * (x.ndim - index.ndim))  # the mask may vary under vmap
        return torch.where(mask, value, x)  # type: ignore[call-overload]
    zeros = torch.zeros_like(x.value)

    def write(old: Tensor | None, new: Any) -> Tensor:
        copy = zeros.clone() if old is None else zeros + old
        copy[index] = new
        return copy

    if not isinstance(value, Jet):
        first = [write(channel, 0.0) for channel in x.first]
        higher: dict[Channel, Tensor | None] = {k: None if c is None else write(c, 0.0) for k, c in x.higher.items()}
        return Jet(write(x.value, value), x.axes, torch.stack(first), higher)
    first = [write(old, new.expand(value.shape)) for old, new in zip(x.first, value.first, strict=True)]
    higher = {}
    for key, old in x.higher.items():
        new = value.higher[key]
        written = 0.0 if new is None else new.expand(value.shape)
        higher[key] = None if old is None and new is None else write(old, written)
    return Jet(write(x.value, value.value), x.axes, torch.stack(first), higher)


def _is_number(value: Any) -> bool:
    return not isinstance(value, Tensor) or value.ndim == 0
