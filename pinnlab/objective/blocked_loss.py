"""The loss evaluated block by block: in a processor's cache, or within a part of a GPU's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        floats_per_point: numbers that a point of each condition takes in a layer.
        budget: bytes of a block, of that many numbers for each point.
        tolerance: times the budget that is not cut yet: on a CPU one piece is as fast below eight of them, and threads
            share it better.
        piecewise: as `evaluate`, of batches that are cut; knows the gradient along with the loss. Default: `evaluate`.
    """

    def __init__(
        self,
        evaluate: Callable[..., tuple[Tensor, Tensor]],
        floats_per_point: Mapping[str, int],
        budget: int = CACHE,
        tolerance: int = 8,
        piecewise: Callable[..., tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self._evaluate, self._floats = evaluate, dict(floats_per_point)
        self._budget, self._tolerance = budget, tolerance
        self._piecewise = evaluate if piecewise is None else piecewise

    def __call__(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss and the squared sums of each condition, as `ResidualSystem.weighted_loss`."""
        blocks = {name: self._split(name, rows) for name, rows in batch.items()}
        first = {name: parts[0] for name, parts in blocks.items()}
        if all(len(parts) == 1 for parts in blocks.values()):
            return self._evaluate(parameters, first, factors)
        loss, sums = self._piecewise(parameters, first, factors)
        totals = list(sums.unbind())
        for i, (name, parts) in enumerate(blocks.items()):
            for part in parts[1:]:
                more, extra = self._piecewise(parameters, {name: part}, factors[i : i + 1])
                loss, totals[i] = add_losses(loss, more), totals[i] + extra[0]
        return loss, torch.stack(totals)

    def _split(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        each = floats_of(rows, self._floats[name]) * rows.element_size()
        small = len(rows) * each <= self._tolerance * self._budget
        return (rows,) if small else in_blocks(rows, each, self._budget)


def blocked(
    evaluate: Callable[..., tuple[Tensor, Tensor]],
    floats_per_point: Mapping[str, int],
    layers: int,
    device: torch.device,
    budget: int | None = None,
    piecewise: Callable[..., tuple[Tensor, Tensor]] | None = None,
) -> BlockedLoss:
    """A loss in the blocks that suit a device.

    Args:
        evaluate: as `BlockedLoss` takes it.
        floats_per_point: numbers that a point of each condition takes in a layer.
        layers: how many layers keep theirs until the gradient is known.
        device: where it is evaluated.
        budget: bytes for a block on a GPU; default: `gpu_budget`.
        piecewise: as `BlockedLoss` takes it.
    """
    if device.type == "cpu":
        return BlockedLoss(evaluate, floats_per_point, piecewise=piecewise)
    kept = {name: int(_ALLOWANCE * layers * count) for name, count in floats_per_point.items()}
    return BlockedLoss(evaluate, kept, gpu_budget(device) if budget is None else budget, tolerance=1)


def gpu_budget(device: torch.device) -> int:
    """Bytes for a block of points on a GPU: a third of what is free, 1 GiB at most, and 64 MiB in any case."""
    return int(max(min(GPU_SHARE * free_bytes(device), GPU_MOST), SMALL))


def in_blocks(rows: Tensor, bytes_per_row: float, budget: int) -> tuple[Tensor, ...]:
    """Rows in parts of almost equal lengths, none of which takes more than a budget but where one row does."""
    count = -(-int(len(rows) * bytes_per_row) // max(budget, 1))
    return rows.tensor_split(max(min(count, len(rows)), 1))
