"""Laplace's equation in a region with round holes: multipoles and powers of z, fitted on the boundary.

By the maximum principle the error is nowhere larger than what is left on the boundary, which a test measures between
the points of the fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

POWERS, MULTIPOLES = 40, 20


class HarmonicFunction:
    """A harmonic function with given values on the boundary, outside of disks.

    Args:
        boundary: `(n, 2)` points of the whole boundary.
        values: `(n,)` there.
        centers: of the multipoles, in the holes and beyond the outer boundary.
        radius: of the holes, in which multipoles are measured.
        size: of the region, about: the largest distance of a point from the origin.
    """

    def __init__(
        self,
        boundary: np.ndarray,
        values: np.ndarray,
        centers: Sequence[tuple[float, float]],
        radius: float,
        size: float,
    ) -> None:
        self._centers, self._radius, self._size = [complex(*center) for center in centers], radius, size
        self._weights, *_ = np.linalg.lstsq(self._functions(boundary), values, rcond=1e-15)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The values `(n,)` at points `(n, 2)`."""
        return np.asarray(self._functions(points) @ self._weights)

    def _functions(self, points: np.ndarray) -> np.ndarray:
        z = points[:, 0] + 1j * points[:, 1]
        columns = [np.ones(len(z))]
        for power in range(1, POWERS + 1):
            term = (z / self._size) ** power
            columns += [term.real, term.imag]
        for center in self._centers:
            columns.append(np.log(np.abs(z - center)))
            for power in range(1, MULTIPOLES + 1):
                term = (self._radius / (z - center)) ** power
                columns += [term.real, term.imag]
        return np.stack(columns, 1)
