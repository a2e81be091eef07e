"""The rule of `mapped`: jets through one function for many groups of rows, each with tensors of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.jet import Channel, Jet, rule


@rule("mapped")
def _mapped(function: Callable[[Any, dict[str, Tensor]], Any], x: Jet, tensors: Mapping[str, Tensor]) -> Jet:
    """`torch.vmap` over the channels, which are jets again inside."""
    keys = [key for key, channel in x.higher.items() if channel is not None]
    given = [x.higher[key].expand(x.shape) for key in keys]  # type: ignore[union-attr]
    left: list[Channel] = []  # the channels of the result that are not zero, known once the function was called

    def of_group(value: Tensor, first: Tensor, own: list[Tensor], parameters: dict[str, Tensor]) -> Any:
        higher: dict[Channel, Tensor | None] = {**dict.fromkeys(x.higher), **dict(zip(keys, own, strict=True))}
        result = function(Jet(value, x.axes, first, higher), parameters)
        left[:] = [key for key in x.higher if result.higher[key] is not None]
        shape = result.shape
        return (
            result.value,
            result.first.expand(len(x.axes), *shape),
            [result.higher[key].expand(shape) for key in left],
        )

    first = x.first.expand(len(x.axes), *x.shape).movedim(0, 1)
    value, first, own = torch.vmap(of_group)(x.value, first, given, dict(tensors))
    higher: dict[Channel, Tensor | None] = {**dict.fromkeys(x.higher), **dict(zip(left, own, strict=True))}
    return Jet(value, x.axes, first.movedim(1, 0), higher)
