"""Digital and radical-inverse designs: Sobol', Halton, Hammersley."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from pinnlab.domains import Region
from pinnlab.samplers.base import Sampler
from pinnlab.samplers.stratified import UniformRandom

# Fills a double's mantissa: scipy's default of 30 bits is too coarse where a union of faces re-uses a column.
SOBOL_BITS = 52
MANY_DIMENSIONS = 1000
"""Up to here a Sobol' sequence is scrambled in less than 0.3 s."""
SMALL = 2048
"""Numbers, up to which a design to try something at is kept: the checks before a run ask for the same few 30 times."""


class Sobol(Sampler):
    """The Sobol' sequence with a random linear scramble and shift (Matoušek 1998): the default choice.

    Best for counts that are powers of two; others are the beginning of the next power of two. In more than 21,201
    dimensions, for which no direction numbers are known, points are random.
    """

    has_uniform_beginnings = True

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        if dim > qmc.Sobol.MAXDIM:
            return rng.random((count, dim))
        # `seed` is the keyword that every supported scipy knows; 1.15 added `rng` for the same thing.
        engine = qmc.Sobol(dim, scramble=True, bits=SOBOL_BITS, seed=rng)
        # Drawing a whole power of two avoids the balance warning for other counts.
        points: NDArray[np.float64] = engine.random_base2((count - 1).bit_length())
        return points[:count]


def few_points(region: Region, count: int, seed: int) -> Tensor:
    """Points to try something at: of Sobol' and, in many dimensions, random ones.

    To scramble the sequence takes 5 s in 20,000 dimensions, however few points are asked for.

    Args:
        region: where the points lie.
        count: how many.
        seed: as for `Sampler.design`.

    Returns:
        `(count, region.dim)`, as `Sampler.sample` does.
    """
    sampler = _KeptSobol() if region.dim <= MANY_DIMENSIONS else UniformRandom()
    return sampler.sample(region, count, seed)


class _KeptSobol(Sobol):
    def design(self, count: int, dim: int, seed: int) -> Tensor:
        return _small_design(count, dim, seed).clone() if count * dim <= SMALL else super().design(count, dim, seed)


@functools.lru_cache(maxsize=256)
def _small_design(count: int, dim: int, seed: int) -> Tensor:
    return Sobol().design(count, dim, seed)


class Halton(Sampler):
    """The Halton sequence with randomly permuted digits (Owen 2017): good for any count."""

    has_uniform_beginnings = True

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        points: NDArray[np.float64] = qmc.Halton(dim, scramble=True, seed=rng).random(count)
        return points


class Hammersley(Sampler):
    """Equal steps `i/n` in the first coordinate, a scrambled Halton sequence in the others.

    One dimension better than Halton, at the price of not being extensible. The steps are shifted by a
    random part of one step.
    """

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        first = (np.arange(count)[:, None] + rng.random()) / count
        if dim == 1:
            return first
        rest = qmc.Halton(dim - 1, scramble=True, seed=rng).random(count)
        return np.column_stack([first, rest])
