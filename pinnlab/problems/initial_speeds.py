"""Finds speeds at the first time that were given by `Neumann`: its normal leads back in time, so that signs change."""

from __future__ import annotations

import warnings

from pinnlab.derivatives.fields import TIME
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Neumann

_COUNT = 4
"""Points of each condition that are looked at."""


def warn_of_initial_speeds(problem: Problem) -> None:
    """Warns of `Neumann` conditions at the first time whose values are not 0: they say -u_t = g."""
    if TIME not in problem.coordinates:
        return
    d, column = len(problem.coordinates), problem.coordinates.index(TIME)
    for name, condition in problem.conditions.items():
        if isinstance(condition, Neumann) and condition.looks_along_normals:
            normals = condition.rows(condition.some_points(_COUNT, seed=0))[:, d:]
            if bool((normals[:, column] == -1).all()):
                first = next(iter(condition.targets))
                warnings.warn(
                    f"condition {name!r}: at the first time Neumann says -d{first}/dt = g, as the outward normal leads "
                    f"back; for a speed v there write Residual(face, lambda {first}: {first}.t - v)",
                    stacklevel=2,
                )
