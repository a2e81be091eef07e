"""Many networks of one shape as one: their tensors stacked, parts in front, and evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.checks import positive_int
from pinnlab.numerics.mapped import mapped
from pinnlab.numerics.swapped import call_with, places_of

_ROWS = 16
"""Rows of a part that are computed together: enough for efficient products, and few to fill up a part's last block.
"""


def stacked(build: Callable[[int, int], nn.Module], inputs: int, outputs: int, count: int) -> nn.Module:
    """One module that holds the parameters and buffers of `count` networks, which are drawn one after the other.

    Raises:
        ConfigurationError: what is to build a network is no function, or builds something else.
    """
    if not callable(build):
        raise ConfigurationError(f"network must build a Module from inputs and outputs, not {build!r}")
    networks = [build(inputs, outputs) for _ in range(count)]
    first = networks[0]
    if not isinstance(first, nn.Module):
        raise ConfigurationError(f"network must build a Module, got {type(first).__name__}")
    places = [dict(places_of(network)) for network in networks]
    made: dict[Tensor, Tensor] = {}  # what several modules of a network share stays shared
    for name, tensor in places[0].items():
        owner, _, leaf = name.rpartition(".")
        if tensor not in made:
            all_of_them = torch.stack([own[name].detach() for own in places])
            is_parameter = isinstance(tensor, nn.Parameter)
            made[tensor] = nn.Parameter(all_of_them, tensor.requires_grad) if is_parameter else all_of_them
        setattr(first.get_submodule(owner), leaf, made[tensor])
    return first


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def parts_of(network: nn.Module) -> int:
    """How many networks its tensors hold."""
    return len(next(iter(tensors_of(network).values())))


def by_parts(network: nn.Module, x: Any, numbers: Tensor, count: int) -> Any:
    """Evaluates each row `(..., d)` by the part of its number, `(..., m)`.

    Args:
        network: what `stacked` has made.
        x: the rows; they may be a jet.
        numbers: `(...)` from 0.
        count: how many parts there are.
    """
    if torch.compiler.is_exporting() or not len(numbers):  # `vmap` does not take none, and would fix their number
        return _one_by_one(network, x, numbers, count)
    blocks = blocks_of_parts(numbers.flatten(), count)
    rows = x.reshape(-1, x.shape[-1])[blocks.rows].reshape(len(blocks.parts), blocks.size, x.shape[-1])
    # Not `index_select`, whose gradient a GPU adds up in any order.
    own = {name: tensor[blocks.parts] for name, tensor in tensors_of(network).items()}
    values = mapped(lambda x, tensors: call_with(network, tensors, (x,)), rows, own)
    return values.flatten(0, 1)[blocks.places].unflatten(0, tuple(numbers.shape))


def _one_by_one(network: nn.Module, x: Any, numbers: Tensor, count: int) -> Any:
    """The same in plain operations, every part at every row."""
    found = []
    for part in range(count):
        own = {name: tensor[part] for name, tensor in tensors_of(network).items()}
        found.append((numbers == part).unsqueeze(-1) * call_with(network, own, (x,)))
    return reduce(torch.add, found)


class Blocks(NamedTuple):
    """Rows by parts: blocks of as many rows each, all rows of a block of one part.

    Attributes:
        rows: `(blocks * size,)` the number of the row in each place; some places repeat row 0 and are not read.
        parts: `(blocks,)` the part of each block.
        places: `(rows,)` where each row is.
        size: how many rows a block has.
    """

    rows: Tensor
    parts: Tensor
    places: Tensor
    size: int


def blocks_of_parts(numbers: Tensor, count: int) -> Blocks:
    """Sorts rows by part, into blocks; how many there are depends on the number of rows alone, as compilers need.

    Args:
        numbers: `(rows,)` the part of each row.
        count: the number of parts.
    """
    n, size = numbers.shape[0], _ROWS
    every = torch.arange(n, device=numbers.device)
    if n < 2 * size * count:
        return Blocks(every, numbers, every, 1)
    order = torch.argsort(numbers, stable=True)
    ordered = numbers[order]
    rows_of = torch.zeros(count, dtype=torch.long, device=numbers.device).index_add(0, numbers, torch.ones_like(every))
    blocks_of = (rows_of + size - 1) // size
    first_row, first_block = rows_of.cumsum(0) - rows_of, blocks_of.cumsum(0) - blocks_of
    places = first_block[ordered] * size + every - first_row[ordered]
    blocks = n // size + count
    rows = torch.zeros(blocks * size, dtype=torch.long, device=numbers.device).index_copy(0, places, order)
    parts = torch.zeros(blocks, dtype=torch.long, device=numbers.device).index_copy(0, places // size, ordered)
    return Blocks(rows, parts, torch.zeros_like(every).index_copy(0, order, places), size)


def checked_grid(grid: Sequence[int] | int, inputs: int, what: str = "windows") -> list[int]:
    """The numbers of parts along each coordinate; one number is for all of them.

    Raises:
        ConfigurationError: there is not one for each coordinate, or one is not positive.
    """
    counts = [grid] * inputs if isinstance(grid, int) else grid
    if not isinstance(counts, Sequence) or isinstance(counts, str) or len(counts) != inputs:
        raise ConfigurationError(f"grid must list {inputs} numbers of {what}, one for each coordinate, not {grid!r}")
    return [positive_int(f"grid[{k}]", count) for k, count in enumerate(counts)]
