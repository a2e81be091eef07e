"""The loss evaluated block by block: in a processor's cache, or within a part of a GPU's memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pinnlab.numerics.compiled_loss import add_losses
from pinnlab.numerics.memory import SMALL, free_bytes
from pinnlab.objective.products import floats_of
from pinnlab.objective.residuals import Batch, Parameters

CACHE = 1_500_000
"""Bytes of a layer on a CPU: what stays in a core's own cache."""

GPU_SHARE, GPU_MOST = 1 / 3, 1 << 30
"""Share of a GPU's free memory that a block may take, and bytes at most: more makes no evaluation faster."""

_ALLOWANCE = 2.5
"""Copies of a layer's derivative channels until the gradient is known: before and behind the activation, and half."""


class BlockedLoss:
    """Evaluates the loss block by block.

    On a CPU a layer's derivative channels stay in the processor's cache then. With 100 coordinates and 1,000 points one
    layer's channels are 50 MB in float64; in blocks of 30 points the same loss and gradient take two thirds of the time
    on a CPU. On a GPU the memory is bounded, whatever the number of points. Gradients are added up block by block, as
    long as the blocks' losses know theirs: else one graph holds what all blocks made. Small batches are evaluated in
    one piece.

    Args:
        evaluate: `ResidualSystem.weighted_loss`, compiled or not, or a `CompiledLoss`.
        floats_per_row: numbers that a row of each condition takes in a layer.
        budget: bytes of a block, of that many numbers for each row.
        tolerance: times the budget that is not cut yet: on a CPU one piece is as fast below eight of them, and threads
            share it better.
        piecewise: as `evaluate`, of batches that are cut; knows the gradient along with the loss. Default: `evaluate`.
        together: bytes of the conditions that are evaluated at a time; default: whatever all of them take.
    """

    def __init__(
        self,
        evaluate: Callable[..., tuple[Tensor, Tensor]],
        floats_per_row: Mapping[str, int],
        budget: int = CACHE,
        tolerance: int = 8,
        piecewise: Callable[..., tuple[Tensor, Tensor]] | None = None,
        together: float = math.inf,
    ) -> None:
        self._evaluate, self._floats = evaluate, dict(floats_per_row)
        self._budget, self._tolerance, self._together = budget, tolerance, together
        self._piecewise = evaluate if piecewise is None else piecewise

    def __call__(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss and the squared sums of each condition, as `ResidualSystem.weighted_loss`."""
        blocks = {name: self._split(name, rows) for name, rows in batch.items()}
        (first, own), *rest = in_turns(blocks, factors, self._bytes, self._together)
        if not rest:
            return self._evaluate(parameters, first, own)
        loss, sums = self._piecewise(parameters, first, own)
        totals = dict(zip(first, sums.unbind(), strict=True))
        for part, own in rest:
            more, (extra,) = self._piecewise(parameters, part, own)
            (name,) = part
            loss, totals[name] = add_losses(loss, more), totals[name] + extra if name in totals else extra
        return loss, torch.stack([totals[name] for name in batch])

    def _split(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        small = len(rows) * self._bytes(name, rows) <= self._tolerance * self._budget
        return (rows,) if small else in_blocks(rows, self._bytes(name, rows), self._budget)

    def _bytes(self, name: str, rows: Tensor) -> float:
        return floats_of(rows, self._floats[name]) * rows.element_size()


def blocked(
    evaluate: Callable[..., tuple[Tensor, Tensor]],
    floats_per_row: Mapping[str, int],
    layers: int,
    device: torch.device,
    budget: int | None = None,
    piecewise: Callable[..., tuple[Tensor, Tensor]] | None = None,
    share: float = 1.0,
) -> BlockedLoss:
    """A loss in the blocks that suit a device.

    Args:
        evaluate: as `BlockedLoss` takes it.
        floats_per_row: numbers that a row of each condition takes in a layer.
        layers: how many layers keep theirs until the gradient is known.
        device: where it is evaluated.
        budget: bytes on a GPU; default: `gpu_budget`.
        piecewise: as `BlockedLoss` takes it.
        share: of the budget for a block, see `graph_replay.share_of`.
    """
    if device.type == "cpu":
        return BlockedLoss(evaluate, floats_per_row, piecewise=piecewise)
    kept = {name: int(_ALLOWANCE * layers * count) for name, count in floats_per_row.items()}
    whole = gpu_budget(device) if budget is None else budget
    return BlockedLoss(evaluate, kept, int(share * whole), tolerance=1, together=int(share * whole))


def gpu_budget(device: torch.device) -> int:
    """Bytes for a block of points on a GPU: a third of what is free, 1 GiB at most, and 64 MiB in any case."""
    return int(max(min(GPU_SHARE * free_bytes(device), GPU_MOST), SMALL))


def in_turns(
    pieces: Mapping[str, Sequence[Tensor]],
    factors: Tensor,
    bytes_per_row: Callable[[str, Tensor], float],
    most: float,
) -> list[tuple[dict[str, Tensor], Tensor]]:
    """Batches with their factors: the first pieces of as many conditions as go together, then all others singly.

    Args:
        pieces: the rows of each condition.
        factors: `(conditions,)`.
        bytes_per_row: what a condition's rows take.
        most: bytes of what is evaluated together, but for a single piece.
    """
    chosen: dict[str, Tensor] = {}
    rest: list[tuple[str, Tensor]] = []
    size = 0.0
    for name, parts in pieces.items():
        needed = len(parts[0]) * bytes_per_row(name, parts[0])
        fits = not chosen or size + needed <= most
        if fits:
            chosen[name], size = parts[0], size + needed
        rest += [(name, part) for part in (parts[1:] if fits else parts)]
    if not rest:
        return [(chosen, factors)]
    own = dict(zip(pieces, factors.split(1), strict=True))
    together = factors if len(chosen) == len(own) else torch.cat([own[name] for name in chosen])
    return [(chosen, together), *(({name: part}, own[name]) for name, part in rest)]


def in_blocks(rows: Tensor, bytes_per_row: float, budget: int) -> tuple[Tensor, ...]:
    """Rows in parts of almost equal lengths, none of which takes more than a budget but where one row does."""
    count = -(-int(len(rows) * bytes_per_row) // max(budget, 1))
    return rows.tensor_split(max(min(count, len(rows)), 1))
