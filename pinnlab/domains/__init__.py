"""Where points live: intervals, boxes, disks, balls, their products with time, and their boundaries."""

from pinnlab.domains.ball import Ball, Disk, Sphere
from pinnlab.domains.base import Domain, Region
from pinnlab.domains.box import Box, BoxFaces, Interval
from pinnlab.domains.product import Product, ProductFace, Union

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
