"""Damped least squares with rows that reach over two neighbouring slabs of columns: a QR that walks along them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


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
        """The norms `(n,)` of the columns; ones for those that are zero."""
        squares = self.entries.new_zeros(n).index_add(0, self.columns.flatten(), self.entries.square().flatten())
        return torch.where(squares > 0, squares.sqrt(), 1)


class Staircase:
    """The minimisers of |J d + r|^2 + mu |d - d0|^2 for a sparse J, whose columns lie in slabs 0, 1, ..., one by one.

    Each row has entries in two neighbouring slabs, and in a rim of columns that any row may reach. Slab after slab is
    eliminated by orthogonal maps, as in `triangle`, so that nothing is squared; with slabs of w columns and n in all it
    takes of the order of N w^2 + n w^2 operations where a dense QR takes N n^2 (Björck, "Numerical Methods for Least
    Squares Problems", 1996, section 6.3, there for band matrices).

    Args:
        rows: J and r.
        slabs: `(n,)` the slab of each column, from 0 and without gaps; -1 for the rim.
    """

    def __init__(self, rows: SparseRows, slabs: Tensor) -> None:
        self.rows = rows
        count = max(int(slabs.max()) + 1, 1)
        self._columns = [(slabs == k).nonzero()[:, 0] for k in range(count)]
        self._rim = (slabs < 0).nonzero()[:, 0]
        place = torch.empty_like(slabs)
        for columns in (*self._columns, self._rim):
            place[columns] = torch.arange(len(columns), device=slabs.device)
        self._n = len(slabs)
        of_entry = slabs[rows.columns]
        first = torch.where(of_entry < 0, count, of_entry).amin(1).clamp_max(max(count - 2, 0))
        beyond = of_entry - first[:, None]
        assert bool((beyond <= 1).all()), "a row reaches over more than two slabs"
        own = [len(columns) for columns in self._columns] + [0]
        widths = torch.tensor(own, device=slabs.device)
        shift = torch.where(beyond == 1, widths[first][:, None], 0)
        shift = torch.where(of_entry < 0, (widths[first] + widths[first + 1])[:, None], shift)
        at = place[rows.columns] + shift
        self._steps = [self._reduced(first == k, at, own[k] + own[k + 1] + len(self._rim)) for k in range(count)]

    def solve(self, damping: float, carried: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """D `(n,)` for one damping mu > 0.

        Args:
            damping: mu.
            carried: d0 `(n,)`; default zero.
            weights: `(n,)` factors of the entries of d - d0 where they are damped; default ones.
        """
        rim, roots = len(self._rim), self.rows.right.new_full((self._n,), damping**0.5)
        roots = roots if weights is None else roots * weights
        start = torch.zeros_like(roots) if carried is None else carried
        carry = self.rows.entries.new_zeros(0, len(self._columns[0]) + rim + 1)
        triangles = []
        for k, step in enumerate(self._steps):
            own = len(self._columns[k])
            fresh = step.shape[1] - carry.shape[1]  # columns of the next slab, of which nothing is carried yet
            before = torch.cat([carry[:, :own], carry.new_zeros(len(carry), fresh), carry[:, own:]], 1)
            damped = step.new_zeros(own, step.shape[1])
            damped[:, :own] = roots[self._columns[k]].diag()
            damped[:, -1] = -(roots * start)[self._columns[k]]
            reduced = torch.linalg.qr(torch.cat([before, step, damped]), mode="r").R
            triangles.append(reduced[:own])
            carry = reduced[own:, own:]
        solution = self.rows.right.new_zeros(self._n)
        if rim:
            damped = torch.cat([roots[self._rim].diag(), -(roots * start)[self._rim, None]], 1)
            reduced = torch.linalg.qr(torch.cat([carry, damped]), mode="r").R[:rim]
            solution[self._rim] = _back(reduced[:, :rim], reduced[:, -1])
        known = solution[self._rim]
        for columns, triangle in zip(reversed(self._columns), reversed(triangles), strict=True):
            width = len(columns)
            solution[columns] = _back(triangle[:, :width], triangle[:, -1] + triangle[:, width:-1] @ known)
            known = torch.cat([solution[columns], solution[self._rim]])
        return solution

    def solve_scaled(self, damping: float) -> Tensor:
        """D `(n,)` with |(d_i |J_i|)_i| damped in place of |d|, by the square of a number relative to one."""
        return self.solve(damping**2, weights=self.rows.norms(self._n))

    def _reduced(self, chosen: Tensor, at: Tensor, width: int) -> Tensor:
        """The rows `(k, width + 1)` that begin in one slab, [J r] in the columns of it, the next one and the rim."""
        entries = self.rows.entries[chosen]
        dense = entries.new_zeros(len(entries), width + 1)
        dense.scatter_add_(1, at[chosen], entries)
        dense[:, -1] = self.rows.right[chosen]
        return torch.linalg.qr(dense, mode="r").R if len(dense) > width + 1 else dense


def _back(triangle: Tensor, right: Tensor) -> Tensor:
    """The d with `triangle d + right = 0`."""
    return -torch.linalg.solve_triangular(triangle, right[:, None], upper=True)[:, 0]
