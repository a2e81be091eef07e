"""Finds jumps that a derivative leaves out: `(k(x) * u.x).d("x")` where k jumps, `u.xx` of an ansatz with a kink.

By the rules of calculus the derivative of a jump is zero on both sides of it, so that such a residual vanishes for a
flux that is another one on each side: the loss falls, and the solution is wrong.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import MultiIndex, Wanted, partials
from pinnlab.derivatives.multi_index import one_lower
from pinnlab.derivatives.watched import watching
from pinnlab.domains import Region
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

_COLUMNS = 8
"""The coordinates along which an ansatz is looked at, of hundreds."""

Values = Callable[[Tensor], Tensor]
"""Takes points `(n, d)` to several functions there, `(n, m)`."""
OnLine = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Takes places `(k,)` on a line to the functions there, `(k, m)`, and whether these count, `(k,)`."""


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


def warn_of_bent_ansatz(problem: Problem, trial: Callable[..., Tensor], engine: str, device: torch.device) -> None:
    """Warns of an ansatz that jumps, or has a slope that does, where a condition differentiates that once more.

    The sum of the kink of `relu(1 - x)` and a smooth network solves no equation of order two, whatever the loss says.

    Args:
        problem: where parts of its domain are coupled by `Continuity` nothing is said.
        trial: the ansatz around a network, `trial(points, network=...)`; smooth functions stand in for that.
        engine: of its derivatives, see `partials`.
        device: where its coefficients are.
    """
    if problem.ansatz is None or any(isinstance(c, Continuity) for c in problem.conditions.values()):
        return
    smooth = functools.partial(trial, network=lambda points: _wave(points).expand(-1, len(problem.unknowns)))
    for name, condition in problem.conditions.items():
        wanted, region = problem.wanted[name], condition.region
        indices = wanted.partials | {(axis, axis) for axes in wanted.laplacians for axis in axes}
        for rest, column in sorted({pair for index in indices for pair in one_lower(index)}):
            if region is None or not region.is_full_dimensional or column >= _COLUMNS:
                continue
            asked = Wanted(frozenset({rest} if rest else ()))

            def values(points: Tensor, rest: MultiIndex = rest, asked: Wanted = asked) -> Tensor:
                with torch.no_grad():
                    found = partials(smooth, points.to(device), asked, engine)
                return (found.partials[rest] if rest else found.value).cpu()

            place = _along(problem, region, column, values)
            if place is not None:
                what = f"its derivative by {', '.join(problem.coordinates[i] for i in rest)}" if rest else "it"
                warnings.warn(
                    f"ansatz: {what} jumps at {place}, where condition {name!r} differentiates once more and leaves "
                    "the jump out; make the ansatz smooth, leave the conditions with a kink to the loss, or use Weak "
                    "(docs/terms.md)",
                    stacklevel=2,
                )
                return


def _wave(points: Any) -> Any:
    """A smooth, positive function of points `(n, d)`, which may be a jet, as a column."""
    return torch.sin(points.sum(-1, keepdim=True) + 1) + 2


def _jump(problem: Problem, condition: Condition) -> str | None:
    """Where an expression jumps along a coordinate by which it is differentiated; None for nowhere."""
    region = condition.region
    if region is None or not region.is_full_dimensional:
        return None
    residual, _ = residual_of_stand_ins(problem, condition)
    for column in range(len(problem.coordinates)):

        def values(points: Tensor, column: int = column) -> Tensor:
            with watching() as seen:
                residual(condition.rows(points))
            found = [value.reshape(len(points), -1) for value, by in seen if by == column]
            return torch.cat(found, 1) if found else points[:, :0]

        place = _along(problem, region, column, values)
        if place is not None:
            return place
    return None


def _along(problem: Problem, region: Region, column: int, values: Values) -> str | None:
    """Where functions of points jump inside of a region, on lines along a coordinate; None for nowhere."""
    domain = problem.domain
    aside = torch.zeros(len(domain.coordinates), dtype=torch.float64)
    aside[column] = 1e-6 * (domain.high[column] - domain.low[column])
    for start in few_points(region, _LINES, seed=5):

        def on_line(places: Tensor, start: Tensor = start) -> tuple[Tensor, Tensor]:
            points = start.repeat(len(places), 1)
            points[:, column] = places
            inside = region.contains(points - aside, 0.0) & region.contains(points + aside, 0.0)  # not at its border
            return values(points).nan_to_num(0.0, 0.0, 0.0), inside

        place = _where(on_line, domain.low[column], domain.high[column])
        if place is not None:
            return f"{domain.coordinates[column]} = {place:.4g}"
    return None


def _where(values: OnLine, low: float, high: float) -> float | None:
    """Where one of several functions of a number jumps, by cutting the step with its largest change again and again.

    Args:
        values: takes `(k,)` numbers to `(k, m)`, and whether each counts; others may jump.
        low: where the functions begin.
        high: where they end.
    """
    first, changes = _changes(values, places := torch.linspace(low, high, _PLACES, dtype=torch.float64))
    for number in range(first.shape[1]):
        largest, step = changes[:, number].max(0)
        beside = changes[max(step - 1, 0) : step + 2, number]
        if largest <= _SMALL * first[:, number].abs().max() or largest < 1.5 * beside[beside >= 0].min():
            continue  # of a smooth function they are nearly as large
        ends, change = places[step : step + 2], largest
        for _ in range(_ROUNDS):
            finer = torch.linspace(float(ends[0]), float(ends[1]), _PARTS + 1, dtype=torch.float64)
            change, step = _changes(values, finer)[1][:, number].max(0)
            ends = finer[step : step + 2]
        if 0.5 * largest <= change <= 2 * largest:  # a smooth function hardly changes now, a pole changes more
            return float(ends.mean())
    return None


def _changes(values: OnLine, places: Tensor) -> tuple[Tensor, Tensor]:
    """The values, and how much they change from each place to the next; -1 where one of the two does not count."""
    found, counts = values(places)
    return found, torch.where((counts[1:] & counts[:-1])[:, None], found.diff(dim=0).abs(), -1.0)
