"""The rows behind a `Linearization`: which a rank has, in blocks, kept or computed again, and where they stand."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from pinnlab.errors import unknown
from pinnlab.numerics import distributed
from pinnlab.numerics.linalg import Product, gram
from pinnlab.numerics.memory import SMALL, fits
from pinnlab.numerics.staircase import Share, SparseRows
from pinnlab.objective.linearized_functions import POINT, LinearizedFunctions
from pinnlab.objective.residuals import Batch, Parameters
from pinnlab.objective.sparse_rows import of_own_slabs


class RowBlocks:
    """This rank's residuals and rows of the Jacobian, block by block, and their place among those of all ranks.

    Residuals are multiplied by the roots of their conditions' factors, and ordered by condition, then point, then
    equation; rank 0's come first. What is a collective says so; the constructor is one.

    Args:
        functions: how to evaluate.
        parameters: every parameter and buffer by name.
        batch: this rank's rows of every condition.
        factors: `(conditions,)` weight of each condition over its number of points on all ranks.
        memory: bytes; rows of the Jacobian are kept if those of the rank that has most of them fit, and half of what
            is free is enough for them.

    Attributes:
        functions: the same.
        batch: the same.
        factors: the same, detached.
        columns: the number of trained parameters.
        lengths: how many residuals each condition has on this rank.
        shares: how many residuals each rank has.
        keeps: whether the Jacobian's rows are kept.
    """

    def __init__(
        self, functions: LinearizedFunctions, parameters: Parameters, batch: Batch, factors: Tensor, memory: int
    ) -> None:
        self.functions, self.batch, self.factors = functions, dict(batch), factors.detach()
        self._parameters, self._roots = parameters, self.factors.sqrt()
        self.columns = sum(shape.numel() for shape in functions.system.trained().values())
        self._equations = functions.equations(batch)
        self.lengths = {name: len(points) * self._equations[name] for name, points in batch.items()}
        self.shares = self._gather_numbers([sum(self.lengths.values())])
        size = max(self.shares) * self.columns * factors.element_size()
        self.keeps = size <= memory and (size <= SMALL or self._all_fit(2 * size))
        self._kept: list[Tensor] | None = None
        self._values: Tensor | None = None
        self._tensors: dict[str, Tensor] | None = None
        self._passes = [0]  # shared with the views

    @property
    def passes(self) -> int:
        """Passes over the points so far, those of views included."""
        return self._passes[0]

    def count(self, passes: int = 1) -> None:
        """Notes passes over the points that somebody else makes."""
        self._passes[0] += passes

    @property
    def values(self) -> Tensor | None:
        """This rank's residuals at the parameters of the first call, if they are known along with the rows."""
        return self._values if self._kept is not None else None

    def at(self, point: Tensor | None) -> dict[str, Tensor]:
        """The tensors at a flat vector `(n,)`; None stands for the parameters at the first call."""
        if self._tensors is None:
            trained = self.functions.system.trained()
            own = torch.cat([self._parameters[name].detach().reshape(-1) for name in trained])
            self._tensors = self.functions.tensors(own, self._parameters)
        return self._tensors if point is None else {**self._tensors, POINT: point}

    def residuals(self, point: Tensor | None) -> Tensor:
        """This rank's residuals at a flat vector `(n,)`; None stands for the parameters at the first call."""
        if point is not None:
            return self._evaluated(point)
        if self._values is None and self.keeps:
            self.keep()
        if self._values is None:
            self._values = self._evaluated(None)
        return self._values

    def blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Which of this rank's residuals, these, and their rows; kept ones, or computed as they are asked for."""
        if self.keeps:
            self.keep()
        if self._kept is not None and self._values is not None:
            for (part, *_), rows in zip(self._pieces(), self._kept, strict=True):
                yield part, self._values[part], rows
            return
        self.count()
        for piece in self._pieces():
            yield piece[0], *self._rows(*piece)

    def evaluated(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """The loss, each condition's sum of squared residuals `(conditions,)`, and the gradient 2 J'r; on this rank.

        The loss is that of the function that trial steps are compared by: from r it would differ by round-off, and
        decrease for ever. None where J is not kept or a factor is zero, by which sums cannot be divided again; and on
        a GPU, where to look at the factors means to wait for it, and nothing is saved.
        """
        if not self.keeps or self.factors.device.type != "cpu" or not bool((self.factors > 0).all()):
            return None
        residual, loss = self.residuals(None), self.functions.loss(self.at(None), self.batch, self.factors)
        parts = residual.split([*self.lengths.values()])
        sums = torch.stack([part.square().sum() for part in parts]) / self.factors
        return loss, sums, 2 * self.transposed_times(residual)

    def keep(self) -> None:
        """Computes all rows, if they are not there yet."""
        if self._kept is not None:
            return
        self.count()
        made = [self._rows(*piece) for piece in self._pieces()]
        self._values = torch.cat([values for values, _ in made] or [self.factors.new_zeros(0)])
        self._kept = [rows for _, rows in made]

    def sparse(self, owner: str) -> tuple[SparseRows, Share | None]:
        """Rows of what each point sees, those of neighbouring slabs on each rank, and which these are; a collective.

        Args:
            owner: what asks for them, for a message.

        Raises:
            ConfigurationError: there is no such thing, see `check_sparse`.
        """
        self.functions.check_sparse(owner, self.at(None), self.batch)
        self.count()
        batch, share = of_own_slabs(self.functions.system, self.batch)
        return self.functions.sparse_rows(self.at(None), batch, self._roots), share

    def rounds(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All ranks' rows, one block of each rank at a time, with the numbers of these residuals; a collective."""
        device = self.factors.device
        rounds, blocks = max(self._gather_numbers([len(self._pieces())])), self.blocks()
        for _ in range(rounds):
            part, _, rows = next(blocks, (slice(0, 0), None, self.factors.new_zeros(0, self.columns)))
            columns = torch.arange(self._first + part.start, self._first + part.stop, device=device)
            yield distributed.gather(columns), distributed.gather(rows)

    def times(self, v: Tensor) -> Tensor:
        """This rank's part of J v for `(n,)`."""
        if self.keeps:
            return torch.cat([rows @ v for _, _, rows in self.blocks()] or [v.new_zeros(0)])
        self.count()
        parts = [
            self._roots[i] * self.functions.jvp(self.at(None), {name: points}, v)
            for i, name, points in self._conditions()
        ]
        return torch.cat(parts or [v.new_zeros(0)])

    def transposed_times(self, own: Tensor) -> Tensor:
        """This rank's part of the sum J'u `(n,)`, from its part of u."""
        total = own.new_zeros(self.columns)
        if self.keeps:
            for part, _, rows in self.blocks():
                total.addmv_(rows.T, own[part])
            return total
        self.count()
        start = 0
        for i, name, points in self._conditions():
            dual = self._roots[i] * own[start : start + self.lengths[name]].view(len(points), -1)
            total += self.functions.vjp(self.at(None), name, points, dual)
            start += self.lengths[name]
        return total

    def gram(self, scale: Tensor | None) -> Tensor:
        """This rank's parts of J'J and, below it, of J'r, `(n + 1, n)`; of rows times a scale, if there is one."""
        both = self.factors.new_zeros(self.columns + 1, self.columns)
        for part, values, rows in self.blocks():
            if scale is not None:
                values, rows = scale[part] * values, scale[part, None] * rows
            gram(rows, both[:-1])
            both[-1].addmv_(rows.T, values)
        return both

    def local(self, whole: Tensor) -> Tensor:
        """This rank's part of a vector of all residuals."""
        return whole[self._first : self._first + self.shares[distributed.rank()]]

    def row_numbers(self) -> dict[str, Tensor]:
        """Which of the residuals of all ranks are a condition's; a collective."""
        lengths = self._gather_numbers(list(self.lengths.values()))
        parts = torch.arange(sum(lengths), device=self.factors.device).split(lengths)
        return {name: torch.cat(parts[i :: len(self.lengths)]) for i, name in enumerate(self.lengths)}

    def numbers_in_whole_set(self) -> Tensor:
        """Which of all ranks' residuals this rank's are, in an order that any number of processes share; a collective.

        On the CPU; by condition, then point as in the whole set, of which a rank has every `world`-th, then equation.
        """
        numbers, before = [torch.zeros(0, dtype=torch.int64)], 0
        for name, own in self.lengths.items():
            each, lengths = self._equations[name], self._gather_numbers([own])
            turns = [torch.arange(length // each) * len(lengths) + rank for rank, length in enumerate(lengths)]
            places = torch.cat(turns).argsort().argsort().split([len(part) for part in turns])[distributed.rank()]
            numbers.append((before + places[:, None] * each + torch.arange(each)).reshape(-1))
            before += sum(lengths)
        return torch.cat(numbers)

    def of_condition(self, name: str) -> RowBlocks:
        """A view with one condition only; what is kept serves it, too. A collective.

        Raises:
            ConfigurationError: there is no such condition.
        """
        if name not in self.batch:
            raise unknown("condition", name, self.batch)
        if self.keeps:
            self.keep()
        self.at(None)  # the view must not look at parameters that have moved since
        view, i = copy.copy(self), list(self.batch).index(name)
        before = sum(list(self.lengths.values())[:i])
        view.batch, view.lengths = {name: self.batch[name]}, {name: self.lengths[name]}
        view.factors, view._roots = self.factors[i : i + 1], self._roots[i : i + 1]
        view.shares = self._gather_numbers([self.lengths[name]])
        view._values = None if self._values is None else self._values[before : before + self.lengths[name]]
        if self._kept is not None and self._values is not None:
            pairs = zip(self._kept, self._pieces(), strict=True)
            view._kept = [rows for rows, (_, _, owner, _) in pairs if owner == name]
        return view

    @property
    def _first(self) -> int:
        """The number of this rank's first residual among those of all ranks."""
        return sum(self.shares[: distributed.rank()])

    def _all_fit(self, size: int) -> bool:
        """Whether every rank has so many bytes; a collective."""
        device = self.factors.device
        return not distributed.any_rank(not fits(size, device), device)

    def _gather_numbers(self, own: list[int]) -> list[int]:
        if distributed.world_size() == 1:
            return own  # without a way to the device and back
        return distributed.gather(torch.tensor([own], device=self.factors.device)).flatten().tolist()

    def _evaluated(self, point: Tensor | None) -> Tensor:
        self.count()
        residuals = self.functions.residuals(self.at(point), self.batch)
        return torch.cat([root * r.reshape(-1) for root, r in zip(self._roots, residuals.values(), strict=True)])

    def _conditions(self) -> Iterator[tuple[int, str, Tensor]]:
        """Number, name and rows of the conditions that have any on this rank."""
        return ((i, *item) for i, item in enumerate(self.batch.items()) if len(item[1]))

    def _pieces(self) -> list[tuple[slice, int, str, Tensor]]:
        """Blocks of points: which residuals of this rank they make, condition's number and name, rows."""
        pieces, start = [], 0
        for i, name, points in self._conditions():
            each = self._equations[name]
            for part, count in self.functions.blocks(name, points, each * self.columns):
                pieces.append((slice(start, start + count * each), i, name, part))
                start += count * each
        return pieces

    def _rows(self, part: slice, i: int, name: str, points: Tensor) -> tuple[Tensor, Tensor]:
        values, rows = self.functions.jacobian_rows(self.at(None), {name: points}, self._roots[i : i + 1])
        count = part.stop - part.start  # the rest belongs to points that only fill up the block
        return values[:count], rows[:count]


def shared_products(rows: RowBlocks) -> tuple[Product, Product]:
    """This rank's parts of `v -> J v` and of `u -> J'u`, without rows, however few they are.

    What they need of the points is computed now and kept, several times what a gradient keeps.
    """
    rows.count()
    own = list(rows._conditions())
    maps = [rows.functions.linear_maps(rows.at(None), {name: points}) for _, name, points in own]
    roots, lengths = [rows._roots[i] for i, *_ in own], [rows.lengths[name] for _, name, _ in own]

    def times(v: Tensor) -> Tensor:
        rows.count()
        parts = [root * push(v) for root, (push, _) in zip(roots, maps, strict=True)]
        return torch.cat(parts or [v.new_zeros(0)])

    def transposed_times(u: Tensor) -> Tensor:
        rows.count()
        parts = zip(roots, maps, u.split(lengths), strict=True)
        return sum((pull(root * part) for root, (_, pull), part in parts), u.new_zeros(rows.columns))

    return times, transposed_times
