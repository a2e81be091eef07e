"""Domains, and their products (space times time), which are domains, too."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor

from pinnlab.domains.base import NO_PRODUCT, Region, checked_names
from pinnlab.domains.composite import Columns, ProductFace, RegionUnion
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError, unknown


class Domain(Region):
    """A full-dimensional region: what a differential equation holds on.

    Attributes:
        low: lower corner of the bounding box, one number per coordinate.
        high: upper corner of the bounding box.
        parameters: coordinates that are no places, see `Parameter`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    parameters: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """The number of coordinates: a domain has an interior."""
        return self.dim

    def boundary(self, *coordinates: str) -> Region:
        """The whole boundary, or the faces whose normal lies in the named coordinates; parameters only when named.

        Raises:
            ConfigurationError: a coordinate is unknown, or shares its faces with one that is not named
                (the rim of a disk needs both).
        """
        self._check_known(coordinates)
        places = [name for name in self.coordinates if name not in self.parameters]
        return self._boundary(frozenset(coordinates or places or self.coordinates))

    def face(self, **fixed: float) -> Region:
        """The part of the boundary where one coordinate sits at an end of its interval: `face(t=0.0)`.

        Raises:
            ConfigurationError: not exactly one coordinate is given, it is unknown, it has no interval of
                its own (disk, ball), or the value is not an end.
        """
        if len(fixed) != 1:
            raise ConfigurationError(f"face: give exactly one coordinate, got {', '.join(fixed) or 'none'}")
        self._check_known(fixed)
        name, value = next(iter(fixed.items()))
        return self._face(name, value)

    def __mul__(self, other: Region) -> Product:
        if isinstance(other, Domain):
            return Product(self, other)
        if isinstance(other, Region):
            raise ConfigurationError(NO_PRODUCT)
        return NotImplemented

    def _normals(self, points: Tensor) -> Tensor:
        raise ConfigurationError(f"normals: the interior of {self!r} has none; use its boundary() or face()")

    def _check_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.coordinates:
                raise unknown("coordinate", name, self.coordinates)

    @abstractmethod
    def _boundary(self, names: frozenset[str]) -> Region:
        """`boundary` with all names known and at least one of them."""

    @abstractmethod
    def _face(self, name: str, value: float) -> Region:
        """`face` with a known name."""


class Product(Domain):
    """All pairs of points of domains with different coordinates: `Disk() * Interval("t", 0, 1)`.

    A product of products is flat: `factors` are never products themselves.

    Args:
        domains: the factors, in the order of their coordinates.

    Raises:
        ConfigurationError: there is no factor, or two factors share a coordinate.
    """

    def __init__(self, *domains: Domain) -> None:
        self.factors: tuple[Domain, ...] = tuple(
            f for d in domains for f in (d.factors if isinstance(d, Product) else (d,))
        )
        self.coordinates = checked_names([name for f in self.factors for name in f.coordinates])
        self.low = tuple(a for f in self.factors for a in f.low)
        self.high = tuple(b for f in self.factors for b in f.high)
        self.parameters = tuple(name for f in self.factors for name in f.parameters)
        self._points = Columns(self.factors)
        self.unit_dim = self._points.unit_dim
        self.measure = math.prod(f.measure for f in self.factors)

    def _from_unit(self, unit: Tensor) -> Tensor:
        return self._points.from_unit(unit)

    def _distance(self, points: Tensor) -> Tensor:
        return self._points.distance(points)

    def _quadrature(self, count: int) -> Rule:
        rule = self._points.quadrature(count)
        return super()._quadrature(count) if rule is None else rule

    def _boundary(self, names: frozenset[str]) -> Region:
        faces = []
        for factor in self.factors:
            if named := [name for name in factor.coordinates if name in names]:
                faces.append(self._swap(factor, factor.boundary(*named)))
        return faces[0] if len(faces) == 1 else RegionUnion(faces)

    def _face(self, name: str, value: float) -> Region:
        factor = next(f for f in self.factors if name in f.coordinates)
        return self._swap(factor, factor.face(**{name: value}))

    def _swap(self, factor: Domain, face: Region) -> Region:
        place = self.factors.index(factor)
        return face if len(self.factors) == 1 else ProductFace(self.factors, place, face)

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors))
