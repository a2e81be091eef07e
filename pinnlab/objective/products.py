"""Batches of functions times places: which rows are all pairs of some functions and some places."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pinnlab.networks import columns_of_places
from pinnlab.problems.base import Problem

Batch = Mapping[str, Tensor]
Loss = Callable[..., tuple[Tensor, Tensor]]


class Products:
    """Gives rows that are functions times places the shape `(functions, places, d + k)`, which says so.

    An operator's network then evaluates each function and each place once, see `OnProducts`. Whether rows are a
    product is seen by their numbers, so that nobody who draws, chooses or changes points has to know of it. Rows that
    are looked at again, as those of all steps on a whole set, are known already.

    Args:
        problem: whose points they are.
        network: nothing is ever a product unless it is `OnProducts`.
    """

    def __init__(self, problem: Problem, network: nn.Module) -> None:
        self._columns = columns_of_places(network)
        self._dim = len(problem.coordinates)
        self._known: dict[str, tuple[Tensor, int | None]] = {}

    def shaped(self, batch: Batch) -> Batch:
        """The same rows, those of products as `(functions, places, d + k)`."""
        if self._columns is None:
            return batch
        return {name: self._shaped(name, rows) for name, rows in batch.items()}

    def before(self, loss: Loss) -> Loss:
        """A loss of (parameters, batch, factors) that is given batches as `shaped` has them."""
        return lambda parameters, batch, factors: loss(parameters, self.shaped(batch), factors)

    def _shaped(self, name: str, rows: Tensor) -> Tensor:
        if rows.ndim != 2:
            return rows
        known, places = self._known.get(name, (None, None))
        if known is not rows:
            places = self._places(rows)
            self._known[name] = rows, places
        return rows if places is None else rows.unflatten(0, (-1, places))

    def _places(self, rows: Tensor) -> int | None:
        """How many places each function has; None of rows that are no product of at least two of both."""
        columns = self._columns
        functions = rows[:, columns : self._dim]
        if len(rows) < 4 or not torch.equal(functions[0], functions[1]):
            return None
        others = (functions != functions[0]).any(1).nonzero()
        places = int(others[0]) if len(others) else len(rows)
        if len(rows) % places or places == len(rows):
            return None
        pairs = rows[:, : self._dim].unflatten(0, (-1, places))
        place, function = pairs[:1, :, :columns], pairs[:, :1, columns:]
        is_product = torch.equal(pairs[..., :columns], place.expand_as(pairs[..., :columns]))
        return places if is_product and torch.equal(pairs[..., columns:], function.expand(-1, places, -1)) else None


def flattened(rows: Tensor, allowed: bool) -> tuple[Tensor, int | None]:
    """Rows `(n, d + k)`, and of functions times places how many places.

    Args:
        rows: in either shape.
        allowed: whether the network may know. Not in reverse mode, where the first function would get the derivatives
            by place of all functions.
    """
    return (rows, None) if rows.ndim == 2 else (rows.flatten(0, 1), rows.shape[1] if allowed else None)
