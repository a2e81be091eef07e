"""Designs of functions, or times, times places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pinnlab.errors import ConfigurationError, check_list, check_whole
from pinnlab.samplers.base import Sampler
from pinnlab.samplers.sequences import Sobol
from pinnlab.samplers.stratified import Grid


class FunctionsTimesPlaces(Sampler):
    """All pairs of some functions and some places, function by function: what an operator's network is fast on.

    A `DeepONet` evaluates each function and each place once, so that a point costs a fraction of what one of a design
    costs in which every point has a function of its own. There are fewer functions then, for as many points: it is for
    networks that are linear in the function, or for enough functions.

    Args:
        functions: how many; the number of points must be a multiple of it.
        modes: how many of the coordinates, the last ones, are the function, as `DeepONet` is told.
        sampler: the design of both; default `Sobol`.

    Raises:
        ConfigurationError: a number is not positive, or `sampler` is none; when points are drawn, if their number is no
            multiple, or there are no other coordinates.
    """

    def __init__(self, functions: int, modes: int, sampler: Sampler | None = None) -> None:
        check_whole("", least=1, functions=functions, modes=modes)
        if sampler is not None and not isinstance(sampler, Sampler):
            raise ConfigurationError(f"sampler: must be a Sampler such as Sobol(), got {type(sampler).__name__}")
        self.functions, self.modes, self.sampler = functions, modes, sampler or Sobol()

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        if count % self.functions:
            raise ConfigurationError(
                f"FunctionsTimesPlaces: {count} points are no multiple of functions, {self.functions}; ask for "
                f"{-(-count // self.functions) * self.functions}"
            )
        if self.modes >= dim:
            raise ConfigurationError(f"FunctionsTimesPlaces: modes: {self.modes} of {dim} coordinates leave no place")
        places = count // self.functions
        function, place = (int(seed) for seed in rng.integers(0, 2**31, 2))
        functions = self.sampler.design(self.functions, self.modes, function)
        rows = self.sampler.design(places, dim - self.modes, place)
        both = [rows.repeat(self.functions, 1), functions.repeat_interleave(places, 0)]
        found: NDArray[np.float64] = torch.cat(both, 1).numpy()
        return found

    def __repr__(self) -> str:
        return f"FunctionsTimesPlaces({self.functions} functions, {self.modes} modes, {self.sampler!r})"


class SpaceTimeGrid(Sampler):
    """A grid of places at each of some times: what a network on grids, such as `ProductSeries`, is fast on.

    Places are the centres of cells, on which waves are orthogonal; times are Gauss and Legendre's nodes, at which
    polynomials are integrated exactly. The points run time by time, the last coordinate of a place fastest. Over
    several processes each has a grid, too, if the last number of places is a multiple of how many they are.

    Args:
        places: how many along each coordinate of the place, the first ones of the domain.
        times: how many times. The number of points is the product of all numbers. Regions of as many dimensions as
            there are numbers of places, such as the face at the initial time, get the grid of places.

    Raises:
        ConfigurationError: a number is not positive and whole; when points are drawn, if their number is not the
            product, or the region has other dimensions.
    """

    def __init__(self, places: Sequence[int], times: int) -> None:
        check_list("", places=places)
        check_whole("", times=times, **{f"places[{axis}]": number for axis, number in enumerate(places)})
        if not places or min(*places, times) < 1:
            raise ConfigurationError(f"places: must be positive whole numbers, as times, got {places} and {times}")
        self.places, self.times = tuple(places), times

    def _design(self, count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
        shape = {len(self.places): self.places, len(self.places) + 1: (*self.places, self.times)}.get(dim)
        if shape is None:
            raise ConfigurationError(f"SpaceTimeGrid: {dim} dimensions, but {len(self.places)} numbers of places")
        if math.prod(shape) != count:
            product = " x ".join(map(str, shape))
            raise ConfigurationError(f"SpaceTimeGrid: {product} points are {math.prod(shape)}, not {count}")
        place = Grid(self.places)._design(math.prod(self.places), len(self.places), rng)
        if dim == len(self.places):
            return place
        nodes = (np.polynomial.legendre.leggauss(self.times)[0] + 1) / 2
        return np.column_stack([np.tile(place, (self.times, 1)), np.repeat(nodes, len(place))])

    def __repr__(self) -> str:
        return f"SpaceTimeGrid({' x '.join(map(str, self.places))} places, {self.times} times)"
