"""Finds residuals that couple points: a mean over the batch, a running sum, a division by the largest value.

Points come in batches, in blocks of a batch and one by one (for Jacobian rows), so that such a residual would be
another one on every path. It is found before training, with stand-ins for the unknowns: smooth functions of the point.
An `Integral` has one row that brings all of its points, and so couples none.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.problems.base import Problem
from pinnlab.problems.stand_ins import residual_of_stand_ins

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
    finite = together[together.isfinite()].detach().abs()
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
