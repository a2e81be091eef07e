"""Finds a time that `laplacian()` takes for a place, because it is not called t: the sum has its second derivative."""

from __future__ import annotations

import warnings

from pinnlab.derivatives.fields import TIME
from pinnlab.problems.base import Problem

TIMES = ("time", "tau")
"""What times are called beside t."""


def warn_of_summed_times(problem: Problem) -> None:
    """Warns of conditions that sum second derivatives over a time, beside a derivative by it."""
    for name, wanted in problem.wanted.items():
        summed = {column for axes in wanted.laplacians for column in axes}
        summed |= {column for sample in wanted.samples for column in sample.axes}
        for column in sorted(summed):
            coordinate = problem.coordinates[column]
            if coordinate.lower() in TIMES and wanted.partials & {(column,), (column, column)}:
                places = ", ".join(repr(problem.coordinates[i]) for i in sorted(summed - {column}))
                warnings.warn(
                    f"condition {name!r}: its Laplacian sums over {coordinate!r}, too, as only {TIME!r} is taken for a "
                    f"time; call that {TIME!r}, or name the places: laplacian({places})",
                    stacklevel=2,
                )
