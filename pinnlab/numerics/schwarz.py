"""Damped least squares by sweeps over blocks of columns: Schwarz methods for networks in overlapping windows."""

from __future__ import annotations

import torch
from torch import Tensor

from pinnlab.numerics.least_squares import least_squares
from pinnlab.numerics.ordered_sums import add_in_rows
from pinnlab.numerics.staircase import SparseRows

MODES = ("multiplicative", "additive", "conjugate")
_ROUND_OFF = 1e-28
"""How far the square of the preconditioned gradient can fall in float64."""


class _Colour:
    """Blocks of columns of which each row reaches one at most, so that they are solved for at once.

    Args:
        rows: J and r.
        columns: `(blocks, m)` the columns of each block.
        n: how many columns J has.
    """

    def __init__(self, rows: SparseRows, columns: Tensor, n: int) -> None:
        self.columns, device = columns, columns.device
        blocks, width = columns.shape
        block_of = torch.full((n,), -1, device=device)
        place = torch.zeros(n, dtype=torch.long, device=device)
        block_of[columns] = torch.arange(blocks, device=device)[:, None].expand_as(columns)
        place[columns] = torch.arange(width, device=device).expand_as(columns)
        of_entry = block_of[rows.columns]
        block = of_entry.amax(1)
        assert bool(((of_entry == block[:, None]) | (of_entry < 0)).all()), "a row reaches two blocks of one colour"
        reached = (block >= 0).nonzero()[:, 0]
        order = reached[torch.argsort(block[reached], stable=True)]
        counts = torch.bincount(block[order], minlength=blocks)
        within = torch.arange(len(order), device=device) - (counts.cumsum(0) - counts)[block[order]]
        self._most = max(int(counts.max()), 1)
        self._rows, self._at = order, block[order] * self._most + within
        # A last column takes the entries of other blocks.
        at = torch.where(of_entry[order] < 0, width, place[rows.columns[order]])
        dense = add_in_rows(rows.entries.new_zeros(len(order), width + 1), at, rows.entries[order])
        matrix = dense.new_zeros(blocks * self._most, width)
        matrix[self._at] = dense[:, :width]
        self._matrix = matrix.view(blocks, self._most, width)

    def factor(self, roots: Tensor) -> None:
        """Factors every block's own least squares, by QR.

        Args:
            roots: `(n,)` the roots of the dampings.
        """
        damped = torch.diag_embed(roots[self.columns])
        self._q, self._r = torch.linalg.qr(torch.cat([self._matrix, damped], 1))

    def corrections(self, residual: Tensor, damped: Tensor) -> Tensor:
        """What each block alone would add, `(blocks, m)`.

        Args:
            residual: `(N,)` J d + r at the present d.
            damped: `(n,)` the roots of the dampings times d - d0.
        """
        right = torch.cat([self._by_block(residual), damped[self.columns]], 1)
        projected = self._q.mT @ right[..., None]
        return -torch.linalg.solve_triangular(self._r, projected, upper=True)[..., 0]

    def divided(self, v: Tensor, transposed: bool) -> Tensor:
        """R^-1 v for `(blocks, m)`, with each block's triangle R, or R^-T v."""
        matrix = self._r.mT if transposed else self._r
        return torch.linalg.solve_triangular(matrix, v[..., None], upper=not transposed)[..., 0]

    def times(self, corrections: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows are reached, and by how much corrections `(blocks, m)` change J d there."""
        changed = (self._matrix @ corrections[..., None])[..., 0].flatten()
        return self._rows, changed[self._at]

    def transposed_times(self, u: Tensor) -> Tensor:
        """J'u for `(N,)`, `(blocks, m)`."""
        return (self._matrix.mT @ self._by_block(u)[..., None])[..., 0]

    def _by_block(self, u: Tensor) -> Tensor:
        """The entries of `(N,)` in the rows of each block, with zeros where it has fewer than others."""
        own = u.new_zeros(len(self.columns) * self._most)
        own[self._at] = u[self._rows]
        return own.view(-1, self._most)

    def products(self, corrections: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the rows that are reached the numbers, the blocks, and the changes."""
        rows, changes = self.times(corrections)
        return rows, torch.div(self._at, self._most, rounding_mode="floor"), changes


class SchwarzSweeps:
    """Approximate minimisers of |J d + r|^2 + mu |d - d0|^2 for a sparse J: sweeps over blocks of columns.

    A block is all numbers of one window; blocks of a colour share no row and are solved for exactly and at once, each
    by a QR of its own rows: of the order of N m^2 operations for blocks of m numbers, in any number of dimensions,
    where the elimination along one coordinate (`Staircase`) has all windows across it in one slab.

    `multiplicative`: one colour after the other, each with what those before have left over (block Gauss-Seidel).
    `conjugate`: conjugate gradients with all blocks, each for itself, as the preconditioner; a sweep is one iteration.
    `additive`: all blocks from the same d, each for itself, and then their corrections with the factors that are best
    together, by least squares over as many unknowns as there are blocks: such a merging by a small subspace is that of
    MP-LBFGS (arXiv 2601.08709). In both the model falls in every sweep. Blocks of coarse levels come last, and
    carry over what is common to many windows, which takes many sweeps without (two-level methods, arXiv 2406.10997).

    Args:
        rows: J and r of all ranks.
        blocks: by colour, `(blocks, m)` the columns of each block; every column is in one of them.
        n: how many columns J has.
        sweeps: how many; the solution is the exact one in the limit.
        mode: `multiplicative`, `additive` or `conjugate`.
    """

    def __init__(self, rows: SparseRows, blocks: list[Tensor], n: int, sweeps: int, mode: str) -> None:
        self.rows, self._n, self._sweeps, self._mode = rows, n, sweeps, mode
        self._colours = [_Colour(rows, columns, n) for columns in blocks]

    def solve(self, damping: float, carried: Tensor | None = None) -> Tensor:
        """D `(n,)` after the sweeps, from d0.

        Args:
            damping: mu > 0.
            carried: d0 `(n,)`; default zero.
        """
        start = self.rows.right.new_zeros(self._n) if carried is None else carried
        roots = torch.full_like(start, damping**0.5)
        for colour in self._colours:
            colour.factor(roots)
        d, residual = start.clone(), self.rows.times(start) + self.rows.right
        if self._mode == "conjugate":
            return self._conjugate(d, residual, start, roots)
        sweep = self._in_turn if self._mode == "multiplicative" else self._merged
        for _ in range(self._sweeps):
            sweep(d, residual, start, roots)
        return d

    def _in_turn(self, d: Tensor, residual: Tensor, start: Tensor, roots: Tensor) -> None:
        for colour in self._colours:
            corrections = colour.corrections(residual, roots * (d - start))
            d[colour.columns] += corrections
            reached, changes = colour.times(corrections)
            residual[reached] += changes

    def _conjugate(self, d: Tensor, residual: Tensor, start: Tensor, roots: Tensor) -> Tensor:
        """Conjugate gradients for least squares (Björck, section 7.4), preconditioned by the blocks' triangles."""
        damped = roots * (d - start)

        def gradient() -> Tensor:
            total = roots * damped
            for colour in self._colours:
                total[colour.columns] += colour.transposed_times(residual)
            return self._preconditioned(total, transposed=True)

        s = gradient()
        p, gamma = s, float(s @ s)
        lowest = _ROUND_OFF * gamma
        for _ in range(self._sweeps):
            if not gamma > lowest:
                break  # what is left is round-off, and would grow
            step = self._preconditioned(p)
            change, own = torch.zeros_like(residual), roots * step
            for colour in self._colours:
                reached, changes = colour.times(step[colour.columns])
                change[reached] += changes
            curvature = float(change @ change + own @ own)
            d, residual, damped = (a - gamma / curvature * b for a, b in ((d, step), (residual, change), (damped, own)))
            s = gradient()
            gamma, before = float(s @ s), gamma
            p = s + gamma / before * p
        return d

    def _preconditioned(self, v: Tensor, transposed: bool = False) -> Tensor:
        """R^-1 v, or R^-T v, for the triangles R of all blocks."""
        made = torch.zeros_like(v)
        for colour in self._colours:
            made[colour.columns] = colour.divided(v[colour.columns], transposed)
        return made

    def _merged(self, d: Tensor, residual: Tensor, start: Tensor, roots: Tensor) -> None:
        damped = roots * (d - start)
        found = [colour.corrections(residual, damped) for colour in self._colours]
        count = sum(map(len, found))
        changes, first = residual.new_zeros(len(residual) + self._n, count), 0
        for colour, corrections in zip(self._colours, found, strict=True):
            rows, block, change = colour.products(corrections)
            changes[rows, first + block] = change
            numbers = first + torch.arange(len(corrections), device=d.device)[:, None].expand_as(colour.columns)
            changes[len(residual) + colour.columns, numbers] = (roots[colour.columns]) * corrections
            first += len(corrections)
        lengths = changes.norm(dim=0)
        scaled = changes / torch.where(lengths > 0, lengths, 1)
        # Corrections of neighbours may be all but equal; those that cannot be told apart share.
        left = torch.cat([residual, damped])
        factors = -least_squares(scaled, left[:, None])[:, 0] / torch.where(lengths > 0, lengths, 1)
        residual += changes[: len(residual)] @ factors
        parts = factors.split([len(corrections) for corrections in found])
        for colour, corrections, part in zip(self._colours, found, parts, strict=True):
            d[colour.columns] += part[:, None] * corrections
