"""Regions made of regions: several side by side, and the faces of products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pinnlab.domains import rules
from pinnlab.domains.base import Region, evenly, pick_part, shares_to_edges
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError


class ProductFace(Region):
    """A face of one factor times the other factors. `Product.boundary` and `Product.face` build it.

    Args:
        factors: the factors of the product, two or more.
        place: which of them is replaced.
        face: the region on that factor's boundary that replaces it.
    """

    def __init__(self, factors: Sequence[Region], place: int, face: Region) -> None:
        self.parts: tuple[Region, ...] = (*factors[:place], face, *factors[place + 1 :])
        self.place = place
        self.coordinates = tuple(name for part in self.parts for name in part.coordinates)
        self._points = Columns(self.parts)
        self.unit_dim = self._points.unit_dim
        self.measure = math.prod(part.measure for part in self.parts)
        self._envelope = math.prod(part.envelope for part in self.parts)

    @property
    def dimension(self) -> int:
        """That of its parts together."""
        return sum(part.dimension for part in self.parts)

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._points.candidates(unit)

    def _quadrature(self, count: int) -> Rule:
        rule = self._points.quadrature(count)
        return super()._quadrature(count) if rule is None else rule

    def _distance(self, points: Tensor) -> Tensor:
        return self._points.distance(points)

    def _normals(self, points: Tensor) -> Tensor:
        columns = [torch.zeros_like(rows) for rows in self._points.split(points)]
        face, rows = self.parts[self.place], self._points.split(points)[self.place]
        columns[self.place] = face.normals(rows)
        return torch.cat(columns, dim=1)

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.parts))


class RegionUnion(Region):
    """Several regions of equal dimension with the same coordinates that meet in no area of their own.

    `pinnlab.domains.Union` builds it, or a domain where its parts are domains.

    The first unit column chooses the region in proportion to the measures and is then used again, so
    every region gets its share of a stratified design to within one point when the design is evenly
    spaced in that column, and to less than two when it is random within its layers (Sobol').

    Args:
        parts: the regions; all finite or none.

    Raises:
        ConfigurationError: no region, different coordinates or dimensions, or finite and infinite ones mixed.
    """

    def __init__(self, parts: Sequence[Region]) -> None:
        self.parts: tuple[Region, ...] = tuple(
            p for part in parts for p in (part.parts if isinstance(part, RegionUnion) else (part,))
        )
        if not self.parts:
            raise ConfigurationError("parts: a union needs at least one region")
        self.coordinates = self.parts[0].coordinates
        if any(part.coordinates != self.coordinates for part in self.parts):
            raise ConfigurationError("parts: the regions of a union need the same coordinates")
        if len({part.dimension for part in self.parts}) > 1:
            raise ConfigurationError("parts: a union cannot mix domains with boundaries")
        counts = [part.count for part in self.parts if part.count is not None]
        if 0 < len(counts) < len(self.parts):
            raise ConfigurationError("parts: a union cannot mix finite regions with others")
        self.count = sum(counts) if counts else None
        self.unit_dim = max(part.unit_dim for part in self.parts)
        self.measure = math.fsum(part.measure for part in self.parts)
        self._envelope = math.fsum(part.envelope for part in self.parts)
        # By the envelopes: of each part as much is rejected as it has too many candidates.
        self._edges = shares_to_edges([part.envelope for part in self.parts])

    @property
    def dimension(self) -> int:
        """That of each of its parts."""
        return self.parts[0].dimension

    def pieces(self) -> Sequence[Region]:
        """Those of its parts."""
        return [piece for part in self.parts for piece in part.pieces()]

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.count is not None:
            return torch.cat([part.from_unit(unit) for part in self.parts]), None
        chosen, first = pick_part(unit[:, 0], self._edges)
        again = torch.cat([first[:, None], unit[:, 1:]], dim=1)
        points = unit.new_empty(len(unit), self.dim)
        all_kept: Tensor | None = None
        for k, part in enumerate(self.parts):
            rows = chosen == k
            points[rows], kept = part.candidates(again[rows, : part.unit_dim])
            if kept is not None:
                all_kept = torch.ones_like(rows) if all_kept is None else all_kept
                all_kept[rows] = kept
        return points, all_kept

    def _quadrature(self, count: int) -> Rule:
        shares = [(part, part.measure / self.measure) for part in self.parts]
        return rules.joined([part.quadrature(max(round(share * count), 1)) for part, share in shares])

    def _distance(self, points: Tensor) -> Tensor:
        return self._distances(points).amin(dim=1)

    def _normals(self, points: Tensor) -> Tensor:
        nearest = self._distances(points).argmin(dim=1)
        normals = torch.stack([part.normals(points) for part in self.parts], dim=1)
        return normals[torch.arange(len(points), device=points.device), nearest]

    def _distances(self, points: Tensor) -> Tensor:
        return torch.stack([part.distance(points) for part in self.parts], dim=1)

    def __repr__(self) -> str:
        return f"Union({', '.join(map(repr, self.parts))})"


class Columns:
    """The unit cube and the points of a product, cut into the columns of its parts.

    At most one part is finite. It takes no column of its own: the first one chooses its point and is
    then used again.
    """

    def __init__(self, parts: Sequence[Region]) -> None:
        self.parts = tuple(parts)
        self.unit_dim = sum(part.unit_dim for part in self.parts)

    def spread_evenly(self) -> Columns:
        """Those of its parts with uniform points."""
        even = evenly(self.parts)
        return self if even is self.parts else Columns(even)

    def split(self, points: Tensor) -> tuple[Tensor, ...]:
        """`(n, dim)` points -> the columns of each part."""
        return points.split([part.dim for part in self.parts], dim=1)

    def blocks(self) -> list[slice]:
        """The columns of each part."""
        ends = list(itertools.accumulate(part.dim for part in self.parts))
        return [slice(end - part.dim, end) for part, end in zip(self.parts, ends, strict=True)]

    def candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        """`(n, unit_dim)` -> `(n, dim)`, and which of them all parts keep; None where none rejects any."""
        chosen = None
        count = next((part.count for part in self.parts if part.count is not None), None)
        if count is not None:
            chosen, first = pick_part(unit[:, 0], shares_to_edges([1.0] * count))
            unit = torch.cat([first[:, None], unit[:, 1:]], dim=1)
        pieces = unit.split([part.unit_dim for part in self.parts], dim=1)
        found = [part.candidates(piece) for part, piece in zip(self.parts, pieces, strict=True)]
        columns = [row if part.count is None else row[chosen] for part, (row, _) in zip(self.parts, found, strict=True)]
        kept = [mask for _, mask in found if mask is not None]
        return torch.cat(columns, dim=1), torch.stack(kept).all(0) if kept else None

    def quadrature(self, count: int) -> Rule | None:
        """The product of the parts' rules, about `count` nodes; None where a part would have too few."""
        dimension = sum(part.dimension for part in self.parts)
        if not rules.pays(dimension, count):
            return None
        share = count / math.prod(part.count or 1 for part in self.parts)
        counts = [max(round(share ** (part.dimension / max(dimension, 1))), 1) for part in self.parts]
        return rules.product([part.quadrature(number) for part, number in zip(self.parts, counts, strict=True)])

    def distance(self, points: Tensor) -> Tensor:
        """`(n, dim)` -> `(n,)`: the parts are orthogonal, so their distances add in squares."""
        distances = [part.distance(rows) for part, rows in zip(self.parts, self.split(points), strict=True)]
        return torch.linalg.vector_norm(torch.stack(distances, dim=1), dim=1)
