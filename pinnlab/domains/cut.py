"""A region between two values of one of its coordinates, such as a domain in a window of time."""

from __future__ import annotations

from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces, Interval
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
        ends: whether a face at the first or last value becomes that of the part, in place of being refused.

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
    raise ConfigurationError(
        f"cut: {region!r} cannot be cut at values of {coordinate}; make it a product with an interval of {coordinate}, "
        f"or a face along it such as boundary('x')"
    )


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
