"""Which rows of the conditions a step is made on: all of them, or the next slice of a pass over shuffled ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import distributed
from pinnlab.samplers import seed_for


class MiniBatches:
    """Passes over the rows of all conditions; every pass has its own permutation, the same on all ranks.

    Args:
        seed: of the permutations.
        size: rows of a condition per step, or None for all of them; a smaller set is taken whole.
        overlap: the share of a mini-batch's rows that the next one has too, while `overlapping` is set.

    Attributes:
        seed: as above.
        size: as above; `resize` changes it.
        full: every step takes all rows, whatever `size` says.
        overlapping: successive mini-batches share rows, as multi-batch quasi-Newton methods need.
        cursor: counts the mini-batches.
        origin: the cursor where the passes begin; see `resize`.

    Raises:
        ConfigurationError: the size is below 1, or `overlap` is not between 0 and 1.
    """

    def __init__(self, seed: int, size: int | None, overlap: float) -> None:
        _check_size(size)
        if not 0 < overlap < 1:
            raise ConfigurationError(f"data.overlap: must be above 0 and below 1, got {overlap}")
        self.seed, self.size = seed, size
        self.overlapping, self.full = False, False
        self.cursor, self.origin = 0, 0
        self._overlap = overlap
        self._permutations: dict[str, dict[tuple[int, int], Tensor]] = {}  # by seed and length, see `_permutation`

    @property
    def whole(self) -> bool:
        """Whether every step takes all rows."""
        return self.size is None or self.full

    def resize(self, size: int | None, most: int) -> None:
        """Gives batches another size from the next step on, which begins a new pass.

        Args:
            size: rows of a condition per step; None for all of them.
            most: rows of the largest condition; as many are all of them.

        Raises:
            ConfigurationError: it is below 1.
        """
        _check_size(size)
        self.size = None if size is None or size >= most else size
        # One number is left out: the next batch shares no rows with the last one, and must not be taken for its
        # neighbour. Passes are numbered from here on, which no pass before was: there are no more of them than batches.
        self.cursor += 1
        self.origin = self.cursor

    def size_of(self, count: int) -> int:
        """How many rows a batch takes of a condition that has so many."""
        return count if self.size is None or self.full else min(self.size, count)

    def rows(self, name: str, rows: Tensor, version: int) -> Tensor:
        """The rows of a condition that the present mini-batch has, of all ranks.

        Args:
            name: the condition.
            rows: all of its rows.
            version: of the points; other points are shuffled anew.
        """
        size = self.size_of(len(rows))
        if size == len(rows):
            return rows
        if self.overlapping:
            return rows[self._window(name, len(rows), size, version).to(rows.device)]
        number, slot = divmod(self.cursor - 1 - self.origin, len(rows) // size)
        order = self._permutation(name, self.origin + number, len(rows), version)
        return rows[order[slot * size : (slot + 1) * size].to(rows.device)]

    def shared(
        self, batch: Mapping[str, Tensor], counts: Mapping[str, int]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
        """The rows of the present mini-batch that its neighbours have too.

        Args:
            batch: this rank's share of it.
            counts: how many rows each condition has in all.

        Returns:
            This rank's share of the rows shared with the batch before, and of those shared with the batch after;
            None when all batches are alike, because none of the conditions has more rows than a batch takes.
        """
        sizes = {name: self.size_of(count) for name, count in counts.items()}
        if not self.overlapping or sizes == dict(counts):
            return None
        before, after = {}, {}
        for name, part in batch.items():
            size = sizes[name]
            common = size if size == counts[name] else self._common(size)
            before[name] = part[: distributed.shard_size(common)]
            after[name] = part[distributed.shard_size(size - common) :]
        return before, after

    def _common(self, size: int) -> int:
        """How many of a mini-batch's rows the next one has too: at least one, and not all."""
        return min(max(round(self._overlap * size), 1), size - 1)

    def _window(self, name: str, total: int, size: int, version: int) -> Tensor:
        """The next window over the endless stream of one permutation of all rows after the other.

        Every window begins with the last rows of the one before, also where a pass ends and the next one begins:
        there is no step without an overlap. A window across that border may have a row twice.
        """
        start = (self.cursor - 1 - self.origin) * (size - self._common(size))
        passes = range(start // total, (start + size - 1) // total + 1)
        stream = torch.cat([self._permutation(name, self.origin + number, total, version) for number in passes])
        return stream[start % total :][:size]

    def _permutation(self, name: str, number: int, total: int, version: int) -> Tensor:
        """That of a pass. The last two are kept: drawing one takes longer than a step on a small batch."""
        key = seed_for(self.seed, "pass", name, version, number), total
        known = self._permutations.get(name, {})
        if key not in known:
            new = torch.randperm(total, generator=torch.Generator().manual_seed(key[0]))
            known = self._permutations[name] = {**dict([*known.items()][-1:]), key: new}
        return known[key]


def _check_size(size: int | None) -> None:
    if size is not None and size < 1:
        raise ConfigurationError(f"data.batch_size: must be at least 1, got {size}; leave it out for all points")
