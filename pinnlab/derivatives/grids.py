"""Derivatives of sums of products on grids: sums of derivatives of the factors, each by its own coordinate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.jet import Channel, Jet, Laplacian, rule
from pinnlab.numerics.tensor_sums import LineFunctions, grid_lines, summed, summed_up


@rule("grid_sum")
def _grid_sum(core: Tensor, points: Jet, shape: Sequence[int], functions: Sequence[LineFunctions]) -> Any:
    """`numerics.tensor_sums.grid_sum` of the scaled coordinates, otherwise as products of jets.

    A factor's derivatives by other coordinates are zero, and products of jets would add up these zeros, and take five
    times as long for a Laplacian and a first derivative.
    """
    if points.scales is None or points.axes[-1] >= len(functions):  # not the coordinates, or drawn directions
        return summed_up(core, points, shape, functions)
    sums = _Sums(core, points, shape, functions)
    first = torch.stack([sums.channel((axis,)) for axis in points.axes])
    return Jet(sums.channel(()), points.axes, first, {key: sums.channel(key) for key in points.higher})


class _Sums:
    """The sum and its derivatives, of which those that begin alike share their beginnings."""

    def __init__(self, core: Tensor, points: Jet, shape: Sequence[int], functions: Sequence[LineFunctions]) -> None:
        assert points.scales is not None  # who asks has looked
        lines, scales = grid_lines(points.value, shape), points.scales.roll(1)  # the last coordinate first
        self._factors = [
            _derivatives(function, line, scale, points.order)
            for function, line, scale in zip(functions, lines, scales, strict=True)
        ]
        self._known: dict[tuple[int, ...], Tensor] = {(): core}

    def channel(self, key: Channel) -> Tensor:
        """The value, or a derivative, `(n, outputs)`."""
        if isinstance(key, Laplacian):
            parts = [self.channel((axis, axis)) for axis in key.axes]
            return sum(parts[1:], parts[0])
        orders = Counter((axis + 1) % len(self._factors) for axis in key)
        return self._summed(tuple(orders[i] for i in range(len(self._factors)))).flatten(1).mT

    def _summed(self, orders: tuple[int, ...]) -> Tensor:
        """Over the coordinates from some one on, with derivatives of these orders by them."""
        if orders not in self._known:
            i = len(self._factors) - len(orders)
            self._known[orders] = summed(self._summed(orders[1:]), i, self._factors[i][orders[0]])
        return self._known[orders]


def _derivatives(function: LineFunctions, line: Tensor, scale: Tensor, order: int) -> list[Tensor]:
    """The functions `(n, functions)` of a coordinate, and their derivatives up to an order."""
    higher: dict[Channel, Tensor | None] = {(0,) * k: None for k in range(2, order + 1)}
    found = function(Jet(line, (0,), scale.reshape(1, 1), higher))  # type: ignore[arg-type]
    parts = [found.channel((0,) * k) if isinstance(found, Jet) else None for k in range(1, order + 1)]
    value = found.value if isinstance(found, Jet) else found
    return [value, *(torch.zeros_like(value) if part is None else part.expand(value.shape) for part in parts)]
