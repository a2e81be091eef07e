"""Designs that need no number theory: random points, a grid, a Latin hypercube."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pinnlab.errors import ConfigurationError, check_list, check_whole
from pinnlab.samplers.base import Sampler

MAX_GRID_DIM = 6


class UniformRandom(Sampler):
    """Independent uniform points: the baseline, whose integration error falls like `n^(-1/2)`."""

    has_uniform_beginnings = True

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.random((count, dim))


class Grid(Sampler):
    """The cell centres of a grid, for any number of points; the seed has no effect.

    For `count = k^d` it is the tensor grid. Other counts cut the first axis into about `count^(1/d)`
    slabs, share the points out evenly, make each slab as wide as its share and go on inside it, so that
    there are exactly `count` cells of equal volume. Beyond six dimensions a grid has too few points per
    axis to be of use, and is refused.

    Args:
        cells: how many along each axis, where they are to be other numbers: many in space and few in time for short
            windows of time. Their product is the number of points. Regions of another dimension, such as the face at
            the initial time, get the grid that they get without.

    Raises:
        ConfigurationError: they are no positive whole numbers.
    """

    def __init__(self, cells: Sequence[int] | None = None) -> None:
        if cells is not None:
            check_list("", cells=cells)
            check_whole("", **{f"cells[{axis}]": number for axis, number in enumerate(cells)})
            if not cells or min(cells) < 1:
                raise ConfigurationError(f"cells: must be positive whole numbers, one for each axis, got {cells}")
        self.cells = None if cells is None else tuple(cells)

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        del rng
        if self.cells is not None and len(self.cells) == dim:
            if math.prod(self.cells) != count:
                product = " x ".join(map(str, self.cells))
                raise ConfigurationError(
                    f"cells: a grid of {product} cells has {math.prod(self.cells)} points, not {count}"
                )
            axes = [(np.arange(number) + 0.5) / number for number in self.cells]
            return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], -1)
        if dim > MAX_GRID_DIM:
            raise ConfigurationError(f"dim: Grid has at most {MAX_GRID_DIM} dimensions, got {dim}; use Sobol instead")
        return _cells(count, dim)


class LatinHypercube(Sampler):
    """One point in each of the `count` layers of every axis (McKay, Beckman and Conover 1979)."""

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        layers = np.tile(np.arange(count)[:, None], (1, dim))
        return (rng.permuted(layers, axis=0) + rng.random((count, dim))) / count


def _cells(count: int, dim: int) -> NDArray[np.float64]:
    """The centres `(count, dim)` of `count` equal cells."""
    if dim == 1:
        return (np.arange(count)[:, None] + 0.5) / count
    slabs = max(1, round(count ** (1.0 / dim)))
    ends = count * np.arange(slabs + 1) // slabs
    sizes = np.diff(ends)
    inside = {size: _cells(size, dim - 1) for size in map(int, np.unique(sizes))}  # two sizes at most
    centres = (ends[:-1] + ends[1:]) / (2 * count)
    rest = np.concatenate([inside[int(size)] for size in sizes])
    return np.column_stack([np.repeat(centres, sizes), rest])
