"""Overlapping windows on a grid: a smooth partition of unity, and which windows a point lies in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn


class Seen(NamedTuple):
    """What n points see of the windows: k for each of them.

    Attributes:
        numbers: `(n, k)` which windows, from 0, the last coordinate's first.
        local: `(n, k, d)` the points in the coordinates of each window, [-1, 1] where it is not zero.
        weights: `(n, k)` the windows' values, which sum up to one.
    """

    numbers: Tensor
    local: Any
    weights: Any


@final
class Windows(nn.Module):
    r"""Windows `w_j(x)` on a regular grid of [-1, 1]^d that sum up to one, each zero beyond its neighbours' middle.

    Along a coordinate with g windows their centres are 2/g apart, and each is `overlap` times as wide. Where two of
    them overlap one falls as the other rises, by `3 z^2 - 2 z^3` or a polynomial of higher order; elsewhere a point
    sees one alone, also beyond the first and the last. In d coordinates a window is a product of d such functions.

    A point sees the two windows next to it along every coordinate that has several: `2^k` of them for k such
    coordinates, however fine the grid.

    Args:
        grid: the number of windows along each coordinate.
        overlap: the width of a window over the distance to the next one, above 1 and at most 2.
        periodic: the columns of coordinates along which the last window is next to the first.
        smoothness: how many derivatives of the windows are continuous.
    """

    corners: Tensor
    counts: Tensor
    scales: Tensor
    strides: Tensor
    turns: Tensor
    wraps: Tensor

    def __init__(self, grid: Sequence[int], overlap: float, periodic: Sequence[int], smoothness: int):
        super().__init__()
        self.grid, self.overlap = tuple(grid), float(overlap)
        self._step = _step_coefficients(smoothness)
        shared = [count > 1 or column in periodic for column, count in enumerate(grid)]
        corners = list(itertools.product(*((0.0, 1.0) if several else (0.0,) for several in shared)))
        strides = [math.prod(grid[column + 1 :]) for column in range(len(grid))]
        self._scales = [2 / overlap if several else 2.0 for several in shared]
        constants = {
            "corners": corners,
            "turns": [
                [(2 * c - 1) * float(several) for c, several in zip(row, shared, strict=True)] for row in corners
            ],
            "counts": [float(count) for count in grid],
            "scales": self._scales,
            "strides": [float(stride) for stride in strides],
            "wraps": [float(column in periodic) for column in range(len(grid))],
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Windows:
        super()._apply(fn, recurse)
        self.scales.copy_(torch.tensor(self._scales, dtype=torch.float64))  # whatever it was rounded to on the way
        return self

    @property
    def count(self) -> int:
        """How many windows there are."""
        return math.prod(self.grid)

    def slabs(self) -> Tensor:
        """`(count,)` the place of each window along the coordinate with most of them, so that neighbours are next.

        Along a periodic coordinate the first one is next to the second and to the last; it is said to be -1, of the
        rim, and the others count from 0.
        """
        column = max(range(len(self.grid)), key=lambda k: (not self.wraps[k], self.grid[k]))
        behind = math.prod(self.grid[column + 1 :])
        places = torch.arange(self.count) // behind % self.grid[column]
        return places - int(self.wraps[column])

    def colours(self) -> Tensor:
        """`(count,)` a number for each window, so that windows with the same number do not overlap."""
        numbers = torch.zeros(self.count, dtype=torch.long)
        for column, count in enumerate(self.grid):
            places = torch.arange(self.count) // math.prod(self.grid[column + 1 :]) % count
            own = places % 2
            if self.wraps[column] and count > 1 and count % 2:
                own = torch.where(places == count - 1, 2, own)  # between two of the others
            numbers = 3 * numbers + own
        return torch.unique(numbers, return_inverse=True)[1]

    def forward(self, x: Any) -> Seen:
        """What points `(n, d)` see."""
        place = (x + 1) * (self.counts / 2) - 0.5  # in distances of windows: a whole number at each centre
        before = place.detach().floor()
        last = (self.counts - 2).clamp_min(0)
        before = torch.where(self.wraps > 0, before, torch.minimum(before.clamp_min(0), last))
        beyond = place - before
        rise = self._rise(beyond).unsqueeze(-2)
        factors = (1 - self.corners) + self.turns * rise
        weights = factors[..., 0]
        for column in range(1, len(self.grid)):
            weights = weights * factors[..., column]
        at = before.unsqueeze(-2) + self.corners
        at = at - self.counts * torch.floor(at / self.counts)  # the first after the last, where they are periodic
        numbers = (at * self.strides).sum(-1).long()
        return Seen(numbers, (beyond.unsqueeze(-2) - self.corners) * self.scales, weights)

    def _rise(self, beyond: Any) -> Any:
        """From 0 to 1 between two centres: 0 where the first window is alone, 1 where the second is."""
        z = ((beyond - (1 - self.overlap / 2)) / (self.overlap - 1)).clamp(0.0, 1.0)
        total = z * self._step[-1] + self._step[-2]
        for coefficient in reversed(self._step[:-2]):
            total = total * z + coefficient
        return total


def _step_coefficients(smoothness: int) -> list[float]:
    """The polynomial of degree 2 s + 1 from (0, 0) to (1, 1) with s derivatives zero at both: 3 z^2 - 2 z^3, ..."""
    coefficients = [0.0] * (2 * smoothness + 2)
    for k in range(smoothness + 1):
        sign = (-1) ** k
        ways = math.comb(smoothness + k, k) * math.comb(2 * smoothness + 1, smoothness - k)
        coefficients[smoothness + 1 + k] = float(sign * ways)
    return coefficients
