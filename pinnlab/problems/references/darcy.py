"""Flow through random media on the unit square, for many of them: what `DarcyOperator` is measured against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.chebyshev import differentiation, interpolation
from pinnlab.problems.references.points import Array, chunks

Fields = Callable[[Array, Array], Array]
"""The values of fields `(f, k)`, their coefficients, at places `(s, 2)`: `(f, s)`."""


class DarcyFlow:
    """`-div(exp(g) grad u) = 1` on the unit square, u = 0 on its edge: Chebyshev collocation, one medium after another.

    For smooth g only the corners limit it, where u is r^2 log r at best: with 20 intervals along each side the error is
    about 1e-6.

    Args:
        fields: what the coefficients of g mean.
        degree: of the polynomials along each side.
    """

    def __init__(self, fields: Fields, degree: int = 20) -> None:
        self.fields, self.degree = fields, degree
        self._nodes, self._slope = differentiation(degree)
        x, y = np.meshgrid(self._nodes, self._nodes, indexing="ij")
        self._grid = np.column_stack([x.ravel(), y.ravel()])

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u at points `(n, 2 + k)`, columns x, y and the coefficients of g: `(n,)`.

        Raises:
            ConfigurationError: the shape is another one.
        """
        array = np.asarray(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] < 3:
            raise ConfigurationError(f"points: expected columns x, y and coefficients, got shape {array.shape}")
        media, which = np.unique(array[:, 2:], axis=0, return_inverse=True)
        conductivities = np.exp(self.fields(media, self._grid)).reshape(len(media), self.degree + 1, -1)
        order = np.argsort(which.reshape(-1), kind="stable")
        ends = np.cumsum(np.bincount(which.reshape(-1), minlength=len(media)))
        found = np.empty(len(array))
        for conductivity, rows in zip(conductivities, np.split(order, ends[:-1]), strict=True):
            values = self.solved(conductivity)
            for part in chunks(len(rows), 4 * self.degree):
                own = array[rows[part], :2]
                in_x, in_y = (interpolation(self._nodes, own[:, k]) for k in range(2))
                found[rows[part]] = np.einsum("ni,ij,nj->n", in_x, values, in_y)
        return found

    def solved(self, conductivity: Array) -> Array:
        """U at the nodes `(degree + 1, degree + 1)` from the conductivity there."""
        inner, count = slice(1, -1), self.degree - 1
        slope = self._slope
        # D diag(a(., y_j)) D for each line, and the same for each column.
        along_x = np.einsum("ik,kj,kl->jil", slope[inner], conductivity[:, inner], slope[:, inner])
        along_y = np.einsum("jk,ik,kl->ijl", slope[inner], conductivity[inner], slope[:, inner])
        matrix = np.zeros((count, count, count, count))
        each = np.arange(count)
        matrix[:, each, :, each] -= along_x
        matrix[each, :, each, :] -= along_y
        values = np.zeros_like(conductivity)
        system = matrix.reshape(count**2, count**2)
        values[inner, inner] = np.linalg.solve(system, np.ones(count**2)).reshape(count, count)
        return values
