"""The loss evaluated block by block, for large batches on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pinnlab.objective.residuals import Batch, Parameters


class BlockedLoss:
    """Evaluates the loss block by block, so that a layer's derivative channels stay in the processor's cache.

    With 100 coordinates and 1,000 points one layer's channels are 50 MB in float64; in blocks of 30 points the same
    loss and gradient take two thirds of the time on a CPU. Small batches are evaluated in one piece.

    Args:
        evaluate: `ResidualSystem.weighted_loss`, compiled or not.
        floats_per_point: numbers that a point of each condition takes in a layer.
        budget: bytes of a block's layer: what stays in a core's own cache. Only what takes more than eight
            times as much is cut: below that one piece is as fast, and threads share it better.
    """

    def __init__(
        self,
        evaluate: Callable[..., tuple[Tensor, Tensor]],
        floats_per_point: Mapping[str, int],
        budget: int = 1_500_000,
    ) -> None:
        self._evaluate, self._floats, self._budget = evaluate, dict(floats_per_point), budget

    def __call__(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss and the squared sums of each condition, as `ResidualSystem.weighted_loss`."""
        blocks = {name: self._split(name, rows) for name, rows in batch.items()}
        loss, sums = self._evaluate(parameters, {name: parts[0] for name, parts in blocks.items()}, factors)
        if all(len(parts) == 1 for parts in blocks.values()):
            return loss, sums
        totals = list(sums.unbind())
        for i, (name, parts) in enumerate(blocks.items()):
            for part in parts[1:]:
                more, extra = self._evaluate(parameters, {name: part}, factors[i : i + 1])
                loss, totals[i] = loss + more, totals[i] + extra[0]
        return loss, torch.stack(totals)

    def _split(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        size = len(rows) * self._floats[name] * rows.element_size()
        return (rows,) if size <= 8 * self._budget else rows.tensor_split(-(-size // self._budget))
