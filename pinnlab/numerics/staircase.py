"""Damped least squares with rows that reach over two neighbouring slabs of columns: a QR that walks along them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.numerics.ordered_sums import add_by_number, add_in_rows


class SparseRows(NamedTuple):
    """Rows of a matrix with s entries each, and the right-hand side.

    Attributes:
        right: r `(N,)`.
        entries: `(N, s)`.
        columns: `(N, s)` the columns of the entries; those that are named twice are added up.
    """

    right: Tensor
    entries: Tensor
    columns: Tensor

    def times(self, v: Tensor) -> Tensor:
        """J v `(N,)` for `(n,)`."""
        return (self.entries * v[self.columns]).sum(1)

    def norms(self, n: int) -> Tensor:
        """The norms `(n,)` of the columns over all ranks' rows; ones for those that are zero. A collective."""
        squares = add_by_number(self.entries.new_zeros(n), self.columns.flatten(), self.entries.square().flatten())
        squares = distributed.all_sum(squares)
        return torch.where(squares > 0, squares.sqrt(), 1)


class Chain:
    """Slabs of columns that are eliminated one after the other, from [J r] whose rows reach over two of them.

    Args:
        rows: J and r; each row has entries in at most two slabs that follow each other, and in the border.
        slabs: the columns of each slab, in the order in which they are eliminated; at least one.
        border: columns that any row may reach, which are not eliminated.
        n: how many columns J has.
    """

    def __init__(self, rows: SparseRows, slabs: Sequence[Tensor], border: Tensor, n: int) -> None:
        self.slabs, self.border = list(slabs), border
        count, device = len(self.slabs), rows.columns.device
        number = torch.full((n,), count, device=device)
        place = torch.zeros(n, dtype=torch.long, device=device)
        for k, columns in enumerate(self.slabs):
            number[columns] = k
            place[columns] = torch.arange(len(columns), device=device)
        place[border] = torch.arange(len(border), device=device)
        of_entry = number[rows.columns]
        first = of_entry.amin(1).clamp_max(count - 1)
        beyond = of_entry - first[:, None]
        assert bool(((beyond <= 1) | (of_entry == count)).all()), "a row reaches over more than two slabs"
        own = [len(columns) for columns in self.slabs] + [0]
        widths = torch.tensor(own, device=device)
        shift = torch.where(beyond == 1, widths[first][:, None], 0)
        shift = torch.where(of_entry == count, (widths[first] + widths[first + 1])[:, None], shift)
        at = place[rows.columns] + shift
        width = len(border) + 1
        self._steps = [_reduced(rows, first == k, at, own[k] + own[k + 1] + width) for k in range(count)]

    def eliminated(self, count: int, roots: Tensor, start: Tensor) -> tuple[list[Tensor], Tensor]:
        """Eliminates the first slabs, damped.

        Args:
            count: how many.
            roots: `(n,)` the roots of the dampings of all columns.
            start: `(n,)` what is damped towards.

        Returns:
            For each of them the triangle over [own, next, border, r], and the rows that are left over [the first slab
            that is not eliminated, border, r].
        """
        width = len(self.border) + 1
        carry = self._steps[0].new_zeros(0, len(self.slabs[0]) + width)
        triangles = []
        for columns, step in zip(self.slabs[:count], self._steps, strict=False):
            own = len(columns)
            damped = step.new_zeros(own, step.shape[1])
            damped[:, :own] = roots[columns].diag()
            damped[:, -1] = -(roots * start)[columns]
            reduced = torch.linalg.qr(torch.cat([_widened(carry, own, step), step, damped]), mode="r").R
            triangles.append(reduced[:own])
            carry = reduced[own:, own:]
        if count < len(self.slabs):
            step = self._steps[count]
            carry = torch.cat([_widened(carry, len(self.slabs[count]), step), step])
            assert count == len(self.slabs) - 1, "more than one slab is left over"
        return triangles, carry

    def columns_after(self, count: int) -> Tensor:
        """The columns of what is left over when so many slabs are eliminated."""
        return torch.cat([*self.slabs[count : count + 1], self.border])

    def substitute(self, triangles: Sequence[Tensor], solution: Tensor) -> None:
        """Fills in the eliminated columns of a solution `(n,)` that has the others."""
        border = solution[self.border]
        after = [*self.slabs[1:], self.border[:0]]
        for columns, following, triangle in reversed(list(zip(self.slabs, after, triangles, strict=False))):
            known, width = torch.cat([solution[following], border]), len(columns)
            solution[columns] = _back(triangle[:, :width], triangle[:, -1] + triangle[:, width:-1] @ known)


