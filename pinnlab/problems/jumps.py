"""Finds jumps that the derivative of an expression leaves out: `(k(x) * u.x).d("x")` where k jumps.

By the rules of calculus the derivative of a jump is zero on both sides of it, so that such a residual vanishes for a
flux that is another one on each side: the loss falls, and the solution is wrong.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.derivatives.expressions import watching
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.stand_ins import residual_of_stand_ins
from pinnlab.samplers.sequences import few_points

_LINES = 3
"""Through the region, for each coordinate."""
_PLACES = 129
"""On each of them at first."""
_PARTS, _ROUNDS = 8, 6
"""In how many parts the step with the largest change is cut, and how often: a step of a line becomes 4e-6 of itself."""
_SMALL = 1e-9
"""Changes that are no more, relative to the values, are round-off."""

Values = Callable[[Tensor], Tensor]


def warn_of_jumps(problem: Problem) -> None:
    """Warns of conditions that differentiate an expression by a coordinate along which it jumps.

    Looked at are a few lines through the region, with smooth functions in place of the unknowns. Where parts of the
    domain are coupled by `Continuity` nothing is said, as it may be what holds across the jump.
    """
    if any(isinstance(condition, Continuity) for condition in problem.conditions.values()):
        return
    for name in sorted(problem.expressive):
        place = _jump(problem, problem.conditions[name])
        if place is not None:
            warnings.warn(
                f"condition {name!r}: differentiates an expression that jumps, at {place}, and the derivative leaves "
                "the jump out; use Weak, Continuity with Tiles, or an unknown for each side (docs/terms.md)",
                stacklevel=2,
            )


def _jump(problem: Problem, condition: Condition) -> str | None:
    """Where an expression jumps along a coordinate by which it is differentiated; None for nowhere."""
    region = condition.region
    if region is None or not region.is_full_dimensional:
        return None
    residual, _ = residual_of_stand_ins(problem, condition)
    domain, starts = problem.domain, few_points(region, _LINES, seed=5)
    for column, start in itertools.product(range(len(domain.coordinates)), starts):

        def values(places: Tensor, column: int = column, start: Tensor = start) -> Tensor:
            points = start.repeat(len(places), 1)
            points[:, column] = places
            with watching() as seen:
                residual(condition.rows(points))
            found = [value.reshape(len(places), -1) for value, index in seen if column in index]
            return torch.cat(found, 1) if found else points[:, :0]

        place = _where(values, domain.low[column], domain.high[column])
        if place is not None:
            return f"{domain.coordinates[column]} = {place:.4g}"
    return None


def _where(values: Values, low: float, high: float) -> float | None:
    """Where one of several functions of a number jumps, by cutting the step with its largest change again and again.

    Args:
        values: takes `(k,)` numbers to `(k, m)`.
        low: where the functions begin.
        high: where they end.
    """
    places = torch.linspace(low, high, _PLACES, dtype=torch.float64)
    first = values(places).nan_to_num(0.0, 0.0, 0.0)
    changes = first.diff(dim=0).abs()
    for number in range(first.shape[1]):
        largest, step = changes[:, number].max(0)
        if largest <= _SMALL * first[:, number].abs().max():
            continue
        ends, change = places[step : step + 2], largest
        for _ in range(_ROUNDS):
            finer = torch.linspace(float(ends[0]), float(ends[1]), _PARTS + 1, dtype=torch.float64)
            change, step = values(finer)[:, number].nan_to_num(0.0, 0.0, 0.0).diff().abs().max(0)
            ends = finer[step : step + 2]
        if 0.5 * largest <= change <= 2 * largest:  # a smooth function hardly changes now, a pole changes more
            return float(ends.mean())
    return None
