"""What a sampler is: a design on the unit cube, which a region maps onto itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError, check_whole

MARGIN = 1.05
"""Of candidates over what a region that rejects some needs in the mean."""
MOST_TRIED = 100_000_000
"""Candidates; in three dimensions 2.4 GB."""


class Sampler(ABC):
    """A rule that spreads any number of points over the unit cube; the same seed gives the same points.

    A subclass supplies `_design`. Samplers have no random state of their own.
    """

    has_uniform_beginnings = False
    """Whether the first points of a design are one, too: then a region that rejects some takes the first others."""

    def design(self, count: int, dim: int, seed: int) -> Tensor:
        """Points of the unit cube.

        Args:
            count: how many points.
            dim: the dimension of the cube.
            seed: a number from 0; see `seed_for`.

        Returns:
            `(count, dim)` float64 on the CPU, in [0, 1).

        Raises:
            ConfigurationError: `count` or `dim` is below 1, the seed is negative, or the design does not
                exist in this dimension.
        """
        _check_count(count)
        if dim < 1:
            raise ConfigurationError(f"dim: a design needs at least one dimension, got {dim}")
        if seed < 0:
            raise ConfigurationError(f"seed: must not be negative, got {seed}")
        unit = self._design(count, dim, np.random.default_rng(seed))
        return torch.from_numpy(np.clip(unit, 0.0, np.nextafter(1.0, 0.0)))

    def sample(self, region: Region, count: int, seed: int) -> Tensor:
        """Points of a region.

        Args:
            region: where the points lie.
            count: how many; a finite region gives each of its points once instead.
            seed: as for `design`.

        Returns:
            `(count, region.dim)` float64 on the CPU; `(region.count, region.dim)` for a finite region.

        Raises:
            ConfigurationError: as for `design`.
        """
        _check_count(count)
        if not isinstance(region, Region):
            raise ConfigurationError(f"region: must be a domain or a part of one, got {type(region).__name__}")
        if region.unit_dim == 0:
            return region.from_unit(torch.empty(count, 0, dtype=torch.float64))
        unit = self.design(count, region.unit_dim, seed)
        rejects = region.candidates(unit[:1])[1] is not None
        return self._kept(region, count, seed) if rejects else region.from_unit(unit)

    def _kept(self, region: Region, count: int, seed: int) -> Tensor:
        """Points of a region that rejects some candidates: a larger design, without those, in its order."""
        tried = math.ceil(MARGIN * count * region.envelope / region.measure) + 8
        while tried <= MOST_TRIED:
            found = region.from_unit(self.design(tried, region.unit_dim, seed))
            if len(found) >= count:
                even = torch.arange(count) * len(found) // count
                return found[:count] if self.has_uniform_beginnings else found[even]
            tried *= 2
        raise ConfigurationError(
            f"region: {region!r} is too small a part of what its points are drawn from: {MOST_TRIED:,} do not do"
        )

    @abstractmethod
    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """`(count, dim)` numbers in [0, 1], random ones drawn from `rng` alone."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _check_count(count: int) -> None:
    check_whole("", count=count)
    if count < 1:
        raise ConfigurationError(f"count: at least one point is needed, got {count}")
