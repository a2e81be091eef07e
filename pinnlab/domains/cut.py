"""A region between two values of one of its coordinates, such as a domain in a window of time."""

from __future__ import annotations

from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces, Interval
from pinnlab.domains.cloud import Cloud
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.domain import Domain, Product
from pinnlab.errors import ConfigurationError


def cut(region: Region, coordinate: str, low: float, high: float, ends: bool = False) -> Region:
    """The part of a region with `low <= coordinate <= high`.

    Args:
        region: a box, a product that has the coordinate in a box, or faces of one that go along the coordinate.
        coordinate: its name.
        low: where the part begins; the region reaches from here, or from further below, to `high` or further.
        high: where it ends.
        ends: whether a face, or points, at the first or last value become those of the part, in place of being refused.

    Raises:
        ConfigurationError: the region is of another kind, or is no longer there between `low` and `high`.

    >>> cut(Interval("x", 0, 1) * Interval("t", 0, 1), "t", 0.25, 0.5)
    Interval('x', 0, 1) * Interval('t', 0.25, 0.5)
    """

    def again(part: Region) -> Region:
        return cut(part, coordinate, low, high, ends) if coordinate in part.coordinates else part

    if isinstance(region, Box):
        return _cut_box(region, coordinate, low, high)
    if isinstance(region, BoxFaces):
        axis = region.coordinates.index(coordinate)
        if ends or all(k != axis for k, _ in region.faces):
            return BoxFaces(_cut_box(region.box, coordinate, low, high), region.faces)
    elif isinstance(region, Product):
        return _product([again(part) for part in region.factors])
    elif isinstance(region, ProductFace):
        parts, place = region.parts, region.place
        if ends or coordinate not in parts[place].coordinates:
            return ProductFace([again(part) for part in parts], place, again(parts[place]))
    elif isinstance(region, RegionUnion):
        return RegionUnion([again(part) for part in region.parts])
    elif isinstance(region, Cloud) and ends and (moved := region.at_ends(coordinate, low, high)) is not None:
        return moved
    raise ConfigurationError(
        f"cut: {region!r} cannot be cut at values of {coordinate}; make it a product with an interval of {coordinate}, "
        f"or a face along it such as boundary('x')"
    )


def overlapping(region: Region, coordinate: str, low: float, high: float) -> Region | None:
    """The part of a region with `low <= coordinate <= high`, as far as it reaches; None where it does not reach there.

    Args:
        region: as for `cut`.
        coordinate: its name.
        low: where the part begins, at the earliest.
        high: where it ends, at the latest.

    Raises:
        ConfigurationError: the region is of another kind.
    """
    if isinstance(region, RegionUnion):
        parts = [part for own in region.parts if (part := overlapping(own, coordinate, low, high)) is not None]
        return RegionUnion(parts) if parts else None
    ends = _ends(region, coordinate)
    if ends is None:
        return cut(region, coordinate, low, high)
    slack = 1e-9 * (ends[1] - ends[0])
    first, last = max(low, ends[0]), min(high, ends[1])
    return cut(region, coordinate, first, last) if last - first > slack else None


def _ends(region: Region, coordinate: str) -> tuple[float, float] | None:
    """Where a region begins and ends, if it can be cut."""
    box = region.box if isinstance(region, BoxFaces) else region
    if isinstance(box, Box):
        axis = box.coordinates.index(coordinate)
        return box.low[axis], box.high[axis]
    parts = region.factors if isinstance(region, Product) else region.parts if isinstance(region, ProductFace) else ()
    return next((_ends(part, coordinate) for part in parts if coordinate in part.coordinates), None)


def _product(factors: list[Region]) -> Region:
    domains = [factor for factor in factors if isinstance(factor, Domain)]
    return Product(*domains)


def _cut_box(box: Box, coordinate: str, low: float, high: float) -> Box:
    axis = box.coordinates.index(coordinate)
    slack = 1e-9 * box.sides[axis]
    if not box.low[axis] - slack <= low < high <= box.high[axis] + slack:
        raise ConfigurationError(
            f"cut: {coordinate} must stay within {box.low[axis]:g} and {box.high[axis]:g}, got {low:g} to {high:g}"
        )

    def replaced(corner: tuple[float, ...], value: float) -> list[float]:
        return [value if k == axis else x for k, x in enumerate(corner)]

    below, above = replaced(box.low, low), replaced(box.high, high)
    if isinstance(box, Interval):
        return box.between(below[0], above[0])
    return Box(box.coordinates, below, above)
