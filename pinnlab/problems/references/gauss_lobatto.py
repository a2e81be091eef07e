"""Nodes of spectral elements."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from pinnlab.problems.references.points import Array


def gauss_lobatto(degree: int) -> Array:
    """Gauss, Lobatto and Legendre's `(degree + 1,)`, on [-1, 1]."""
    inner = legendre.legroots(legendre.legder(np.eye(degree + 1)[degree])).real  # NumPy has complex ones since 2.5
    return np.concatenate([[-1.0], np.sort(inner), [1.0]])
