"""Gradients of the loss on the rows that a mini-batch shares with its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pinnlab import distributed
from pinnlab.residuals import Batch, Parameters


class BatchOverlap:
    """What a multi-batch quasi-Newton method sees of two successive mini-batches: the rows that both have.

    The loss on shared rows is the mean over them, condition by condition, with the weights of the whole loss. Gradients
    are those of all ranks' rows, the same on every rank, and leave `.grad` alone; so each of them is a collective.

    Args:
        weighted_loss: `ResidualSystem.weighted_loss`, compiled or not.
        parameters: parameters and buffers by name; the gradient is that of the parameters that are trained, in order.
        weights: `(conditions,)` factors of the conditions.
        shared: this rank's rows shared with the batch before, and with the batch after; see `PointStore.shared`.
        number: of the present batch. A gradient that was kept for the next batch belongs to the number after it;
            after a rollback the next batch has another one.

    Attributes:
        number: the same.
        evaluations: gradients computed so far.
    """

    def __init__(
        self,
        weighted_loss: Callable[..., tuple[Tensor, Tensor]],
        parameters: Parameters,
        weights: Tensor,
        shared: tuple[Batch, Batch],
        number: int,
    ) -> None:
        self._weighted_loss, self._parameters, self._weights = weighted_loss, parameters, weights
        self._before, self._after = shared
        self.number, self.evaluations = number, 0

    def first(self) -> Tensor:
        """The gradient `(n,)`, at the present parameters, on the rows shared with the batch before."""
        return self._gradient(self._before)

    def last(self) -> Tensor:
        """The gradient `(n,)`, at the present parameters, on the rows shared with the batch after."""
        return self._gradient(self._after)

    def _gradient(self, rows: Mapping[str, Tensor]) -> Tensor:
        self.evaluations += 1
        counts = distributed.all_sum(self._weights.new_tensor([len(part) for part in rows.values()]))
        trained = [p for p in self._parameters.values() if p.requires_grad]
        with torch.enable_grad():
            loss, _ = self._weighted_loss(self._parameters, rows, self._weights / counts)
        parts = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
        # DDP averages what `backward` leaves in `.grad`; this gradient does not pass there.
        return distributed.all_sum(torch.cat([part.reshape(-1) for part in parts]))
