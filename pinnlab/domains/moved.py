"""A region moved, turned and enlarged as a whole: a map that keeps shapes, and so the uniform measure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from pinnlab.domains.base import Region, checked_vector
from pinnlab.domains.curves import Array
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError, unknown

Kind = TypeVar("Kind")
Part = TypeVar("Part", bound=Region)


class Similarity:
    """The map `x -> A x + b` with `A` a number times a rotation or a mirroring.

    Args:
        matrix: A, `(d, d)`.
        offset: b, `(d,)`.

    Attributes:
        factor: of lengths.
    """

    def __init__(self, matrix: Array, offset: Array) -> None:
        self.matrix, self.offset = matrix, offset
        self.factor = float(abs(np.linalg.det(matrix)) ** (1 / len(matrix)))

    @property
    def keeps_shapes(self) -> bool:
        """Whether A is such a matrix."""
        gram = self.matrix @ self.matrix.T
        return bool(np.abs(gram - self.factor**2 * np.eye(len(gram))).max() <= 1e-12 * self.factor**2)

    def forward(self, points: Tensor) -> Tensor:
        """Images of points `(n, d)`."""
        return points @ points.new_tensor(self.matrix.T) + points.new_tensor(self.offset)

    def back(self, points: Tensor) -> Tensor:
        """The points of which these `(n, d)` are images."""
        return (points - points.new_tensor(self.offset)) @ points.new_tensor(self.matrix / self.factor**2)

    def turned(self, normals: Tensor) -> Tensor:
        """Images of unit vectors `(n, d)`."""
        return normals @ normals.new_tensor(self.matrix.T / self.factor)


class Image(Region, Generic[Part]):
    """What becomes of a region.

    Args:
        region: what is moved.
        map: how.
    """

    def __init__(self, region: Part, map: Similarity) -> None:
        self.region, self.map = region, map
        self.coordinates, self.unit_dim, self.count = region.coordinates, region.unit_dim, region.count
        larger = map.factor**region.dimension
        self.measure, self._envelope = larger * region.measure, larger * region.envelope

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        points, kept = self.region.candidates(unit)
        return self.map.forward(points), kept

    def _quadrature(self, count: int) -> Rule:
        nodes, weights = self.region.quadrature(count)
        return self.map.forward(nodes), self.map.factor**self.region.dimension * weights

    def _distance(self, points: Tensor) -> Tensor:
        return self.map.factor * self.region.distance(self.map.back(points))

    def __repr__(self) -> str:
        return f"Moved({self.region!r})"


class MovedFace(Image[Region]):
    """The image of a boundary, or of a part of one. `boundary()` of a moved domain builds it."""

    def _normals(self, points: Tensor) -> Tensor:
        return self.map.turned(self.region.normals(self.map.back(points)))


class Movable(ABC, Generic[Kind]):
    """What can be moved, turned and enlarged; a subclass says what becomes of it under a linear map, in `_moved`."""

    coordinates: tuple[str, ...]

    def translate(self, **offset: float) -> Kind:
        """The domain moved: `translate(x=0.5)`.

        Raises:
            ConfigurationError: a coordinate is unknown.
        """
        for name in offset:
            if name not in self.coordinates:
                raise unknown("coordinate", name, self.coordinates)
        steps = checked_vector("translate", [offset.get(name, 0.0) for name in self.coordinates], len(self.coordinates))
        return self._moved(np.eye(len(steps)), np.array(steps))

    def rotate(self, angle: float, about: float | Sequence[float] = 0.0, axis: Sequence[float] | None = None) -> Kind:
        """The domain turned, against the clock as seen from where the axis points to.

        Args:
            angle: in radians.
            about: a point that stays; a single number holds for all coordinates.
            axis: in three dimensions the direction about which; in two there is but one.

        Raises:
            ConfigurationError: there are not two or three coordinates, or the axis is missing or of length 0.
        """
        dim = len(self.coordinates)
        (turn,) = checked_vector("angle", angle, 1)
        if dim == 2 and axis is None:
            matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        elif dim == 3 and axis is not None and any(checked_vector("axis", axis, 3)):
            x, y, z = np.array(axis, dtype=np.float64) / np.linalg.norm(axis)
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])  # Rodrigues' formula
            matrix = np.eye(3) + math.sin(turn) * cross + (1 - math.cos(turn)) * cross @ cross
        else:
            raise ConfigurationError("rotate: needs two coordinates and no axis, or three and an axis, as [0, 0, 1]")
        return self._about(matrix, about)

    def scale(self, factor: float | Sequence[float], about: float | Sequence[float] = 0.0) -> Kind:
        """The domain enlarged or made smaller.

        Args:
            factor: of lengths; one for each coordinate where boxes and domains in the plane are stretched.
            about: a point that stays; a single number holds for all coordinates.

        Raises:
            ConfigurationError: a factor is not positive, or the domain cannot be stretched.
        """
        factors = checked_vector("factor", factor, len(self.coordinates))
        if min(factors) <= 0:
            raise ConfigurationError(f"factor: must be positive, got {factor}")
        return self._about(np.diag(factors), about)

    def _about(self, matrix: Array, about: float | Sequence[float]) -> Kind:
        center = np.array(checked_vector("about", about, len(matrix)))
        return self._moved(matrix, center - matrix @ center)

    @abstractmethod
    def _moved(self, matrix: Array, offset: Array) -> Kind:
        """The image under `x -> A x + b`."""


def corners(matrix: Array, offset: Array, low: Sequence[float], high: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """The bounding box of a box's image under `x -> A x + b`."""
    a, b = np.array(low), np.array(high)
    middle, half = matrix @ (a + b) / 2 + offset, np.abs(matrix) @ (b - a) / 2
    return tuple((middle - half).tolist()), tuple((middle + half).tolist())


def mixes(matrix: Array, blocks: Sequence[slice]) -> bool:
    """Whether a linear map mixes the coordinates of one block with those of another."""
    rest = matrix.copy()
    for own in blocks:
        rest[own, own] = 0.0
    return bool(rest.any())


def stays(matrix: Array, offset: Array) -> bool:
    """Whether `x -> A x + b` leaves everything where it is."""
    return not offset.any() and bool((matrix == np.eye(len(matrix))).all())
