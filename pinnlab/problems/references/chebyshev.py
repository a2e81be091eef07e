"""Collocation at Chebyshev-Lobatto nodes on [0, 1]: derivatives there, and values between them."""

from __future__ import annotations

import numpy as np

from pinnlab.problems.references.points import Array


def differentiation(degree: int) -> tuple[Array, Array]:
    """Chebyshev-Lobatto nodes on [0, 1], `(degree + 1,)`, and the matrix of the derivative there.

    Weideman and Reddy, ACM Trans. Math. Softw. 26 (2000): differences by sines, the diagonal by row sums.
    """
    angle = np.pi * np.arange(degree + 1) / degree
    nodes = np.sin(angle / 2) ** 2
    difference = np.sin((angle[:, None] + angle) / 2) * np.sin((angle[:, None] - angle) / 2)
    np.fill_diagonal(difference, 1.0)
    weights = (-1.0) ** np.arange(degree + 1)
    weights[[0, -1]] *= 2
    matrix = weights[:, None] / weights / difference
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return nodes, matrix


def interpolation(nodes: Array, places: Array) -> Array:
    """The rows `(n, degree + 1)` by which values at the nodes are multiplied for those at `(n,)` places.

    The barycentric formula (Berrut and Trefethen, SIAM Review 46, 2004).
    """
    weights = (-1.0) ** np.arange(len(nodes))
    weights[[0, -1]] *= 0.5
    apart = places[:, None] - nodes
    hit = apart == 0
    shares = weights / np.where(hit, 1.0, apart)
    return np.asarray(np.where(hit.any(1, keepdims=True), hit, shares / shares.sum(1, keepdims=True)))
