"""Delta u = g in a square with du/dn = -u, for g that is smooth in blocks: spectral elements, one for each block.

The operator is a sum of two in one coordinate, so that the eigenvectors of one of them solve it (Lynch, Rice and
Thomas, Numer. Math. 6, 1964).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.polynomial import legendre

from pinnlab.problems.references.gauss_lobatto import gauss_lobatto
from pinnlab.problems.references.points import Array

Source = Callable[[Array, Array], Array]


class RobinPoisson:
    """The solution at arbitrary points of the square.

    Args:
        low: where the square begins in each coordinate.
        size: the width of a block.
        blocks: how many there are in each coordinate.
        source: g, of points `(n,)` and `(n,)` that lie inside of blocks.
        degree: of the polynomials in a block.
    """

    def __init__(self, low: float, size: float, blocks: int, source: Source, degree: int = 16) -> None:
        self.low, self.size, self.blocks, self.degree = low, size, blocks, degree
        at, weights = legendre.leggauss(2 * degree)
        nodes = gauss_lobatto(degree)
        self._to_values = np.linalg.inv(legendre.legvander(nodes, degree))
        values = legendre.legvander(at, degree) @ self._to_values
        slopes = legendre.legval(at, legendre.legder(np.eye(degree + 1))).T @ self._to_values
        count, half = blocks * degree + 1, size / 2
        stiff, mass, moments = np.zeros((count, count)), np.zeros((count, count)), np.zeros((count, blocks * len(at)))
        for k in range(blocks):
            own = slice(k * degree, (k + 1) * degree + 1)
            stiff[own, own] += slopes.T @ (weights[:, None] * slopes) / half
            mass[own, own] += values.T @ (weights[:, None] * values) * half
            moments[own, k * len(at) : (k + 1) * len(at)] += (values * weights[:, None] * half).T
        stiff[0, 0] += 1  # du/dn = -u at both ends
        stiff[-1, -1] += 1
        places = (low + size * np.arange(blocks)[:, None] + half * (at + 1)).ravel()
        x, y = np.meshgrid(places, places, indexing="ij")
        load = -moments @ source(x.ravel(), y.ravel()).reshape(x.shape) @ moments.T
        rates, modes = scipy.linalg.eigh(stiff, mass)
        self._nodal = modes @ ((modes.T @ load @ modes) / (rates[:, None] + rates)) @ modes.T

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 2)`."""
        (i, in_x), (j, in_y) = (self._located(s) for s in points.T)
        own = np.arange(self.degree + 1)
        local = self._nodal[(i[:, None] + own)[:, :, None], (j[:, None] + own)[:, None, :]]
        return np.einsum("ni,nij,nj->n", in_x, local, in_y)

    def _located(self, s: Array) -> tuple[Array, Array]:
        """The first node of the block, and the polynomials there."""
        place = (s - self.low) / self.size
        block = np.clip(place.astype(int), 0, self.blocks - 1)
        return block * self.degree, legendre.legvander(2 * (place - block) - 1, self.degree) @ self._to_values
