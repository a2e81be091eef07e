"""The residual of functions that stand in for the unknowns: what is found of a problem before it has a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from pinnlab.derivatives import Field, Partials, Wanted
from pinnlab.derivatives.sampling import in_order
from pinnlab.domains import Domain
from pinnlab.problems.coefficients import Coefficient, first_guesses
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.given import Function
from pinnlab.problems.unknowns import Unknown

_COUNT = 5  # rows: enough that a mean, a sum and the largest of them all differ from the row itself

Computed = Callable[[Tensor], Partials]
"""Takes points `(n, d)` to the functions' values there, and the derivatives that a condition needs."""


class Posed(Protocol):
    """A `Problem`, for those who look at one that is being built: it imports them."""

    domain: Domain
    unknowns: tuple[str, ...]
    wanted: dict[str, Wanted]
    expressive: set[str]
    coefficients: dict[str, Coefficient]
    given: dict[str, Function]
    living: dict[str, Unknown]
    past: Any

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The names of the columns of points."""


def residual_of_stand_ins(
    problem: Posed, condition: Condition, factors: Mapping[str, Tensor] = MappingProxyType({})
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The residual of smooth functions as a function of rows `(n, d + k) -> (n, equations)`, and a few rows.

    Args:
        problem: whose unknowns and coefficients the functions and numbers stand for.
        condition: of the problem.
        factors: numbers near 1, by name: an unknown is multiplied by its own, to a coefficient, which may be zero, what
            is beyond 1 is added.
    """
    rows = condition.rows(condition.some_points(_COUNT, seed=1))[:_COUNT]
    scales = torch.stack([factors.get(name, torch.ones((), dtype=torch.float64)) for name in problem.unknowns])
    guesses = first_guesses(problem.coefficients, rows)
    coefficients = {name: value + (factors.get(name, 1.0) - 1.0) for name, value in guesses.items()}
    return residual_of(problem, condition, lambda at: _stand_ins(problem, condition, at, scales), coefficients), rows


def residual_of(
    problem: Posed,
    condition: Condition,
    computed: Computed,
    coefficients: Mapping[str, Tensor] = MappingProxyType({}),
    asked: Computed | None = None,
) -> Callable[[Tensor], Tensor]:
    """The residual of functions that are no network's, as a function of rows `(n, d + k) -> (n, equations)`.

    Args:
        problem: whose unknowns they stand for.
        condition: of the problem.
        computed: the functions.
        coefficients: their values, by name.
        asked: the functions at points that the condition's own function asks for, `u.at(t=t - 1)`; default: the same.
    """
    d = len(problem.coordinates)

    def at(points: Tensor, extras: Tensor, computed: Computed) -> Evaluation:
        values = computed(points)
        return Evaluation(
            fields={u: Field(u, problem.coordinates, values, i) for i, u in enumerate(problem.unknowns)},
            coordinates=problem.coordinates,
            points=points,
            extras=extras,
            coefficients=coefficients,
            elsewhere=lambda moved: at(moved, extras, computed),
            expressions=condition.name in problem.expressive,
            given=problem.given,
            asked=lambda moved: at(moved, extras, asked or computed),
        )

    return lambda rows: torch.stack(list(condition.residual(at(rows[:, :d], rows[:, d:], computed))), -1)


def _stand_ins(problem: Posed, condition: Condition, points: Tensor, scales: Tensor) -> Partials:
    """Positive, smooth functions of the point in place of the unknowns and of each of their derivatives."""
    low, high = points.new_tensor(problem.domain.low), points.new_tensor(problem.domain.high)
    place = (points - low) / (high - low)
    rates = torch.arange(1, len(problem.coordinates) + 1, dtype=points.dtype).sqrt()
    angle = (place * rates).sum(-1, keepdim=True)
    unknowns = torch.arange(len(problem.unknowns), dtype=points.dtype)
    wanted = problem.wanted[condition.name]

    def one(number: int) -> Tensor:
        return (1 + 0.5 * torch.sin((1 + 0.3 * number) * angle + unknowns + number)) * scales.to(points.dtype)

    partials = {index: one(k) for k, index in enumerate(sorted(wanted.partials), start=1)}
    laplacians = {axes: one(-k) for k, axes in enumerate(sorted(wanted.laplacians), start=1)}
    samples = {sample: one(-k) for k, sample in enumerate(in_order(wanted.samples), start=1 + len(laplacians))}
    return Partials(one(0), partials, laplacians, samples)
