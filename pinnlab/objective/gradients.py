"""Gradients of the loss, and of parts of it, beside those that training leaves in `.grad`."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.objective.residuals import Batch, Parameters


def gradient_on(
    weighted_loss: Callable[..., tuple[Tensor, Tensor]],
    parameters: Parameters,
    weights: Tensor,
    rows: Batch,
    counts: Tensor | None = None,
) -> Tensor:
    """The gradient of the weighted mean squares over all ranks' rows; a collective that leaves `.grad` alone.

    Args:
        weighted_loss: `ResidualSystem.weighted_loss`, compiled or not.
        parameters: parameters and buffers by name; the gradient is that of the parameters that are trained, in order.
        weights: `(conditions,)` factors of the conditions.
        rows: this rank's rows of each condition.
        counts: `(conditions,)` numbers of rows, of all ranks, that the sums of squares are divided by; default: those
            of `rows`. A condition without any has no part in the loss.

    Returns:
        `(n,)`, the same on every rank.
    """
    if counts is None:
        counts = row_counts(rows, weights)
    factors = torch.where(counts > 0, weights / counts, 0)
    trained = [p for p in parameters.values() if p.requires_grad]
    with torch.enable_grad():
        loss, _ = weighted_loss(parameters, rows, factors)
    parts = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
    # DDP averages what `backward` leaves in `.grad`; this gradient does not pass there.
    return distributed.all_sum(torch.cat([part.reshape(-1) for part in parts]))


def row_counts(rows: Batch, like: Tensor) -> Tensor:
    """How many rows each condition has over all ranks, `(conditions,)`, in the dtype of `like`; a collective."""
    return distributed.all_sum(like.new_tensor([len(part) for part in rows.values()]))


class LossGradients:
    """The gradient of the loss in parts: by condition, or by points. Computed when asked for, as collectives.

    The parts are those of all ranks' rows, the same on every rank, and leave `.grad` alone.

    Args:
        weighted_loss: `ResidualSystem.weighted_loss`, compiled or not.
        parameters: parameters and buffers by name; the gradient is that of the parameters that are trained, in order.
        weights: `(conditions,)` factors of the conditions.
        batch: this rank's rows of each condition.

    Attributes:
        batch: the rows.
        evaluations: of the loss with its gradient, on all of the batch, made so far.
    """

    def __init__(
        self,
        weighted_loss: Callable[..., tuple[Tensor, Tensor]],
        parameters: Parameters,
        weights: Tensor,
        batch: Batch,
    ) -> None:
        self._weighted_loss, self._parameters, self._weights = weighted_loss, parameters, weights
        self.batch = batch
        self.evaluations = 0

    @property
    def conditions(self) -> int:
        """How many conditions the loss has."""
        return len(self._weights)

    def norm(self) -> float:
        """The 2-norm of what `.grad` holds: the loss's gradient at the last evaluation; NaN where there is none."""
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients)) if gradients else float("nan")

    def by_condition(self) -> Tensor:
        """The gradients `(conditions, n)` of the single terms of the loss; they add up to its gradient.

        One evaluation per condition: a compiled loss is one graph of all conditions.
        """
        self.evaluations += self.conditions
        counts = row_counts(self.batch, self._weights)
        single = torch.diag(self._weights).unbind()
        return torch.stack([self._on(self.batch, weights, counts) for weights in single])

    def by_chunk(self, chunks: int) -> Tensor:
        """The gradients `(chunks, n)` on equal parts of the points; one evaluation in all.

        Part k has every `chunks`-th of each rank's rows from the k-th on. The loss on it is the mean over its rows,
        condition by condition, so the parts' mean is the gradient of the loss when they are equally large; a condition
        with fewer rows than parts is missing in some. Parts without any row are left out.

        A compiled loss is compiled once more for parts with a single row of a condition, or none: some seconds at the
        first measurement.

        Args:
            chunks: how many parts.
        """
        self.evaluations += 1
        # A compiled loss has one graph for all numbers of points, but only for rows with the usual strides; a single
        # row with others counts as contiguous, hence a copy.
        copied = functools.partial(torch.clone, memory_format=torch.contiguous_format)
        parts = [{name: copied(rows[k::chunks]) for name, rows in self.batch.items()} for k in range(chunks)]
        lengths = [[len(rows) for rows in part.values()] for part in parts]
        counts = distributed.all_sum(self._weights.new_tensor(lengths))
        present = [(part, count) for part, count in zip(parts, counts, strict=True) if count.any()]
        return torch.stack([self._on(part, self._weights, count) for part, count in present])

    def _on(self, rows: Batch, weights: Tensor, counts: Tensor) -> Tensor:
        return gradient_on(self._weighted_loss, self._parameters, weights, rows, counts)
