"""Several networks as one: each for some of the unknowns, on the coordinates that these depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.networks.narrowing import narrowed_inside


class ByUnknown:
    """Networks by the names of the unknowns, each for one of them.

    A recipe writes `network: {u: MLP, k: SIREN}`, and Python may give `PINN` a dictionary in its place.

    Args:
        networks: for each unknown what builds its network from the numbers of coordinates and outputs.
    """

    def __init__(self, networks: dict[str, Callable[[int, int], nn.Module]]) -> None:
        self.networks = dict(networks)


@dataclass(frozen=True)
class Part:
    """A network in a composed one.

    Attributes:
        network: `(n, len(inputs))` to `(n, len(outputs))`.
        inputs: the columns of the points that it sees.
        outputs: the columns of the result that it gives.
    """

    network: nn.Module
    inputs: Sequence[int]
    outputs: Sequence[int]


@final
class Composed(nn.Module):
    """Networks side by side; what the others see is one network with a column for each unknown.

    A column does not depend on coordinates that its network does not see, and derivatives by them are exactly zero.

    Args:
        parts: the networks; together they give every column once.
    """

    def __init__(self, parts: Sequence[Part]):
        super().__init__()
        self.parts = nn.ModuleList(part.network for part in parts)
        self._inputs = [tuple(part.inputs) for part in parts]
        order = [column for part in parts for column in part.outputs]
        self._places = [order.index(column) for column in range(len(order))]

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors with the first `width` neurons in every hidden layer of all networks, see `Narrowable`.

        Raises:
            ConfigurationError: one of them cannot be narrowed.
        """
        found = dict(tensors)
        for k, part in enumerate(self.parts):
            found = narrowed_inside(part, f"parts.{k}.", found, width)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        values = [part(_chosen(x, columns)) for part, columns in zip(self.parts, self._inputs, strict=True)]
        return _chosen(torch.cat(values, -1), self._places)


def _chosen(x: Tensor, columns: Sequence[int]) -> Tensor:
    """Some columns by slices, because indexing with a list makes a tensor that cannot be compiled under vmap."""
    first, last = columns[0], columns[-1]
    if list(columns) == list(range(first, last + 1)):
        return x if len(columns) == x.shape[-1] else x[..., first : last + 1]
    return torch.cat([x[..., k : k + 1] for k in columns], -1)
