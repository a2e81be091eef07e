"""Where points live: boxes, disks, balls, polygons, meshes; what they make together; and their boundaries."""

from pinnlab.domains.ball import Ball, Disk, RadialBall, Sphere
from pinnlab.domains.base import Region
from pinnlab.domains.bases import Basis, Chebyshev, Cosines, Fourier, KarhunenLoeve
from pinnlab.domains.box import Box, BoxFaces, GradedInterval, Interval, Parameter
from pinnlab.domains.cloud import Cloud
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.domain import Combined, Domain, Moved, Planar, Product
from pinnlab.domains.functions import FunctionSpace, function_spaces
from pinnlab.domains.mesh import Mesh, Surface
from pinnlab.domains.moved import MovedFace
from pinnlab.domains.plane_curves import PlaneCurves
from pinnlab.domains.shapes import Ellipse, Polygon, Triangle
from pinnlab.domains.smooth import SmoothDistance, distance
from pinnlab.domains.trimmed import Trimmed
from pinnlab.domains.union import DomainUnion, Union

__all__ = [
    "Ball",
    "Basis",
    "Box",
    "BoxFaces",
    "Chebyshev",
    "Cloud",
    "Combined",
    "Cosines",
    "Disk",
    "Domain",
    "DomainUnion",
    "Ellipse",
    "Fourier",
    "FunctionSpace",
    "GradedInterval",
    "Interval",
    "KarhunenLoeve",
    "Mesh",
    "Moved",
    "MovedFace",
    "Parameter",
    "Planar",
    "PlaneCurves",
    "Polygon",
    "Product",
    "ProductFace",
    "RadialBall",
    "Region",
    "RegionUnion",
    "SmoothDistance",
    "Sphere",
    "Surface",
    "Triangle",
    "Trimmed",
    "Union",
    "distance",
    "function_spaces",
]
