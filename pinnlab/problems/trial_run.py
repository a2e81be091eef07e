"""Runs a condition on stand-ins for the unknowns when its problem is built.

So it is found which derivatives it needs, at how many points, and whether it differentiates expressions of them. What
it returns is checked for two and for three points, so that what works in one run only is refused with what to write.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pinnlab.derivatives import RecordingField, Wanted
from pinnlab.derivatives.expressions import Recorded, needs_expressions
from pinnlab.errors import ConfigurationError, UnsupportedOperationError
from pinnlab.numerics.user_functions import explaining
from pinnlab.problems.checks import finite
from pinnlab.problems.coefficients import Coefficient, first_guesses
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.given import Function
from pinnlab.samplers.sequences import few_points


def trial_run(
    condition: Condition,
    unknowns: Sequence[str],
    coordinates: tuple[str, ...],
    coefficients: Mapping[str, Coefficient],
    given: Mapping[str, Function],
) -> tuple[Wanted, bool]:
    """Runs a condition on two and on three of its points.

    Args:
        condition: that has its name.
        unknowns: their names.
        coordinates: the names of the columns of the points.
        coefficients: the trainable constants by name.
        given: data by name.

    Returns:
        The derivatives of the unknowns that it needs, and whether it differentiates expressions.

    Raises:
        ConfigurationError: its points have other coordinates, it fails, or it returns no real tensor `(n,)` for each
            equation.
    """
    several, d = _rows(condition, coordinates), len(coordinates)
    recorded: list[RecordingField] = []
    evaluated: list[int] = []  # numbers of points

    def evaluation(rows: Tensor, points: Tensor, expressions: bool) -> Evaluation:
        value = torch.ones(len(points), dtype=points.dtype).as_subclass(Recorded)
        fields = {u: RecordingField(u, coordinates, value) for u in unknowns}
        recorded.extend(fields.values())
        evaluated.append(len(points))

        def asked(moved: Tensor) -> Evaluation:
            condition.looks_elsewhere = True
            return evaluation(rows, moved, expressions)

        return Evaluation(
            fields=fields,
            coordinates=coordinates,
            points=points.as_subclass(Recorded),
            extras=rows[:, d:],
            coefficients={k: v.as_subclass(Recorded) for k, v in first_guesses(coefficients, rows).items()},
            elsewhere=lambda moved: evaluation(rows, moved, expressions),
            expressions=expressions,
            given=given,
            asked=asked,
        )

    def run(expressions: bool) -> None:
        recorded.clear()
        condition.looks_elsewhere = False
        for rows in (several[:2], several):  # another number of points takes nothing for granted
            evaluated.clear()
            at = evaluation(rows, rows[:, :d], expressions)
            _check(condition, condition.residual(at), len(rows))
            condition.points_per_row = -(-sum(evaluated) // len(rows))
        condition.examine(at)
        for name, values in condition.targets_at(at).items():
            finite(f"condition {condition.name!r}: target of {name}", values)

    try:
        with explaining(f"condition {condition.name!r}"):
            differentiated = needs_expressions(run)
    except UnsupportedOperationError as error:
        what = str(error).partition(":")[0]
        raise ConfigurationError(
            f"condition {condition.name!r}: derivative of an expression: {what}; write it with other operations"
        ) from error
    wanted = Wanted()
    for field in recorded:
        wanted |= field.wanted
    return _without_needless_laplacians(wanted), differentiated


def _rows(condition: Condition, coordinates: tuple[str, ...]) -> Tensor:
    """Three rows of the condition, or as many as it has."""
    points = condition.fixed_points()
    if points is None and condition.region is not None:
        points = few_points(condition.region, 3, seed=0)
    named = coordinates if condition.region is None else condition.region.coordinates
    if points is None or points.shape[-1] != len(coordinates) or named != coordinates:
        fewer = condition.region is None and points is not None and points.shape[-1] < len(coordinates)
        any_will_do = "; of one that its unknowns do not depend on, any value in the domain will do" if fewer else ""
        raise ConfigurationError(
            f"condition {condition.name!r}: its points need the {len(coordinates)} coordinates {', '.join(coordinates)}"
            f"{any_will_do}"
        )
    return condition.rows(points)[:3]


def _check(condition: Condition, residuals: Sequence[Tensor], count: int) -> None:
    for part in residuals:
        if inspect.ismethod(part):
            raise ConfigurationError(
                f"condition {condition.name!r} returns the method {part.__name__}; write its parentheses, "
                f"{part.__name__}()"
            )
        if not isinstance(part, Tensor) or part.shape != (count,):
            shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ConfigurationError(
                f"condition {condition.name!r} must return tensors of shape (n,), one per equation, not {shape}"
            )
        if part.dtype == torch.bool or not (part.is_floating_point() or part.is_complex()):
            raise ConfigurationError(f"condition {condition.name!r} returns {part.dtype}, and must return real numbers")
        if part.dtype in (torch.float32, torch.float16, torch.bfloat16):
            raise ConfigurationError(
                f"condition {condition.name!r} returns {part.dtype} for float64 points, which loses digits; leave "
                "casts out of it, and give tables in float64"
            )
        if part.is_complex():
            raise ConfigurationError(
                f"condition {condition.name!r} is complex; return its real and its imaginary part as two residuals"
            )


def _without_needless_laplacians(wanted: Wanted) -> Wanted:
    """Drops a Laplacian whose second derivatives are all wanted anyway, and one-coordinate Laplacians."""
    partials = set(wanted.partials) | {(a[0], a[0]) for a in wanted.laplacians if len(a) == 1}
    kept = [axes for axes in wanted.laplacians if not all((i, i) in partials for i in axes)]
    return Wanted(frozenset(partials), frozenset(kept), wanted.samples)
