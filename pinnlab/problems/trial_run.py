"""Runs a condition on stand-ins for the unknowns when its problem is built.

So it is found which derivatives it needs, and whether it differentiates expressions of them. What it returns is checked
for two and for three points, so that what works in one run only is refused with what to write.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pinnlab.derivatives import RecordingField, Wanted
from pinnlab.derivatives.expressions import Recorded, needs_expressions
from pinnlab.errors import ConfigurationError, PinnlabError, UnsupportedOperationError
from pinnlab.numerics.compilation import first_line
from pinnlab.problems.checks import finite
from pinnlab.problems.coefficients import Coefficient
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.given import Function
from pinnlab.samplers import Sobol


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

    def evaluation(rows: Tensor, points: Tensor, expressions: bool) -> Evaluation:
        value = torch.ones(len(points), dtype=points.dtype).as_subclass(Recorded)
        fields = {u: RecordingField(u, coordinates, value) for u in unknowns}
        recorded.extend(fields.values())
        return Evaluation(
            fields=fields,
            coordinates=coordinates,
            points=points.as_subclass(Recorded),
            extras=rows[:, d:],
            coefficients={k: c.value(rows.new_tensor(c.raw_initial())) for k, c in coefficients.items()},
            elsewhere=lambda moved: evaluation(rows, moved, expressions),
            expressions=expressions,
            given=given,
        )

    def run(expressions: bool) -> None:
        recorded.clear()
        for rows in (several[:2], several):  # another number of points takes nothing for granted
            at = evaluation(rows, rows[:, :d], expressions)
            _check(condition, condition.residual(at), len(rows))
        condition.examine(at)
        for name, values in condition.targets_at(at).items():
            finite(f"condition {condition.name!r}: target of {name}", values)

    try:
        differentiated = needs_expressions(run)
    except UnsupportedOperationError as error:
        what = str(error).partition(":")[0]
        raise ConfigurationError(
            f"condition {condition.name!r}: derivative of an expression: {what}; write it with other operations"
        ) from error
    except PinnlabError:
        raise
    except Exception as error:  # whatever the user's function raises
        raise ConfigurationError(f"condition {condition.name!r}: {_explained(error)}{_line(error)}") from error
    wanted = Wanted()
    for field in recorded:
        wanted |= field.wanted
    return _without_needless_laplacians(wanted), differentiated


def _rows(condition: Condition, coordinates: tuple[str, ...]) -> Tensor:
    """Three rows of the condition, or as many as it has."""
    points = condition.fixed_points()
    if points is None and condition.region is not None:
        points = Sobol().sample(condition.region, 3, seed=0)
    named = coordinates if condition.region is None else condition.region.coordinates
    if points is None or points.shape[-1] != len(coordinates) or named != coordinates:
        raise ConfigurationError(
            f"condition {condition.name!r}: its points need the {len(coordinates)} coordinates {', '.join(coordinates)}"
        )
    return condition.rows(points)[:3]


def _check(condition: Condition, residuals: Sequence[Tensor], count: int) -> None:
    for part in residuals:
        if not isinstance(part, Tensor) or part.shape != (count,):
            shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ConfigurationError(
                f"condition {condition.name!r} must return tensors of shape (n,), one per equation, not {shape}"
            )
        if part.dtype == torch.bool or not (part.is_floating_point() or part.is_complex()):
            raise ConfigurationError(f"condition {condition.name!r} returns {part.dtype}, and must return real numbers")
        if part.is_complex():
            raise ConfigurationError(
                f"condition {condition.name!r} is complex; return its real and its imaginary part as two residuals"
            )


_CAUSES = {
    "does not support ufuncs": "numpy cannot take part in it; write torch.sin in place of np.sin",
    "Boolean value of Tensor": "it decides by the values of a tensor (if, and, or, min, max); write torch.where, or "
    "torch.maximum",
    "element tensors can be converted": "it makes a number of a tensor (math.sin, float, int); write the function of "
    "torch, as torch.sin",
    "a Tensor with": "it makes a number of a tensor (math.sin, float, int); write the function of torch, as torch.sin",
    "must match": "shapes do not fit; unknowns and coordinates are (n,), points and normal (n, d)",
}
"""What to write where a user's function fails, by words of the error that torch or numpy raises."""


def _explained(error: Exception) -> str:
    said = first_line(error)
    known = next((advice for words, advice in _CAUSES.items() if words in said), None)
    return f"{known} ({said})" if known else f"it fails with {type(error).__name__}: {said}"


def _line(error: Exception) -> str:
    """The last line outside of pinnlab and of installed packages that the error comes from."""
    own = Path(__file__).parents[1]
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if own not in Path(f.filename).parents and "site-packages" not in f.filename]
    users = [frame for frame in outside if Path(frame.filename).suffix == ".py"]
    return f"; see line {users[-1].lineno} of {users[-1].filename}" if users else ""


def _without_needless_laplacians(wanted: Wanted) -> Wanted:
    """Drops a Laplacian whose second derivatives are all wanted anyway, and one-coordinate Laplacians."""
    partials = set(wanted.partials) | {(a[0], a[0]) for a in wanted.laplacians if len(a) == 1}
    kept = [axes for axes in wanted.laplacians if not all((i, i) in partials for i in axes)]
    return Wanted(frozenset(partials), frozenset(kept), wanted.samples)
