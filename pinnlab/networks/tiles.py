"""Tiles: many small networks in boxes that do not overlap, evaluated as one batched network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from pinnlab.networks.checks import positive_int
from pinnlab.networks.locality import SeenParts
from pinnlab.networks.mlp import MLP
from pinnlab.networks.stacked import by_parts, checked_grid, parts_of, stacked, tensors_of


class _Place(NamedTuple):
    """Where points lie.

    Attributes:
        tile: `(n, d)` the place of the tile along each coordinate, from 0.
        local: `(n, d)` the points in the coordinates of the tile, [-1, 1].
    """

    tile: Tensor
    local: Any


@final
class Tiles(nn.Module):
    r"""A network in each box of a grid: `u(x) = net_j((x - c_j) / h_j)` in the j-th.

    The boxes cut the domain and do not overlap, so that u may jump or bend where two meet. Nothing but a condition
    couples them: give the problem a `Continuity` with the same grid, or take `Tiled(problem, grid=...)`, which does.
    Each network sees its own box as [-1, 1]. All parameters of one layer, of all boxes, are one tensor with the boxes
    in front, and they are evaluated together; a point is computed once, in its own.

    A point exactly where two tiles meet is in the upper one, but rounding of its coordinates decides; a `Continuity`
    looks at points beside it.

    Source: Jagtap, Karniadakis, "Extended physics-informed neural networks (XPINNs)", Communications in Computational
    Physics 28 (2020), and Jagtap, Kharazmi, Karniadakis on conservative ones (cPINN), Computer Methods in Applied
    Mechanics and Engineering 365 (2020).

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        grid: the number of tiles along each coordinate, such as `[4, 2]`; one number is for all of them.
        network: what builds the network of a tile; default an `MLP` with one hidden layer of 16.

    Attributes:
        grid: the numbers of tiles, a tuple.

    Raises:
        ConfigurationError: a size is not positive, or the grid has another number of coordinates.
    """

    counts: Tensor
    strides: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        grid: Sequence[int] | int,
        network: Callable[[int, int], nn.Module] | None = None,
    ):
        super().__init__()
        positive_int("outputs", outputs)
        self.grid = tuple(checked_grid(grid, positive_int("inputs", inputs), "tiles"))
        build = partial(MLP, hidden=[16]) if network is None else network
        self.network = stacked(build, inputs, outputs, self.count)
        strides = [float(math.prod(self.grid[column + 1 :])) for column in range(inputs)]
        self.register_buffer("counts", torch.tensor([float(count) for count in self.grid]), persistent=False)
        self.register_buffer("strides", torch.tensor(strides), persistent=False)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return math.prod(self.grid)

    @property
    def last(self) -> nn.Module | None:
        """The last layer of the networks, see `last_layer`; None where they have none."""
        return getattr(self.network, "last", None)

    def seen(self, x: Tensor) -> SeenParts:
        """Which tiles points `(n, inputs)` see, see `Local`: their own, and that beyond the nearest inner face.

        So a condition on a face sees both sides of it. The even one of the two, as on a chess board, comes first; slabs
        are across the coordinate with most tiles.
        """
        if self.count <= 2:
            return SeenParts({}, {}, {})  # all of them
        place = (x + 1) * (self.counts / 2)
        face = torch.minimum(place.round().clamp_min(1), self.counts - 1)
        distance = torch.where(self.counts > 1, (place - face).abs(), torch.inf)
        across = torch.zeros_like(x).scatter(1, distance.argmin(1, keepdim=True), 1.0) > 0
        lower, upper = (torch.where(across, side, self._place(x).tile) for side in (face - 1, face))
        even = _parity(lower) == 0
        both = torch.stack([self._numbers(lower), self._numbers(upper)], 1)
        numbers = torch.where(even[:, None], both, both.flip(1))
        index = torch.stack(torch.unravel_index(torch.arange(self.count), self.grid), 1)
        slabs, colours = index[:, max(range(len(self.grid)), key=lambda k: self.grid[k])], _parity(index)
        names = [f"network.{name}" for name in tensors_of(self.network)]
        return SeenParts(dict.fromkeys(names, numbers), dict.fromkeys(names, slabs), dict.fromkeys(names, colours))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        rows = x.reshape(-1, x.shape[-1])
        tile, local = self._place(rows)
        numbers, count = self._numbers(tile), self.count
        if parts_of(self.network) < count:  # the two that the one point sees, see `seen`
            numbers, count = _parity(tile), 2
        values = by_parts(self.network, local, numbers, count)
        return values.reshape(*x.shape[:-1], values.shape[-1])

    def _place(self, x: Any) -> _Place:
        """Points beyond the domain are in the outermost tiles."""
        place = (x + 1) * (self.counts / 2)
        index = torch.minimum(place.detach().floor().clamp_min(0), self.counts - 1)
        return _Place(index, (place - index) * 2 - 1)

    def _numbers(self, index: Tensor) -> Tensor:
        return (index * self.strides).sum(-1).long()


def _parity(index: Tensor) -> Tensor:
    """`(n,)` 0 or 1 by turns, as on a chess board: neighbours differ."""
    return (index.sum(-1) % 2).long()
