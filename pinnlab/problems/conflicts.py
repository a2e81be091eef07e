"""Finds conditions that give an unknown different values in the same place: the loss then settles between them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Collection

from pinnlab.domains.base import place_in_words
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Dirichlet
from pinnlab.problems.stand_ins import residual_of_stand_ins
from pinnlab.samplers.sequences import few_points

_COUNT = 32
"""Points of each condition that are looked at: corners, where data often disagree, are not among them."""
_SAME = 1e-6
"""Values that differ by less, relative to them and to one, are the same."""


def warn_of_conflicts(problem: Problem, names: Collection[str] | None = None) -> None:
    """Warns of two `Dirichlet` conditions that overlap and disagree, for each pair at one place.

    Args:
        problem: whose conditions they are.
        names: of the conditions that are in the loss; default: all.
    """
    asked = problem.conditions if names is None else names
    given = {name: c for name, c in problem.conditions.items() if name in asked and isinstance(c, Dirichlet)}
    for pair in itertools.combinations(given, 2):
        found = _conflict(problem, *pair) or _conflict(problem, *pair[::-1])
        if found is not None:
            warnings.warn(
                f"conditions {pair[0]!r} and {pair[1]!r} give {found}; leave out one of them there", stacklevel=2
            )


def _conflict(problem: Problem, name: str, other: str) -> str | None:
    """What two conditions say of an unknown at points of the first that lie in the second; None where they agree."""
    one, two = problem.conditions[name], problem.conditions[other]
    if one.region is None or two.region is None:
        return None
    points = few_points(one.region, _COUNT, seed=7)
    points = points[two.region.contains(points)]
    if not len(points):
        return None
    parts = [residual_of_stand_ins(problem, c)[0](c.rows(points)) for c in (one, two)]
    for unknown in one.names():
        if unknown in two.names():
            # Of the same stand-in for the unknown: what is left is the difference of the values.
            own, others = (part[:, list(c.names()).index(unknown)] for part, c in zip(parts, (one, two), strict=True))
            apart = (own - others).abs()
            k = int(apart.argmax())
            if apart[k] > _SAME * max(1.0, float(own.abs().max())):
                where = place_in_words(problem.coordinates, points[k])
                return f"{unknown} values that differ by {float(apart[k]):.3g} at {where}"
    return None