class Share(NamedTuple):
    """Which rows a rank has: those that begin in slabs `bounds[rank]`, ..., `bounds[rank + 1] - 1`.

    Attributes:
        bounds: one number more than there are ranks, from 0 to the number of slabs in which rows begin, never falling.
        rank: the number of the rank.
    """

    bounds: Sequence[int]
    rank: int

    @property
    def first(self) -> int:
        """The first slab in which its rows begin."""
        return self.bounds[self.rank]

    @property
    def end(self) -> int:
        """The one behind the last, which rows reach, too."""
        return self.bounds[self.rank + 1]

    def between(self) -> list[int]:
        """The slabs that rows of two ranks reach."""
        return [a for a, b in pairwise(self.bounds) if 0 < a < b]


class Staircase:
    """The minimisers of |J d + r|^2 + mu |d - d0|^2 for a sparse J, whose columns lie in slabs 0, 1, ..., one by one.

    Each row has entries in two neighbouring slabs, and in a rim of columns that any row may reach. Slab after slab is
    eliminated by orthogonal maps, as in `triangle`, so that nothing is squared; with slabs of w columns and n in all it
    takes of the order of N w^2 + n w^2 operations where a dense QR takes N n^2 (Björck, "Numerical Methods for Least
    Squares Problems", 1996, section 6.3, there for band matrices).

    Several ranks have the rows of some neighbouring slabs each, and eliminate those that no other rank's rows reach;
    the last rank begins at its far end, so that two have half of the work each. What is left over are the slabs between
    ranks and the rim: few columns, for which all ranks solve (substructuring). A rank between two others carries the
    slab before its own along, which makes a slab of its own about twice the work. All methods are collectives.

    Args:
        rows: J and r; on several ranks this rank's.
        slabs: `(n,)` the slab of each column, from 0 and without gaps; -1 for the rim.
        share: which rows these are; default: all.
    """

    def __init__(self, rows: SparseRows, slabs: Tensor, share: Share | None = None) -> None:
        self.rows, self._n = rows, len(slabs)
        count = int(slabs.max()) + 1
        columns = [(slabs == k).nonzero()[:, 0] for k in range(count)]
        self._rim = (slabs < 0).nonzero()[:, 0]
        share = share or Share([0, max(count - 1, 1)], 0)
        order, before = _order(columns, share)
        self._eliminated = len(order) if share.first == 0 and share.end == share.bounds[-1] else len(order) - 1
        self._chain = Chain(rows, order or [self._rim[:0]], torch.cat([*before, self._rim]), self._n)
        self._between = [columns[k] for k in share.between()]
        self._widest = max(map(len, self._between), default=0)

    def solve(self, damping: float, carried: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """D `(n,)` for one damping mu > 0.

        Args:
            damping: mu.
            carried: d0 `(n,)`; default zero.
            weights: `(n,)` factors of the entries of d - d0 where they are damped; default ones.
        """
        roots = self.rows.right.new_full((self._n,), damping**0.5)
        roots = roots if weights is None else roots * weights
        start = torch.zeros_like(roots) if carried is None else carried
        triangles, left_over = self._chain.eliminated(max(self._eliminated, 0), roots, start)
        solution = torch.zeros_like(roots)
        self._solve_between(left_over, roots, start, solution)
        known = solution.clone()
        self._chain.substitute(triangles, solution)
        return known + distributed.all_sum(solution - known)

    def solve_scaled(self, damping: float) -> Tensor:
        """D `(n,)` with |(d_i |J_i|)_i| damped in place of |d|, by the square of a number relative to one."""
        return self.solve(damping**2, weights=self.rows.norms(self._n))

    def curvature(self, d: Tensor) -> Tensor:
        """|J d|^2 over all ranks' rows, for `(n,)`."""
        return distributed.all_sum(self.rows.times(d).square().sum())

    def left_over(self, d: Tensor) -> Tensor:
        """|J d + r|^2 over all ranks' rows, for `(n,)`."""
        return distributed.all_sum((self.rows.times(d) + self.rows.right).square().sum())

    def _solve_between(self, own: Tensor, roots: Tensor, start: Tensor, solution: Tensor) -> None:
        """Fills in the slabs between ranks and the rim, from what each rank has left over."""
        chain = None
        if self._between:
            columns, most = self._chain.columns_after(max(self._eliminated, 0)), 2 * self._widest + len(self._rim)
            own = _triangle(own)
            entries = own.new_zeros(len(own), most)
            entries[:, : len(columns)] = own[:, :-1]
            # Where ranks have fewer, a slab that they reach is named again, with zeros.
            fill = columns[:1] if len(columns) else self._between[0][:1]
            columns = torch.cat([columns, fill.expand(most - len(columns))]).expand(len(own), -1)
            rows = SparseRows(*(distributed.gather(part) for part in (own[:, -1].contiguous(), entries, columns)))
            chain = Chain(rows, self._between, self._rim, self._n)
            triangles, own = chain.eliminated(len(self._between), roots, start)
        elif distributed.world_size() > 1:
            own = distributed.gather(own)  # of the one rank that has all rows
        if len(self._rim):
            damped = torch.cat([roots[self._rim].diag(), -(roots * start)[self._rim, None]], 1)
            reduced = torch.linalg.qr(torch.cat([own, damped]), mode="r").R[: len(self._rim)]
            solution[self._rim] = _back(reduced[:, :-1], reduced[:, -1])
        if chain is not None:
            chain.substitute(triangles, solution)


def _order(columns: Sequence[Tensor], share: Share) -> tuple[list[Tensor], list[Tensor]]:
    """The slabs of a rank as it eliminates them, all or all but the last one; and the one that it carries along."""
    first, end, steps = share.first, share.end, share.bounds[-1]
    if first >= end:
        return [], []
    if first == 0:
        return list(columns[: end + 1]), []
    if end == steps:
        return list(columns[: first - 1 : -1]), []
    return list(columns[first + 1 : end + 1]), [columns[first]]


def _reduced(rows: SparseRows, chosen: Tensor, at: Tensor, width: int) -> Tensor:
    """The chosen rows `(k, width)` as [J r], with their entries in the given places; a triangle where they are many."""
    entries = rows.entries[chosen]
    dense = entries.new_zeros(len(entries), width)
    add_in_rows(dense, at[chosen], entries)
    dense[:, -1] = rows.right[chosen]
    return _triangle(dense)


def _triangle(rows: Tensor) -> Tensor:
    """Rows with the same Gram matrix, at most as many as columns."""
    return torch.linalg.qr(rows, mode="r").R if len(rows) > rows.shape[1] else rows


def _widened(carry: Tensor, own: int, step: Tensor) -> Tensor:
    """What was carried over [own, border, r], with zeros for the columns of the next slab."""
    fresh = carry.new_zeros(len(carry), step.shape[1] - carry.shape[1])
    return torch.cat([carry[:, :own], fresh, carry[:, own:]], 1)


def _back(triangle: Tensor, right: Tensor) -> Tensor:
    """The d with `triangle d + right = 0`."""
    return -torch.linalg.solve_triangular(triangle, right[:, None], upper=True)[:, 0]
