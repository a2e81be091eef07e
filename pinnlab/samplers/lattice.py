"""Rank-1 lattices with a random shift."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pinnlab.samplers.base import Sampler

# Numbers looked up while a generating vector is found: about a quarter of a second.
SEARCH_WORK = 20_000_000
MIN_CANDIDATES = 16


class Lattice(Sampler):
    """The rank-1 lattice `{i z / n + shift}`, for any count: best for smooth integrands.

    The generating vector `z` is built component by component (Sloan and Reztsov 2002): each component
    is the number coprime to `n` that makes the weighted figure of merit P_2 of the lattice so far least
    (see `generating_vector`). The shift is random. A lattice is kept once found, since only the shift
    depends on the seed. In more dimensions than half the numbers coprime to `n` some columns repeat.
    """

    def __init__(self) -> None:
        self._vectors: dict[tuple[int, int], NDArray[np.int64]] = {}

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        if (count, dim) not in self._vectors:
            self._vectors[count, dim] = generating_vector(count, dim)
        steps = np.arange(count)[:, None] * self._vectors[count, dim] % count
        return (steps / count + rng.random(dim)) % 1.0


def generating_vector(count: int, dim: int) -> NDArray[np.int64]:
    """The generating vector `z` of a good rank-1 lattice, built component by component.

    It minimises, one component after the other,
    `P_2 = -1 + mean_i prod_j (1 + 2 pi^2 B_2({i z_j / n}) / j)`, with `B_2(x) = x^2 - x + 1/6`, the squared
    worst-case error in the weighted Korobov space of smoothness 2 (Sloan and Joe 1994; Dick, Kuo
    and Sloan 2013). The weights `1/j` keep the sum meaningful in 100 dimensions. All numbers coprime to
    `count` up to `count / 2` are tried (`z` and `n - z` are equally good), or a fixed random selection of
    them where that would take too long. No component is used twice as long as there is another.

    Args:
        count: the number of points `n`.
        dim: the number of components.

    Returns:
        `(dim,)` whole numbers in [1, n), the first of them 1.
    """
    half = np.arange(count // 2 + 1)  # the lattice is symmetric: i and n - i have the same B_2
    multiplicity = np.where((half == 0) | (2 * half == count), 1.0, 2.0)
    grid = np.arange(count) / count
    bernoulli = 2.0 * math.pi**2 * (grid * grid - grid + 1.0 / 6.0)
    units = half[1:][np.gcd(half[1:], count) == 1] if count > 2 else np.ones(1, dtype=np.int64)
    tries = max(MIN_CANDIDATES, SEARCH_WORK // (len(half) * dim))
    rng = np.random.default_rng(count)  # fixed: the lattice must not depend on the sampler's seed
    vector = np.ones(dim, dtype=np.int64)
    product = multiplicity * (1.0 + bernoulli[half])
    for j in range(1, dim):
        # With falling weights the search would repeat components, and so project onto a diagonal.
        unused = units if j >= len(units) else np.setdiff1d(units, vector[:j])
        candidates = unused if len(unused) <= tries else rng.choice(unused, tries, replace=False)
        # The term without the new component is the same for all candidates.
        merit = [float(product @ bernoulli[z * half % count]) for z in candidates]
        vector[j] = candidates[int(np.argmin(merit))]
        product = product * (1.0 + bernoulli[vector[j] * half % count] / (j + 1))
    return vector
