"""Batches of functions times places: which rows are all pairs of some functions and some places."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pinnlab.networks import on_products
from pinnlab.networks.on_products import Places
from pinnlab.problems.base import Problem

Batch = Mapping[str, Tensor]
Loss = Callable[..., tuple[Tensor, Tensor]]

_BESIDE = 1 / 8
"""What a point takes beside the layers, relative to what it takes in one: a network's outputs, ansatz and residual."""


class Products:
    """Gives rows that are functions times places the shape `(functions, places, d + k)`, which says so.

    A network on grids gets only rows whose places are a grid, as `(functions, places along each axis, d + k)`.

    An operator's network then evaluates each function and each place once, see `OnProducts`. Whether rows are a
    product is seen by their numbers, so that nobody who draws, chooses or changes points has to know of it. Rows that
    are looked at again, as those of all steps on a whole set, are known already.

    Args:
        problem: whose points they are.
        network: nothing is ever a product unless it is `OnProducts`.
    """

    def __init__(self, problem: Problem, network: nn.Module) -> None:
        told = on_products(network)
        self._columns = None if told is None else told.place_columns
        self._on_grids = told is not None and told.on_grids
        self._dim = len(problem.coordinates)
        self._known: dict[tuple[str, int], tuple[Tensor, Places]] = {}

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
        key = name, len(rows)  # those that are trained on and those that are held out come in turns
        known, places = self._known.get(key, (None, None))
        if known is not rows:
            places = self._places(rows)
            self._known[key] = rows, places
        return rows if places is None else rows.unflatten(0, (-1, *places))

    def _places(self, rows: Tensor) -> Places:
        """How many places each function has, along each axis if they have to be a grid; None of what is no product."""
        count = self._count(rows)
        if count is None:
            return None
        return _grid(rows[:count, : self._columns]) if self._on_grids else (count,)

    def _count(self, rows: Tensor) -> int | None:
        """How many places each function has; None of rows that are no product of both."""
        columns = self._columns
        functions = rows[:, columns : self._dim]
        if len(rows) < 4 or not torch.equal(functions[0], functions[1]):
            return None
        others = (functions != functions[0]).any(1).nonzero()
        places = int(others[0]) if len(others) else len(rows)
        if len(rows) % places or (places == len(rows) and not self._on_grids):
            return None
        pairs = rows[:, : self._dim].unflatten(0, (-1, places))
        place, function = pairs[:1, :, :columns], pairs[:, :1, columns:]
        is_product = torch.equal(pairs[..., :columns], place.expand_as(pairs[..., :columns]))
        return places if is_product and torch.equal(pairs[..., columns:], function.expand(-1, places, -1)) else None


def _grid(places: Tensor) -> Places:
    """How many places there are along each axis of a grid, the last coordinate fastest; None if they are none."""
    shape = tuple(len(column.unique()) for column in places.T)
    if math.prod(shape) != len(places):
        return None
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    axes = [places[::stride, i][:count] for i, (stride, count) in enumerate(zip(strides, shape, strict=True))]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    return shape if torch.equal(grid.flatten(0, -2), places) else None


def flattened(rows: Tensor, allowed: bool) -> tuple[Tensor, Places]:
    """Rows `(n, d + k)`, and of functions times places how many places.

    Args:
        rows: in any of the shapes.
        allowed: whether the network may know. Not in reverse mode, where the first function would get the derivatives
            by place of all functions.
    """
    return (rows, None) if rows.ndim == 2 else (rows.flatten(0, -2), tuple(rows.shape[1:-1]) if allowed else None)


def floats_of(rows: Tensor, each: int) -> int:
    """Numbers that a row takes in a layer: a point, or a function with all its places, which are outside of the layers.

    Args:
        rows: `(n, d + k)`, or `(functions, places, d + k)`, see `Products`.
        each: numbers of a point.
    """
    return each if rows.ndim == 2 else each * (1 + math.ceil(_BESIDE * math.prod(rows.shape[1:-1])))
