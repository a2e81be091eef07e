"""Finds residuals that couple points: a mean over the batch, a running sum, a division by the largest value.

Points come in batches, in blocks of a batch and one by one (for Jacobian rows), so that such a residual would be
another one on every path. It is found before training, with stand-ins for the unknowns: smooth functions of the point.
An `Integral` has one row that brings all of its points, and so couples none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from pinnlab.derivatives import Field, Partials
from pinnlab.derivatives.sampling import in_order
from pinnlab.errors import ConfigurationError
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation

_COUNT = 5  # rows: enough that a mean, a sum and the largest of them all differ from the row itself
_SAME = 1e-6  # of the largest residual: far above round-off, far below what a mean of five changes


def check_pointwise(problem: Problem) -> None:
    """Refuses a condition whose residual at a point depends on the other points.

    Raises:
        ConfigurationError: there is one.
    """
    for name, condition in problem.conditions.items():
        residual, rows = residual_of_stand_ins(problem, condition)
        if len(rows) > 1 and not _is_random(residual, rows) and couples_rows(residual, rows):
            raise ConfigurationError(
                f"condition {name!r}: its residual at a point depends on the other points; a residual must be "
                "pointwise; use the condition Integral for means and integrals"
            )


def random_conditions(problem: Problem) -> list[str]:
    """The names of the conditions whose residual is another one at every evaluation."""
    return [name for name, c in problem.conditions.items() if _is_random(*residual_of_stand_ins(problem, c))]


def couples_rows(function: Callable[[Tensor], Tensor], rows: Tensor, accuracy: float = _SAME) -> bool:
    """Whether some row of a function's result depends on other rows, or on their order or number.

    Args:
        function: `(n, d) -> (n, m)`, the same at every call.
        rows: `(n, d)`; the function must work for all of them together.
        accuracy: relative differences up to this are round-off.
    """
    together = function(rows)
    order = torch.arange(len(rows), device=rows.device).flip(0).roll(1)
    finite = together[together.isfinite()].abs()
    tolerance = accuracy * max(float(finite.max()) if len(finite) else 0.0, 1e-6)
    try:
        others = [function(rows[order])[order.argsort()], torch.cat([function(row[None]) for row in rows])]
    except Exception:  # what fails for one row, or for rows in another order, needs the others
        return True
    return not all(
        other.shape == together.shape and torch.allclose(other, together, rtol=0.0, atol=tolerance, equal_nan=True)
        for other in others
    )


def _is_random(function: Callable[[Tensor], Tensor], rows: Tensor) -> bool:
    return not torch.equal(function(rows).nan_to_num(), function(rows).nan_to_num())


def residual_of_stand_ins(
    problem: Problem, condition: Condition, factors: Mapping[str, Tensor] = MappingProxyType({})
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The residual of smooth functions as a function of rows `(n, d + k) -> (n, equations)`, and a few rows.

    Args:
        problem: whose unknowns and coefficients the functions and numbers stand for.
        condition: of the problem.
        factors: numbers that unknowns and coefficients are multiplied by, by name.
    """
    rows = condition.rows(condition.some_points(_COUNT, seed=1))[:_COUNT]
    scales = torch.stack([factors.get(name, torch.ones((), dtype=torch.float64)) for name in problem.unknowns])
    coefficients = {
        name: found.value(rows.new_tensor(found.raw_initial())) * factors.get(name, 1.0)
        for name, found in problem.coefficients.items()
    }
    return residual_of(problem, condition, lambda at: _stand_ins(problem, condition, at, scales), coefficients), rows


def residual_of(
    problem: Problem,
    condition: Condition,
    computed: Callable[[Tensor], Partials],
    coefficients: Mapping[str, Tensor] = MappingProxyType({}),
) -> Callable[[Tensor], Tensor]:
    """The residual of functions that are no network's, as a function of rows `(n, d + k) -> (n, equations)`.

    Args:
        problem: whose unknowns they stand for.
        condition: of the problem.
        computed: takes points `(n, d)` to the functions' values and the derivatives that the condition needs.
        coefficients: their values, by name.
    """
    d = len(problem.coordinates)

    def at(points: Tensor, extras: Tensor) -> Evaluation:
        values = computed(points)
        return Evaluation(
            fields={u: Field(u, problem.coordinates, values, i) for i, u in enumerate(problem.unknowns)},
            coordinates=problem.coordinates,
            points=points,
            extras=extras,
            coefficients=coefficients,
            elsewhere=lambda moved: at(moved, extras),
            expressions=condition.name in problem.expressive,
            given=problem.given,
        )

    return lambda rows: torch.stack(list(condition.residual(at(rows[:, :d], rows[:, d:]))), -1)


def _stand_ins(problem: Problem, condition: Condition, points: Tensor, scales: Tensor) -> Partials:
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
