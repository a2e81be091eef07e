"""Gradients of the loss on the rows that a mini-batch shares with its neighbours."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pinnlab.objective.gradients import gradient_on
from pinnlab.objective.residuals import Batch, Parameters


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

    def _gradient(self, rows: Batch) -> Tensor:
        self.evaluations += 1
        return gradient_on(self._weighted_loss, self._parameters, self._weights, rows)
