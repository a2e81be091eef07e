"""Tensor-product splines through values on a grid, in torch operations that the Taylor engine can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from pinnlab.numerics.constants import constant_like


class Spline:
    """The spline through values on a rectilinear grid: piecewise polynomials of one degree in each coordinate.

    Its derivatives up to degree - 1 are continuous; at the ends the first and last two pieces are one polynomial ("not
    a knot"), as in scipy, which finds the coefficients.

    Args:
        axes: for each coordinate its increasing grid points `(n_i,)`, more than `degree` of them.
        values: `(n_1, ..., n_d)`.
        degree: 1 (linear), 3 (cubic) or another odd number.
    """

    def __init__(self, axes: Sequence[np.ndarray], values: np.ndarray, degree: int) -> None:
        self.degree = degree
        self._knots: list[Tensor] = []
        coefficients = values
        for i, axis in enumerate(axes):
            spline = make_interp_spline(axis, coefficients, k=degree, axis=i)
            coefficients = np.moveaxis(spline.c, 0, i)
            self._knots.append(torch.as_tensor(spline.t, dtype=torch.float64))
        self._coefficients = torch.as_tensor(np.ascontiguousarray(coefficients), dtype=torch.float64)

    def __call__(self, columns: Sequence[Any]) -> Any:
        """The values `(n,)` at points given by their coordinates, each `(n,)`: tensors or jets."""
        d = len(columns)
        found = [self._basis(knots, column) for knots, column in zip(self._knots, columns, strict=True)]
        offsets = torch.arange(self.degree + 1, device=columns[0].device)
        places = [
            (first[:, None] + offsets).reshape(-1, *[self.degree + 1 if j == i else 1 for j in range(d)])
            for i, (first, _) in enumerate(found)
        ]
        total = constant_like(self._coefficients, columns[0])[tuple(places)]
        for i in reversed(range(d)):  # the last dimension is summed over first
            total = (total * found[i][1].reshape(-1, *[1] * i, self.degree + 1)).sum(-1)
        return total

    def _basis(self, knots: Tensor, x: Any) -> tuple[Tensor, Any]:
        """The number of the first basis function that is not zero at each point, and the degree + 1 values `(n, k)`.

        By the recursion of Cox and de Boor (*A Practical Guide to Splines*, ch. X).
        """
        knots, k = constant_like(knots, x), self.degree
        inside = knots[k + 1 : len(knots) - k - 1].contiguous()
        piece = k + torch.bucketize(x.detach().clone(memory_format=torch.contiguous_format), inside, right=True)
        values: list[Any] = [torch.ones_like(x.detach())]
        for j in range(1, k + 1):
            carried: Any = 0.0
            following = []
            for r in range(j):
                low, high = knots[piece + 1 + r - j], knots[piece + 1 + r]
                share = values[r] / (high - low)
                following.append(carried + (high - x) * share)
                carried = (x - low) * share
            values = [*following, carried]
        return piece - k, torch.stack(values, -1)
