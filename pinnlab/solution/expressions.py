"""Expressions of the unknowns: a function of fields, evaluated with the derivatives that it turns out to need."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField, Field, Partials, RecordingField, Wanted
from pinnlab.derivatives.expressions import Recorded, needs_expressions
from pinnlab.errors import ConfigurationError
from pinnlab.objective.residuals import two_points
from pinnlab.problems.base import Problem
from pinnlab.problems.evaluation import Evaluation, asks_for
from pinnlab.solution.places import home_of, warn_of_untrained

WHERE = "the expression"

Derivatives = Callable[[Tensor, Wanted], Partials]


def evaluate(
    problem: Problem,
    derivatives: Derivatives,
    coefficients: Mapping[str, Tensor],
    expression: Callable[..., Any],
    points: Tensor,
    more: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The values of an expression at points.

    Args:
        problem: gives the names.
        derivatives: value and derivatives of the trial function, `(points, wanted)`.
        coefficients: the problem's coefficients as they stand.
        expression: takes unknowns (as fields: `u`, `u.x`, `u.laplacian()`), coordinates, coefficients and `points` by
            name, in torch operations.
        points: `(n, d)`.
        more: further arguments by name, `(n, ...)`.

    Returns:
        `(n,)`, or `(n, k)` where the expression gives so many numbers for each point.

    Raises:
        ConfigurationError: it asks for a name that is not there, or gives no numbers for each point.
    """
    given = more or {}
    called = functools.partial(_called, problem, coefficients, expression)
    wanted, differentiated = _wanted(problem, called, points, given)
    computed = derivatives(points, wanted)

    def values(other: str | None = None) -> Tensor:
        """Those of the expression; with something else for an unknown at the points themselves."""

        def fields(there: Tensor) -> dict[str, AbstractField]:
            own = computed if there is points else derivatives(there, wanted)
            changed = {other: _something_else(own)} if there is points else {}
            return {u: Field(u, problem.coordinates, changed.get(u, own), i) for i, u in enumerate(problem.unknowns)}

        return _per_point(called(points, fields, differentiated, given), points)

    found = values()
    for name in problem.unknowns:
        if asks_for(expression, name) and (home := home_of(problem, name)) is not None:
            seen = (found != values(name)).reshape(len(points), -1).any(-1)  # a choice by places may leave it out
            warn_of_untrained(problem.domain, points[seen], home, f"lie where {name} does not live", 5)
    return found


def _something_else(computed: Partials) -> Partials:
    """Other values and derivatives."""
    other = {
        key: {index: 2 * values + 1 for index, values in getattr(computed, key).items()}
        for key in ("partials", "laplacians", "samples")
    }
    gradient = None if computed.gradient is None else 2 * computed.gradient + 1
    return Partials(2 * computed.value + 1, **other, gradient=gradient)


def _wanted(
    problem: Problem, called: Callable[..., Any], points: Tensor, more: Mapping[str, Tensor]
) -> tuple[Wanted, bool]:
    """The derivatives that an expression asks for in a dry run, and whether it differentiates what it computes.

    Args:
        problem: gives the names.
        called: `_called` with all of its arguments that are the expression's.
        points: those that it is wanted at, of which two stand in.
        more: further arguments there.
    """
    trial = two_points(problem.domain, points)
    two = {name: rows[:1].expand(2, *rows.shape[1:]) for name, rows in more.items()}
    recorded: list[RecordingField] = []

    def fields(there: Tensor) -> dict[str, AbstractField]:
        value = trial.new_ones(2).as_subclass(Recorded)
        own = {u: RecordingField(u, problem.coordinates, value) for u in problem.unknowns}
        recorded.extend(own.values())
        return {**own}

    differentiated = needs_expressions(lambda wrapped: called(trial.as_subclass(Recorded), fields, wrapped, two))
    wanted = Wanted()
    for field in recorded:
        wanted |= field.wanted
    if random := [sample.name for sample in wanted.samples if sample.is_random]:
        raise ConfigurationError(f"{WHERE}: {min(random)} is for training; leave out sample")
    return wanted, differentiated


def _called(
    problem: Problem,
    coefficients: Mapping[str, Tensor],
    expression: Callable[..., Any],
    points: Tensor,
    fields: Callable[[Tensor], Mapping[str, AbstractField]],
    differentiated: bool,
    more: Mapping[str, Tensor],
) -> Any:
    def at(points: Tensor) -> Evaluation:
        own, extras = fields(points), points[:, :0]
        return Evaluation(own, problem.coordinates, points, extras, coefficients, at, differentiated, problem.given)

    return at(points).call(expression, WHERE, **more)


def _per_point(result: Any, points: Tensor) -> Tensor:
    if isinstance(result, (tuple, list)):
        return torch.stack([_per_point(part, points) for part in result], -1)
    values = result if isinstance(result, Tensor) else points.new_tensor(result)
    if values.ndim == 0:
        return values.expand(len(points))
    if len(values) != len(points):
        raise ConfigurationError(
            f"{WHERE}: must give a number for each of {len(points)} points, got shape {tuple(values.shape)}"
        )
    return values
