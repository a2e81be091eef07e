"""A smooth function through values at scattered places, in torch operations that the Taylor engine can follow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np
import torch

from pinnlab.numerics.constants import constant_like

ROUNDED = 1e-14
"""Added to squared distances, of a region of side 2, so that odd powers of a distance have derivatives at a place."""


class RadialInterpolant:
    """Powers of the distance to each place, and a polynomial: `sum_j w_j |x - x_j|^degree + p(x)`.

    Polyharmonic splines (Duchon, 1977): the weights w are orthogonal to the polynomials of degree `(degree - 1) / 2`,
    of which p is one, so that those are met exactly. They need no choice of a length.

    Args:
        places: `(n, d)`, all different. They are scaled to a cube, so that units do not matter.
        values: there, `(n,)`.
        degree: an odd number: 1 is continuous, 3 has two continuous derivatives, 5 four.

    Raises:
        ValueError: there are too few places for the polynomial, or they lie on a line.
    """

    def __init__(self, places: np.ndarray, values: np.ndarray, degree: int) -> None:
        low, high = places.min(0), places.max(0)
        self.degree = degree
        self._middle = torch.as_tensor((low + high) / 2)
        self._half = torch.as_tensor(np.maximum(high - low, np.finfo(float).tiny) / 2)
        self._monomials = [
            chosen
            for order in range((degree - 1) // 2 + 1)
            for chosen in combinations_with_replacement(range(places.shape[1]), order)
        ]
        self._places = (torch.as_tensor(places) - self._middle) / self._half
        columns = list(self._places.unbind(-1))
        powers, polynomials = self._powers(columns).numpy(), self._polynomials(columns).numpy()
        n, m = polynomials.shape
        if np.linalg.matrix_rank(polynomials) < m:
            raise ValueError(f"{n} places do not determine a polynomial of degree {(degree - 1) // 2}")
        system = np.block([[powers, polynomials], [polynomials.T, np.zeros((m, m))]])
        found = torch.as_tensor(np.linalg.solve(system, np.concatenate([values, np.zeros(m)])))
        self._weights, self._factors = found[:n], found[n:]

    def __call__(self, columns: Sequence[Any]) -> Any:
        """The values `(n,)` at points given by their coordinates, each `(n,)`: tensors or jets."""
        middles, halves, weights, factors = (
            constant_like(table, columns[0]) for table in (self._middle, self._half, self._weights, self._factors)
        )
        scaled = [(column - middle) / half for column, middle, half in zip(columns, middles, halves, strict=True)]
        radial = (self._powers(scaled) * weights).sum(-1)
        return radial + (self._polynomials(scaled) * factors).sum(-1)

    def _powers(self, columns: Sequence[Any]) -> Any:
        """`|x - x_j|^degree`, `(points, places)`."""
        places = constant_like(self._places, columns[0])
        squares = sum((column.reshape(-1, 1) - places[:, i]) ** 2 for i, column in enumerate(columns))
        return (squares + ROUNDED) ** (self.degree / 2)

    def _polynomials(self, columns: Sequence[Any]) -> Any:
        """Products of coordinates, `(points, monomials)`."""
        one = torch.ones_like(columns[0].detach())
        return torch.stack([prod((columns[i] for i in chosen), start=one) for chosen in self._monomials], -1)
