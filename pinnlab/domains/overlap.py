"""What two domains have in common, and which points of a face lie beside a domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pinnlab.domains.base import Region
from pinnlab.domains.rules import Rule, gauss_line, joined, sobol

LOOKED_AT = 2**12
"""Points of each boundary by which it is found whether one domain lies in the other, or apart from it."""
MEASURED_BY = 2**18
"""Points by which a common part is measured otherwise: to about 1e-4 of the box around it."""
ON = 1e-9
"""Distance that counts as on a boundary, relative to the size of the domain."""


class Solid(Protocol):
    """A domain, as far as its room for others is asked for."""

    coordinates: tuple[str, ...]
    parameters: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    measure: float

    def inside(self, points: Tensor) -> Tensor:
        """As of a domain."""

    def signed_distance(self, points: Tensor) -> Tensor:
        """As of a domain."""

    def boundary(self, *coordinates: str) -> Any:
        """As of a domain."""


def on_line(domain: Solid, count: int) -> Rule:
    """Gauss-Legendre points, about `count`, in the pieces of a line that a domain of one coordinate is."""
    ends, _ = domain.boundary(*domain.coordinates).quadrature(1)
    low, high = ends[:, 0].sort().values.reshape(-1, 2).T
    numbers = (count * (high - low) / (high - low).sum()).round().clamp_min(1).int().tolist()
    lines = zip(low, high - low, map(gauss_line, numbers), strict=True)
    nodes, weights = joined([(a + size * x, size * w) for a, size, (x, w) in lines])
    return nodes, weights * (domain.measure / weights.sum())


def overlap(one: Solid, other: Solid) -> float:
    """The measure of what two domains with the same coordinates have in common.

    Exact where one lies in the other, or none has a part in the other, or both are axis-parallel boxes.
    """
    sides = [min(b, d) - max(a, c) for a, b, c, d in zip(one.low, one.high, other.low, other.high, strict=True)]
    if min(sides) <= 0:
        return 0.0
    if all(_fills_its_box(domain) for domain in (one, other)):
        return math.prod(sides)
    own, others = _looked_at(other.boundary()), _looked_at(one.boundary())
    theirs_in, mine_in = one.inside(own), other.inside(others)
    if not mine_in.any() and (theirs_in.all() or not theirs_in.any()):
        return other.measure if theirs_in.all() else 0.0
    if not theirs_in.any() and mine_in.all():
        return one.measure
    corner = torch.tensor([max(a, c) for a, c in zip(one.low, other.low, strict=True)], dtype=torch.float64)
    points = corner + torch.tensor(sides, dtype=torch.float64) * sobol(len(sides), MEASURED_BY)[0]
    return math.prod(sides) * float((one.inside(points) & other.inside(points)).double().mean())


def bounds(operation: str, one: Solid, other: Solid) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A bounding box of two domains' difference (that of the first), intersection or union (tight)."""
    if operation == "-":
        return one.low, one.high
    inner, outer = (max, min) if operation == "&" else (min, max)
    return tuple(map(inner, one.low, other.low)), tuple(map(outer, one.high, other.high))


def parameters_of(domains: Sequence[Solid]) -> tuple[str, ...]:
    """The coordinates that are parameters in one of several domains with the same coordinates."""
    return tuple(name for name in domains[0].coordinates if any(name in domain.parameters for domain in domains))


def _fills_its_box(domain: Solid) -> bool:
    return math.isclose(domain.measure, math.prod(b - a for a, b in zip(domain.low, domain.high, strict=True)))


def _looked_at(face: Region) -> Tensor:
    """Points all over a boundary."""
    return face.from_unit(sobol(face.unit_dim, LOOKED_AT)[0] if face.unit_dim else torch.empty(1, 0).double())


@dataclass(frozen=True)
class Beside:
    """A test of points of a face: whether they lie inside of a domain, or outside.

    Attributes:
        domain: the domain.
        within: whether those inside count, or those outside.
        shared: which of those on its boundary count: "same", where both normals agree; "against", where they do not; or
            None.
    """

    domain: Any
    within: bool
    shared: str | None = None

    def __call__(self, points: Tensor, normals: Tensor) -> Tensor:
        """Which points count, `(n,)`."""
        if not len(points):
            return torch.zeros(0, dtype=torch.bool, device=points.device)
        size = max(b - a for a, b in zip(self.domain.low, self.domain.high, strict=True))
        on = self.domain.signed_distance(points).abs() <= ON * size
        kept = self.domain.inside(points) == self.within
        if not bool(on.any()):
            return kept
        whole = self.domain.boundary(*self.domain.coordinates)
        on[on.clone()] = whole.distance(points[on]) <= ON * size  # not where two parts of the domain meet
        agree = (whole.normals(points[on]) * normals[on]).sum(1) > 0
        kept[on] = False if self.shared is None else agree == (self.shared == "same")
        return kept


def touch(one: Solid, other: Solid) -> bool:
    """Whether two domains share a part of their boundaries from two sides, as two boxes side by side."""
    face = one.boundary()
    points = _looked_at(face)
    apart, both = (
        Beside(other, within=False, shared=shared)(points, face.normals(points)) for shared in (None, "against")
    )
    return bool((both & ~apart).any())
