"""A region at one value of some of its coordinates, such as a rod at one time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pinnlab.domains.base import Region
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.domain import Domain, Product
from pinnlab.errors import ConfigurationError


def section(region: Region, coordinates: Collection[str]) -> Region:
    """What a region is in its other coordinates, wherever these are.

    Args:
        region: a product that has the coordinates in factors of their own, or faces of one that go along them.
        coordinates: those that are left out.

    Raises:
        ConfigurationError: the region is of another kind.

    >>> from pinnlab.domains import Interval
    >>> rod = Interval("x", 0, 1) * Interval("t", 0, 5)
    >>> section(rod, ["t"]), section(rod.boundary("x"), ["t"])
    (Interval('x', 0, 1), BoxFaces(Interval('x', 0, 1), x=0, x=1))
    """
    if isinstance(region, RegionUnion):
        return RegionUnion([section(part, coordinates) for part in region.parts])
    if isinstance(region, ProductFace):
        kept = _others(region.parts, region, coordinates)
        face = region.parts[region.place]
        if face in kept:
            return kept[0] if len(kept) == 1 else ProductFace(kept, kept.index(face), face)
    elif isinstance(region, Product):
        domains = [part for part in _others(region.factors, region, coordinates) if isinstance(part, Domain)]
        return Product(*domains) if len(domains) > 1 else domains[0]
    raise _refused(region, coordinates)


def _others(parts: Sequence[Region], region: Region, coordinates: Collection[str]) -> list[Region]:
    """The parts that have none of the coordinates; these must fill all others."""
    kept = [part for part in parts if not set(part.coordinates) & set(coordinates)]
    if not kept or {*coordinates, *(name for part in kept for name in part.coordinates)} != set(region.coordinates):
        raise _refused(region, coordinates)
    return kept


def _refused(region: Region, coordinates: Collection[str]) -> ConfigurationError:
    return ConfigurationError(
        f"each: {region!r} is not made of a part at each {', '.join(coordinates)}; write it as a product, such as "
        "Interval('x', 0, 1) * Interval('t', 0, 1), or a face along it such as boundary('x')"
    )
