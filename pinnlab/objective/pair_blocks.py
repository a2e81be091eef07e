"""The rows behind a `Linearization` where all conditions are functions times places, see `pair_jacobian`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.numerics.memory import BLOCK_BYTES as _BLOCK_BYTES
from pinnlab.numerics.memory import SMALL, fits
from pinnlab.objective.linearized_functions import LinearizedFunctions
from pinnlab.objective.pair_jacobian import PairJacobian
from pinnlab.objective.residuals import Batch, Parameters
from pinnlab.objective.row_blocks import RowBlocks


def row_blocks(
    functions: LinearizedFunctions, parameters: Parameters, batch: Batch, factors: Tensor, memory: int
) -> RowBlocks:
    """`PairBlocks` of one process, where factors are less than rows and fit into the memory; else `RowBlocks`."""
    blocks = RowBlocks(functions, parameters, batch, factors, memory)
    numbers = functions.numbers_at_pairs(parameters, batch) if distributed.world_size() == 1 else None
    if numbers is None:
        return blocks
    size, shaped = 0, functions.system.products.shaped(batch)
    for name, (of_function, of_place) in numbers.items():
        count, places = shaped[name].shape[:2]
        rows = blocks.lengths[name]
        if count * of_function > rows or places * of_place > rows:
            return blocks
        kept = (count * of_function + places * of_place) * blocks.columns + rows * (of_function + of_place)
        size += kept * factors.element_size()
    if size > memory or (size > SMALL and not fits(2 * size, factors.device)):
        return blocks
    return PairBlocks(functions, parameters, batch, factors, memory)


class PairBlocks(RowBlocks):
    """Rows that are kept as factors of functions and places: made when asked for, J'J without them.

    Of one process. Its arguments are those of `RowBlocks`; the factors are kept whatever the rows would take.
    """

    def __init__(
        self, functions: LinearizedFunctions, parameters: Parameters, batch: Batch, factors: Tensor, memory: int
    ) -> None:
        super().__init__(functions, parameters, batch, factors, memory)
        self.keeps = True
        self._pairs: dict[str, PairJacobian] = {}

    @property
    def values(self) -> Tensor | None:
        """See `RowBlocks`."""
        return self._values

    def keep(self) -> None:
        """Computes all factors, if they are not there yet."""
        if self._pairs:
            return
        self.count()
        for i, name, points in self._conditions():
            self._pairs[name] = self.functions.pair_jacobian(self.at(None), name, points, self._roots[i])
        self._values = torch.cat([pairs.values.flatten() for pairs in self._pairs.values()])

    def blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """See `RowBlocks`; of whole functions."""
        self.keep()
        start = 0
        for pairs in self._pairs.values():
            step = max(1, _BLOCK_BYTES // (pairs.values[0].numel() * self.columns * pairs.values.element_size()))
            for first in range(0, len(pairs.values), step):
                part = slice(first, min(first + step, len(pairs.values)))
                values = pairs.values[part].flatten()
                yield slice(start, start + len(values)), values, pairs.rows(part)
                start += len(values)

    def rounds(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See `RowBlocks`."""
        for part, _, rows in self.blocks():
            yield torch.arange(part.start, part.stop, device=self.factors.device), rows

    def times(self, v: Tensor) -> Tensor:
        """See `RowBlocks`."""
        self.keep()
        return torch.cat([pairs.times(v) for pairs in self._pairs.values()])

    def transposed_times(self, own: Tensor) -> Tensor:
        """See `RowBlocks`."""
        self.keep()
        parts = zip(self._pairs.values(), own.split([*self.lengths.values()]), strict=True)
        return torch.stack([pairs.transposed_times(part) for pairs, part in parts]).sum(0)

    def gram(self, scale: Tensor | None) -> Tensor:
        """See `RowBlocks`; without the rows, unless they are scaled."""
        if scale is not None:
            return super().gram(scale)
        self.keep()
        whole = torch.stack([pairs.gram() for pairs in self._pairs.values()]).sum(0)
        return torch.cat([whole, self.transposed_times(self.residuals(None))[None]])

    def of_condition(self, name: str) -> RowBlocks:
        """See `RowBlocks`."""
        view = super().of_condition(name)
        assert isinstance(view, PairBlocks)
        view._pairs = {name: self._pairs[name]}
        return view
