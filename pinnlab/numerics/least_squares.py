"""Damped least squares without squaring the condition number: orthogonal reduction of rows, then singular values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from pinnlab.numerics.ordered_sums import add_by_number

_FEWEST_ROWS = 256
"""Rows that are reduced at a time, at least: a QR of a few rows more than a triangle costs as much as of many."""
_LOWEST, _HIGHEST = math.log(1e-70), math.log(1e30)
"""Where a damping for a length is looked for: below the lowest, float64 has nothing more to say."""
_BISECTIONS = 64


def triangle(blocks: Iterable[Tensor], width: int, most: int) -> Tensor:
    """The triangular factor of rows that are never all in memory: a tall-skinny QR, one pile after the other.

    R'R is the rows' Gram matrix, but R is found by orthogonal maps (Golub & Van Loan, section 5.2), so that its small
    singular values are right to the round-off of the largest one, where those of the Gram matrix end at its root.

    Args:
        blocks: `(k, width)` rows, at least one block, which may be empty.
        width: the number of columns.
        most: how many rows are in memory at a time, beside a block; at least what a triangle needs to gain anything.

    Returns:
        At most `max(width, 2 width)` rows `(k, width)` with the same Gram matrix: the rows themselves where there are
        few, the triangle otherwise.
    """
    most = max(most, width + _FEWEST_ROWS)
    pile: list[Tensor] = []
    for block in blocks:
        pile.append(block)
        if sum(map(len, pile)) > most:
            pile = [torch.linalg.qr(torch.cat(pile), mode="r").R]
    rows = pile[0] if len(pile) == 1 else torch.cat(pile)
    return torch.linalg.qr(rows, mode="r").R if len(rows) > 2 * width else rows


def least_squares(matrix: Tensor, right: Tensor) -> Tensor:
    """The minimisers of least norm of |A x - b|, by LAPACK's `gelsd`.

    Always on the CPU: a GPU has `gels` only, which takes the columns for independent. From there only the triangle of a
    QR travels. Nor is it `gelsy`, whose pivots torch leaves undefined: what was in memory would decide which columns
    count.

    Args:
        matrix: A `(m, n)`.
        right: b `(m, k)`.

    Returns:
        `(n, k)`, where A is.
    """
    device, smallest = matrix.device, torch.finfo(matrix.dtype).eps * max(matrix.shape)
    if device.type != "cpu" and len(matrix) > matrix.shape[1]:
        basis, matrix = torch.linalg.qr(matrix)
        right = basis.T @ right
    return torch.linalg.lstsq(matrix.cpu(), right.cpu(), rcond=smallest, driver="gelsd").solution.to(device)


class CountSketch:
    """Random sums of rows: each row is added with a random sign to some of the sums (Clarkson & Woodruff, 1207.6365).

    The expected Gram matrix of the sums is that of the rows.

    Args:
        size: how many sums.
        rows: how many rows.
        generator: on the CPU, so that every device draws alike.
        copies: to how many sums each row is added; two halve the chance that two large rows hide each other.
    """

    def __init__(self, size: int, rows: int, generator: torch.Generator, copies: int = 2) -> None:
        self.buckets = torch.randint(size, (rows, copies), generator=generator)
        self.signs = 2.0 * torch.randint(2, (rows, copies), generator=generator, dtype=torch.float64) - 1.0

    def add(self, rows: Tensor, total: Tensor, numbers: slice | Tensor) -> None:
        """Adds rows to the sums, in place.

        Args:
            rows: `(k, width)`.
            total: `(size, width)`.
            numbers: which of all rows they are; a tensor on the CPU.
        """
        buckets, signs = self.buckets[numbers].to(rows.device), self.signs[numbers].to(rows)
        for copy in range(buckets.shape[1]):
            add_by_number(total, buckets[:, copy], rows * (signs[:, copy, None] / math.sqrt(buckets.shape[1])))


class DampedLeastSquares:
    """The minimisers of |J d + r|^2 + mu |d|^2 for any number of mu, from one singular value decomposition of J.

    With J = U S V' and c = U'r, d = -V S c / (S^2 + mu): O(n^2) for each mu. Singular values of J itself resolve a
    damping down to the square of its round-off, 1e-32 |J|^2, where a Cholesky factor of J'J ends at 1e-16 |J|^2.

    Args:
        rows: J `(k, n)`, or what is left of it after orthogonal maps from the left.
        right: r `(k,)`, after the same maps.
    """

    def __init__(self, rows: Tensor, right: Tensor) -> None:
        # gesvdj, torch's default on a GPU, takes seconds on the graded matrices of a PINN; gesvd a tenth of that.
        driver = "gesvd" if rows.is_cuda else None
        left, self.values, vectors = torch.linalg.svd(rows, full_matrices=False, driver=driver)
        # A column of zeros has no part in a step; round-off in the vectors of lost singular values gives it one.
        self._right = vectors * (rows != 0).any(0)
        self._slopes = self.values * (left.T @ right)

    def step(self, damping: float | Tensor, carried: Tensor | None = None) -> Tensor:
        """D `(n,)` for one damping, `(m, n)` for a vector of them.

        Args:
            damping: mu.
            carried: `(n,)` where the step starts from: |d - carried| is damped instead of |d|.
        """
        if carried is None:
            return self._scaled(damping, self._slopes)
        slopes = self._slopes + self.values.square() * (self._right @ carried)
        return carried + self._scaled(damping, slopes)

    def of_length(self, lengths: Tensor) -> Tensor:
        """The dampings `(m,)` whose steps have these lengths `(m,)`; the lowest one where no step is so long."""
        low, high = (torch.full_like(lengths, bound) for bound in (_LOWEST, _HIGHEST))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            long = self.lengths(middle.exp()) > lengths
            low, high = torch.where(long, middle, low), torch.where(long, high, middle)
        return high.exp()

    def lengths(self, dampings: Tensor) -> Tensor:
        """The 2-norms `(m,)` of the steps for `(m,)` dampings."""
        return (self._slopes / (self.values.square() + dampings[:, None])).norm(dim=1)

    def decreases(self, dampings: Tensor) -> Tensor:
        """By how much |J d + r|^2 is below |r|^2, `(m,)`, for the steps of `(m,)` dampings."""
        squares, mu = self.values.square(), dampings[:, None]
        return (self._slopes.square() * (squares + 2 * mu) / (squares + mu).square()).sum(1)

    def curvature(self, step: Tensor) -> Tensor:
        """|J d|^2 for a step `(n,)`."""
        return (self.values * (self._right @ step)).square().sum()

    def _scaled(self, damping: float | Tensor, slopes: Tensor) -> Tensor:
        mu = damping[:, None] if isinstance(damping, Tensor) else damping
        return -(slopes / (self.values.square() + mu)) @ self._right


class Solution(NamedTuple):
    """A least-squares solution.

    Attributes:
        minimiser: d `(n,)`.
        left_over: |J d + r|^2.
        rank: how many columns were found to be independent.
    """

    minimiser: Tensor
    left_over: float
    rank: int


def rank_revealing(rows: Tensor, right: Tensor, tolerance: float | None = None) -> Solution:
    """Minimises |J d + r|^2 over the columns that can be told apart: QR with column pivoting (Golub & Van Loan, 5.4).

    Columns are first divided by their norms, so that the tolerance means the same for each of them. Those whose part
    that is orthogonal to the columns before is below it get zero. Computed by LAPACK on the CPU, where torch has no
    pivoting.

    Args:
        rows: J `(k, n)`.
        right: r `(k,)`.
        tolerance: the smallest pivot over the largest one; default 50 times the round-off of the dtype. Random sines
            for the wave equation came to 1e-10 with 1e-14 and to 1e-8 with 1e-11.
    """
    scale = rows.norm(dim=0)
    scale = torch.where(scale > 0, scale, 1)
    tolerance = 50 * torch.finfo(rows.dtype).eps if tolerance is None else tolerance
    columns = (rows / scale).cpu().numpy()
    image, triangular, order = scipy.linalg.qr_multiply(columns, right.cpu().numpy(), mode="right", pivoting=True)
    pivots = np.abs(triangular.diagonal())
    rank = int((pivots > tolerance * pivots[0]).sum())
    found = np.zeros(rows.shape[1], dtype=columns.dtype)
    found[order[:rank]] = -scipy.linalg.solve_triangular(triangular[:rank, :rank], image[:rank])
    minimiser = torch.from_numpy(found).to(rows) / scale
    return Solution(minimiser, float((rows @ minimiser + right).square().sum()), rank)
