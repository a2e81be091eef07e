"""Finds a `laplacian()` that is none: it sums second derivatives, also by a time or a radius as by a length."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from pinnlab.derivatives.fields import TIME
from pinnlab.problems.base import Problem

TIMES = ("time", "tau")
"""What times are called beside t."""
RADII = ("r", "rho")
ANGLES = ("theta", "phi", "varphi")


def warn_of_laplacians(problem: Problem) -> None:
    """Warns of conditions that sum second derivatives over a time, beside a derivative by it, or in polar coordinates.

    A Laplacian in cylindrical coordinates whose first derivative by the radius stands beside it may be whole.
    """
    for name, wanted in problem.wanted.items():
        summed = {column for axes in wanted.laplacians for column in axes}
        summed |= {column for sample in wanted.samples for column in sample.axes}
        named = {problem.coordinates[column]: column for column in sorted(summed)}
        first = {coordinate for coordinate, column in named.items() if (column,) in wanted.partials}
        second = {coordinate for coordinate, column in named.items() if (column, column) in wanted.partials}
        for what in (*_of_times(list(named), first | second), *_of_radii(list(named), first)):
            warnings.warn(f"condition {name!r}: its Laplacian {what}", stacklevel=2)


def _of_times(summed: list[str], others: set[str]) -> Iterator[str]:
    for coordinate in summed:
        if coordinate.lower() in TIMES and coordinate in others:
            places = ", ".join(repr(other) for other in summed if other != coordinate)
            yield (
                f"sums over {coordinate!r}, too, as only {TIME!r} is taken for a time; call that {TIME!r}, or name the "
                f"places: laplacian({places})"
            )


def _of_radii(summed: list[str], first: set[str]) -> Iterator[str]:
    angles = [coordinate for coordinate in summed if coordinate.lower() in ANGLES]
    for coordinate in summed:
        if coordinate.lower() in RADII and (angles or coordinate not in first):
            yield (
                f"sums second derivatives by {', '.join(map(repr, summed))} as by lengths; with a radius write it out, "
                "such as u.d('r', 'r') + u.d('r') / r + u.d('theta', 'theta') / r**2"
            )
