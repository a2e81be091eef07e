"""Where points live: intervals, boxes, disks, balls, their unions and products with time, and their boundaries."""

from pinnlab.domains.ball import Ball, Disk, Sphere
from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces, Interval, Parameter
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.domain import Domain, Product
from pinnlab.domains.union import DomainUnion, Union

__all__ = [
    "Ball",
    "Box",
    "BoxFaces",
    "Disk",
    "Domain",
    "DomainUnion",
    "Interval",
    "Parameter",
    "Product",
    "ProductFace",
    "Region",
    "RegionUnion",
    "Sphere",
    "Union",
]
