"""Where points live: intervals, boxes, disks, balls, their products with time, and their boundaries."""

from pinnlab.domains.ball import Ball, Disk, Sphere
from pinnlab.domains.base import Region
from pinnlab.domains.box import Box, BoxFaces, Interval
from pinnlab.domains.composite import ProductFace, Union
from pinnlab.domains.domain import Domain, Product

__all__ = [
    "Ball",
    "Box",
    "BoxFaces",
    "Disk",
    "Domain",
    "Interval",
    "Product",
    "ProductFace",
    "Region",
    "Sphere",
    "Union",
]
