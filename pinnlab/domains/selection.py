"""Which part of a boundary is meant: by a function of the coordinates, or as that on the boundary of something else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains.base import Region
from pinnlab.domains.composite import ProductFace, RegionUnion
from pinnlab.domains.trimmed import trimmed
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.user_functions import explaining

ON = 1e-8
"""Distance that counts as on another boundary, relative to its size or absolute, whichever is more."""


@dataclass(frozen=True)
class Selection:
    """A test of the points of a boundary and of its normals there.

    Attributes:
        coordinates: the names of the columns of the points that it is asked about.
        where: takes coordinates, `points` or `normal` by name, returns `(n,)` booleans; None for no such test.
        on: regions on one of which a point must lie, with coordinates that are among those of the points; None for
            no such test.
    """

    coordinates: tuple[str, ...]
    where: Callable[..., Any] | None
    on: Sequence[Region] | None

    def __post_init__(self) -> None:
        for region in self.on or ():
            if not isinstance(region, Region) or not set(region.coordinates) <= set(self.coordinates):
                raise ConfigurationError(
                    f"on: must be a domain or a part of a boundary in {', '.join(self.coordinates)}, got {region!r}"
                )

    def names(self) -> set[str]:
        """The coordinates that it looks at."""
        found = {name for region in self.on or () for name in region.coordinates}
        if self.where is None:
            return found
        asked = set(_parameters(self.where))
        return set(self.coordinates) if asked & {"points", "normal"} else found | asked

    def __call__(self, points: Tensor, normals: Tensor) -> Tensor:
        """Which of the points are meant."""
        kept = torch.ones(len(points), dtype=torch.bool, device=points.device)
        if self.where is not None:
            kept &= self._where(points, normals)
        if self.on is not None:
            kept &= torch.stack([self._lies_on(region, points) for region in self.on]).any(0)
        return kept

    def _where(self, points: Tensor, normals: Tensor) -> Tensor:
        assert self.where is not None  # who calls saw to it
        points, normals = points.clone(), normals.clone()  # for the function to write into
        there = {name: points[:, k] for k, name in enumerate(self.coordinates)} | {"points": points, "normal": normals}
        for name in _parameters(self.where):
            if name not in there:
                raise unknown("argument of where", name, there)
        with explaining("where"):
            mask = self.where(**{name: there[name] for name in _parameters(self.where)})
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != points.shape[:1]:
            got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
            raise ConfigurationError(
                "where: must return a tensor with true or false for each point, such as y > 0.5 or "
                f"(x - 1).abs() < 1e-9, got {got}"
            )
        return mask

    def _lies_on(self, region: Region, points: Tensor) -> Tensor:
        columns = points[:, [self.coordinates.index(name) for name in region.coordinates]]
        return region.distance(columns) <= ON * max(1.0, float(columns.abs().max()) if len(columns) else 0.0)


def selected(face: Region, selection: Selection) -> Region | None:
    """The part of a boundary that is meant; None where there is none.

    Of a product's face that is tested by coordinates of one factor alone, the part of that factor's boundary times all
    of the others.
    """
    if isinstance(face, RegionUnion) and face.count is None:
        found = [part for piece in face.parts if (part := selected(piece, selection)) is not None]
        return RegionUnion(found) if len(found) > 1 else found[0] if found else None
    if isinstance(face, ProductFace):
        own = face.parts[face.place]
        if selection.names() <= set(own.coordinates):
            part = selected(own, replace(selection, coordinates=own.coordinates))
            return None if part is None else ProductFace(face.parts, face.place, part)
    return trimmed(face, selection)


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    return list(inspect.signature(function).parameters)
