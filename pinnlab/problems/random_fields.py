"""Random fields that are sums of waves: coefficients and initial values that are rough, and yet smooth functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.numerics.constants import constant_like

Array = NDArray[np.float64]


class RandomField:
    """A Gaussian random field of mean 0 and variance 1 over a box, periodic: a sum of waves with random amplitudes.

    The amplitude of the wave vector k, in whole waves per side, is normal with a standard deviation of `|k|^-power`.
    Those longer than `waves` are left out, so that the field is smooth: with a power of 2 they have about 1 / waves^2
    of the variance. The mean square of the field is exactly 1.

    Args:
        low: the lower corner of the box, one number for each coordinate.
        high: its upper corner.
        seed: of the amplitudes; several numbers for several fields of one seed.
        waves: the length of the largest wave vector.
        power: by which amplitudes fall. 0 draws all of them alike.
        shape: `ball` takes the wave vectors up to a length, `cube` those with all entries up to `waves`.

    Attributes:
        numbers: `(m, d)` wave vectors in radians per unit of length.
        factors: `(m, 2)` of the cosine and of the sine of each.
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        seed: int | Sequence[int] = 0,
        waves: int = 8,
        power: float = 2.0,
        shape: str = "ball",
    ) -> None:
        whole = np.indices([2 * waves + 1] * len(low)).reshape(len(low), -1).T - waves
        first = np.array([next((n for n in vector if n), 0) for vector in whole])
        lengths = np.sqrt((whole**2).sum(1))
        kept = (first > 0) & ((lengths <= waves) | (shape == "cube"))  # one of k and -k
        drawn = np.random.default_rng(seed).standard_normal((int(kept.sum()), 2)) * lengths[kept, None] ** -power
        corner = np.asarray(low, dtype=float)
        self.factors = torch.from_numpy(drawn / np.sqrt((drawn**2).sum() / 2))
        self.low = torch.from_numpy(corner)
        self.numbers = torch.from_numpy(2 * math.pi * whole[kept] / (np.asarray(high, dtype=float) - corner))

    def values(self, points: Array) -> Array:
        """The field `(n,)` at points `(n, d)`, in numpy: for references."""
        return np.asarray(self(torch.from_numpy(points)).numpy())

    def __call__(self, points: Tensor) -> Tensor:
        """The field `(n,)` at points `(n, d)`."""
        cosine, sine, _ = self._waves(points)
        factors = constant_like(self.factors, points)
        return cosine @ factors[:, 0] + sine @ factors[:, 1]

    def with_slope(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The field `(n,)` and its gradient `(n, d)` at points `(n, d)`."""
        cosine, sine, numbers = self._waves(points)
        factors = constant_like(self.factors, points)
        slope = (cosine * factors[:, 1] - sine * factors[:, 0]) @ numbers
        return cosine @ factors[:, 0] + sine @ factors[:, 1], slope

    def _waves(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        numbers = constant_like(self.numbers, points)
        angle = (points - constant_like(self.low, points)) @ numbers.T
        return torch.cos(angle), torch.sin(angle), numbers
