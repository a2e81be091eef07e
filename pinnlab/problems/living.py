"""Finds conditions that use an unknown where it does not live, or is not known, when their problem is built."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.derivatives import Partials
from pinnlab.domains.base import place_in_words
from pinnlab.errors import ConfigurationError
from pinnlab.problems.coefficients import first_guesses
from pinnlab.problems.conditions import Condition
from pinnlab.problems.stand_ins import Computed, Posed, residual_of

_COUNT = 256
"""Points of a condition that are tried."""

Absent = Callable[[Tensor], Tensor]
"""At which points which unknowns are not known: of `(n, d)` points `(n, 1)` or `(n, unknowns)` booleans."""


def check_living(problem: Posed, condition: Condition) -> None:
    """Refuses a condition whose residual depends on an unknown at points where that does not live.

    The unknown is not a number there, one unknown at a time: a residual that becomes none either depends on it. One
    that leaves it out by `torch.where` does not.

    Args:
        problem: the `Problem`, its derivatives found.
        condition: one of its own.

    Raises:
        ConfigurationError: it does.
    """
    bounded = [name for name, own in problem.living.items() if own.on is not None]
    if not bounded:
        return
    rows = condition.rows(condition.some_points(_COUNT, seed=2))
    plain = _residual(problem, condition, rows, _nowhere)
    for name in bounded:
        own = torch.tensor([name == other for other in problem.unknowns])

        def beside(points: Tensor, name: str = name, own: Tensor = own) -> Tensor:
            elsewhere = ~problem.living[name].lives_at(points)
            if problem.past is not None:  # of windows before it was found when the whole problem was built
                elsewhere &= points[:, problem.past.column] >= problem.past.low
            return elsewhere[:, None] & own

        poisoned = _residual(problem, condition, rows, beside)
        if bool((poisoned.isnan() & ~plain.isnan()).any()):
            raise ConfigurationError(
                f"condition {condition.name!r}: uses {name} where it does not live; it lives on "
                f"{problem.living[name].on!r}"
            )


def check_reach(problem: Posed, condition: Condition) -> None:
    """Refuses a condition that looks at other points, `u.at(t=t - 1)`, and depends on one where no solution is.

    The same way. That is outside of the domain, and of the windows of time before it. Points that depend on unknowns
    are not looked at: nobody knows yet where they are.

    Args:
        problem: the `Problem`, its derivatives found.
        condition: one of its own.

    Raises:
        ConfigurationError: it does.
    """
    if not condition.looks_elsewhere:
        return
    asked: list[tuple[Tensor, Tensor]] = []
    known = problem.domain if problem.past is None else problem.past.domain

    def beyond(there: Tensor) -> Tensor:
        outside = ~known.contains(there.detach()) & (not there.requires_grad)
        asked.append((there, outside))
        return outside[:, None]

    rows = condition.rows(condition.some_points(_COUNT, seed=2))
    rows = rows[problem.domain.contains(rows[:, : problem.domain.dim])]
    with torch.enable_grad():
        poisoned = _residual(problem, condition, rows, _nowhere, beyond)
    depends = (poisoned.isnan() & ~_residual(problem, condition, rows, _nowhere).isnan()).any(1)
    if bool(depends.any()):
        places = [p[out & depends] if len(p) == len(depends) else p[out] for p, out in asked]
        place = place_in_words(problem.coordinates, torch.cat(places)[0])
        raise ConfigurationError(
            f"condition {condition.name!r}: looks at {place}, outside of the domain {known!r}; write "
            "torch.where(inside, u.at(...), what is known there)"
        )


def unknowns_of(problem: Posed, condition: Condition) -> list[str]:
    """The unknowns on which a condition's residual depends, in the problem's order; found the same way.

    Args:
        problem: the `Problem`, its derivatives found.
        condition: one of its own.
    """
    rows = condition.rows(condition.some_points(_COUNT, seed=2))
    plain = _residual(problem, condition, rows, _nowhere).isnan()

    def matters(name: str) -> bool:
        own = torch.tensor([[name == other for other in problem.unknowns]])
        poisoned = _residual(problem, condition, rows, lambda points: own.expand(len(points), -1))
        return bool((poisoned.isnan() & ~plain).any())

    return [name for name in problem.unknowns if matters(name)]


def looks_along(problem: Posed, condition: Condition, column: int) -> bool:
    """Whether a condition looks at points with other values of a coordinate than its own points have."""
    if not condition.looks_elsewhere:
        return False
    asked: list[Tensor] = []

    def noted(there: Tensor) -> Tensor:
        asked.append(there[:, column])
        return _nowhere(there)

    rows = condition.rows(condition.some_points(_COUNT, seed=2))
    _residual(problem, condition, rows, _nowhere, noted)
    return not all(torch.equal(there, rows[:, column]) for there in asked)


def _nowhere(points: Tensor) -> Tensor:
    return torch.zeros(len(points), 1, dtype=torch.bool)


def _residual(
    problem: Posed, condition: Condition, rows: Tensor, absent: Absent, there: Absent | None = None
) -> Tensor:
    """The residuals `(n, equations)` of unknowns that are one, but NaN where they are absent.

    Args:
        problem: whose unknowns they are.
        condition: of the problem.
        rows: of the condition.
        absent: where they are.
        there: the same at points that the condition's function asks for; default: the same.
    """
    guesses = first_guesses(problem.coefficients, rows)
    own, asked = (_ones(problem, condition, where) for where in (absent, there or absent))
    return residual_of(problem, condition, own, guesses, asked)(rows)


def _ones(problem: Posed, condition: Condition, absent: Absent) -> Computed:
    wanted = problem.wanted[condition.name]

    def computed(points: Tensor) -> Partials:
        value = points.new_ones(len(points), len(problem.unknowns)).requires_grad_(torch.is_grad_enabled())
        value = value.masked_fill(absent(points), torch.nan)
        singly, sums = dict.fromkeys(wanted.partials, value), dict.fromkeys(wanted.laplacians, value)
        return Partials(value, singly, sums, dict.fromkeys(wanted.samples, value))

    return computed
