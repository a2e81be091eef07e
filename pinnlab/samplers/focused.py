"""Points that lie closer together near a place, by the map that a `Lens` looks through."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError, check_whole
from pinnlab.numerics.lens import LensMap
from pinnlab.samplers.base import Sampler

_STILL = 1e-9
"""A coordinate that moves less, against how it moves along others, does not depend on a side of the unit cube."""


class Focused(Sampler):
    """The points of another sampler, gathered near one place of one coordinate: for a layer whose place is known.

    With the numbers of a network's `Lens` they are to that network what the other sampler's are to a plain one: a grid
    stays a grid on which waves are orthogonal. The loss weighs residuals by the density of its points, so that the
    layer counts more.

    Parts of the boundary on which the coordinate is fixed, as the walls, and those of several faces get the other
    sampler's points as they are.

    Args:
        sampler: whose points they are.
        column: the number of the coordinate in the problem, from 0.
        at: the place, in the coordinate scaled to [-1, 1].
        width: of the layer, in the same units.
        periodic: as of the `Lens`.

    Raises:
        ConfigurationError: a number is out of its range; when points are drawn, if the coordinate is no side of the
            domain, as in a disk.
    """

    def __init__(
        self, sampler: Sampler, *, column: int = 0, at: float = 0.0, width: float = 0.1, periodic: bool = False
    ) -> None:
        if not isinstance(sampler, Sampler):
            raise ConfigurationError(f"sampler: must be a Sampler, such as Sobol(), not {sampler!r}")
        check_whole("", column=column)
        if column < 0:
            raise ConfigurationError(f"column: must be the number of a coordinate, from 0, got {column}")
        self.sampler, self.column, self.map = sampler, column, LensMap.checked(at, width, periodic)

    def sample(self, region: Region, count: int, seed: int) -> Tensor:
        """See `Sampler.sample`."""
        side = _side(region, self.column) if isinstance(region, Region) else None
        design = self.sampler if side is None else _Along(self.sampler, side, self.map)
        return design.sample(region, count, seed)

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        if self.column >= dim:
            return self.sampler._design(count, dim, rng)
        return _Along(self.sampler, self.column, self.map)._design(count, dim, rng)

    def __repr__(self) -> str:
        return f"Focused({self.sampler!r}, column {self.column} at {self.map.at:g}, width {self.map.width:g})"


class _Along(Sampler):
    """A design gathered along one side of the unit cube."""

    def __init__(self, sampler: Sampler, side: int, own: LensMap) -> None:
        self.sampler, self.side, self.map = sampler, side, own
        self.has_uniform_beginnings = sampler.has_uniform_beginnings

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        unit = np.array(self.sampler._design(count, dim, rng))
        unit[:, self.side] = (self.map.gather(torch.from_numpy(2 * unit[:, self.side] - 1)).numpy() + 1) / 2
        return unit


def _side(region: Region, column: int) -> int | None:
    """The side of the unit cube that is mapped to a coordinate, and to nothing else; None on walls.

    Raises:
        ConfigurationError: there is no such coordinate, or in the region it goes with others.
    """
    if column >= region.dim:
        raise ConfigurationError(f"column: there is no column {column} among {', '.join(region.coordinates)}")
    if region.unit_dim == 0:
        return None
    places = torch.full((2 * region.unit_dim + 1, region.unit_dim), 0.4, dtype=torch.float64)
    for side in range(region.unit_dim):
        places[2 * side + 1, side], places[2 * side + 2, side] = 0.3, 0.6
    points, _ = region.candidates(places)
    moved = (points[1:] - points[0]).reshape(region.unit_dim, 2, -1)
    moves = moved.abs().amax(1) > _STILL * moved.abs().amax((0, 1))
    sides = moves[:, column].nonzero()[:, 0].tolist()
    if len(sides) == 1 and int(moves[sides[0]].sum()) == 1:
        back, forth = moved[sides[0], :, column].tolist()
        if math.isclose(forth, -2 * back, rel_tol=1e-9):
            return int(sides[0])
    if region.is_full_dimensional:
        raise ConfigurationError(
            f"column: {region.coordinates[column]} is no side of {region!r}; points can be gathered along the sides of "
            "boxes and products only"
        )
    return None
