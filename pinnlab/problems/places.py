"""Finds conditions beside the domain, and normals that lead into it, when their problem is built."""

from __future__ import annotations

import warnings

from torch import Tensor

from pinnlab.domains import Cloud, Domain
from pinnlab.domains.base import place_in_words
from pinnlab.errors import ConfigurationError
from pinnlab.problems.conditions import Condition
from pinnlab.problems.living import unknowns_of
from pinnlab.problems.stand_ins import Posed
from pinnlab.samplers.sequences import few_points

_COUNT = 64
"""Points of a condition that are looked at, of very many coordinates fewer."""
_NUMBERS = 2**20
"""In these points."""
_MARGIN = 0.1
"""Of the bounding box's sides: so far out a point may lie, as measurements and scanned surfaces are rough."""
_DEEP = 0.01
"""Of the shortest side: so far into a hole a region may reach, as shapes approximate each other."""
_STEP = 1e-4
"""Of the shortest side: how far from a boundary it is looked for the domain."""


def check_places(problem: Posed, condition: Condition) -> None:
    """Refuses a condition no point of which lies in the domain, or whose normals lead into the domain.

    A point of a boundary whose normal leads from outside the domain into it has the other side's normal: that of a
    hole, whose own boundary leads out of the hole. So it is of the part where an unknown lives, if the condition is of
    such unknowns only. Otherwise, as on an interface, normals may lead anywhere within the domain. Warns of one that
    reaches out of the domain, or into its holes.

    Args:
        problem: the `Problem`.
        condition: one of its own.

    Raises:
        ConfigurationError: it is such a condition.
    """
    region, domain = condition.reach, problem.domain
    count = min(_COUNT, max(_NUMBERS // domain.dim, 4))
    points = condition.fixed_points() if region is None else few_points(region, count, seed=3)
    if points is None:
        return
    outside = _outside(domain, points)
    if region is not None and region.is_full_dimensional and not isinstance(region, Cloud):
        outside |= ~domain.contains(points, _DEEP * _shortest(domain))  # as in a hole
    first = ""
    if outside.any():
        first = place_in_words(domain.coordinates, points[outside][0])
        if outside.all():
            raise ConfigurationError(
                f"condition {condition.name!r}: none of its points lies in the domain, see {first}"
            )
    if region is not None and condition.looks_along_normals:
        _check_normals(problem, condition, points, region.normals(points))
    if first:
        which = "a part of it lies" if region is not None else f"{int(outside.sum())} of its {len(points)} points lie"
        warnings.warn(f"condition {condition.name!r}: {which} outside of the domain, see {first}", stacklevel=4)


def _check_normals(problem: Posed, condition: Condition, points: Tensor, normals: Tensor) -> None:
    if _lead_inwards(problem.domain, points, normals):
        raise ConfigurationError(
            f"condition {condition.name!r}: its normals lead into the domain, and must lead out of it; the boundary of "
            "a hole is domain.boundary(on=hole), with the domain's normals"
        )
    parts = {name: own.on for name, own in problem.living.items() if isinstance(own.on, Domain)}
    used = unknowns_of(problem, condition) if parts else []
    if used and all(name in parts and _lead_inwards(parts[name], points, normals) for name in used):
        raise ConfigurationError(
            f"condition {condition.name!r}: its normals lead into the part where {used[0]} lives, and must lead out of "
            f"it; take the boundary of {parts[used[0]]!r}"
        )


def _outside(domain: Domain, points: Tensor) -> Tensor:
    """Which points lie far outside of the bounding box."""
    low, high = points.new_tensor(domain.low), points.new_tensor(domain.high)
    margin = _MARGIN * (high - low)
    return ((points < low - margin) | (points > high + margin)).any(1)


def _shortest(domain: Domain) -> float:
    return min(high - low for low, high in zip(domain.low, domain.high, strict=True))


def _lead_inwards(domain: Domain, points: Tensor, normals: Tensor) -> bool:
    """Whether some normals lead from outside of the domain into it, and none the other way."""
    step = _STEP * _shortest(domain)
    before, behind = domain.inside(points + step * normals), domain.inside(points - step * normals)
    return bool((before & ~behind).any()) and not bool((behind & ~before).any())
