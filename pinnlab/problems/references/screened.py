"""Delta w = k^2 w in a square with round holes: Bessel functions about the holes and their mirror images.

Functions, in polar coordinates of a centre each, fitted to the values on the boundary by least squares:

- K_n(k r) cos(n a), K_n(k r) sin(n a) about every hole, and about its images in the square's sides, beyond which the
  solution goes on;
- I_n(k r) cos(n a), I_n(k r) sin(n a) about the origin;
- K_0 and K_1 about poles that approach each corner of the square exponentially, where the solution is as r^2 log r
  (Gopal and Trefethen, SIAM J. Numer. Anal. 57, 2019).

By the maximum principle the error is nowhere larger than what is left on the boundary, which a test measures between
the points of the fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive, kve

from pinnlab.problems.references.points import Array, chunks

POLES, NEAREST = 16, 1e-3
"""Poles at each corner, and the distance from it of the nearest, for a square of half width 1; the farthest is 1."""
POWERS = 30
"""The largest order about the origin."""
FAR = 1.2
"""Images farther from the square than this are left out."""
CORNERS = (1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j)


class ScreenedFunction:
    """A solution of Delta w = k^2 w with given values on the boundary of [-1, 1]^2 without disks.

    Args:
        rate: k.
        holes: `(x, y, radius, order)` of each, the last one the largest n that is taken about it.
        boundary: `(n, 2)` points of the whole boundary.
        values: `(n,)` there.
    """

    def __init__(
        self, rate: float, holes: Sequence[tuple[float, float, float, int]], boundary: Array, values: Array
    ) -> None:
        self.rate, self.sources = rate, [*holes, *_images(holes)]
        columns = self._columns(boundary)
        scale = np.abs(columns).max(axis=0)
        self._weights = np.linalg.lstsq(columns / scale, values, rcond=1e-15)[0] / scale

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 2)`."""
        found = np.empty(len(points))
        for part in chunks(len(points), len(self._weights)):
            found[part] = self._columns(points[part]) @ self._weights
        return found

    def _columns(self, points: Array) -> Array:
        z = points[:, 0] + 1j * points[:, 1]
        columns: list[Array] = []
        for x, y, radius, order in self.sources:
            columns += self._outward(z - complex(x, y), radius, range(order + 1))
        steps = (np.sqrt(POLES) - np.sqrt(np.arange(1, POLES + 1))) / (np.sqrt(POLES) - 1)
        for corner, distance in itertools.product(CORNERS, NEAREST**steps):
            outward = corner / abs(corner)
            columns += self._outward((z - corner) / outward - distance, distance, range(2))
        r, angle, size = self.rate * np.abs(z), np.angle(z), self.rate * 2**0.5
        for n in range(POWERS + 1):
            columns += _waves(ive(n, r) * np.exp(r - size) / ive(n, size), n, angle)
        return np.stack(columns, axis=1)

    def _outward(self, z: NDArray[np.complex128], radius: float, orders: Iterable[int]) -> list[Array]:
        """K_n about 0, one on the circle of that radius; scaled by exponentials, so that nothing overflows."""
        r, angle, size = self.rate * np.abs(z), np.angle(z), self.rate * radius
        fall = np.exp(size - r)
        return [wave for n in orders for wave in _waves(kve(n, r) / kve(n, size) * fall, n, angle)]


def _waves(radial: Array, n: int, angle: Array) -> list[Array]:
    return [radial * np.cos(n * angle), radial * np.sin(n * angle)][: 2 if n else 1]


def _images(holes: Sequence[tuple[float, float, float, int]]) -> list[tuple[float, float, float, int]]:
    """Mirror images in the sides and corners, with as many orders as their distance from the square wants."""
    found = []
    for (x, y, radius, order), across, up in itertools.product(holes, (-2, 0, 2), (-2, 0, 2)):
        at_x, at_y = across - x if across else x, up - y if up else y
        distance = np.hypot(max(abs(at_x) - 1, 0), max(abs(at_y) - 1, 0))
        if (across or up) and distance < FAR:
            fewer = int(0.7 * order * np.log(2) / np.log(distance / radius)) if distance > radius else order
            found.append((at_x, at_y, radius, min(order, max(fewer, 3))))
    return found
