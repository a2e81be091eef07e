"""How good a solution is: residuals of its problem's conditions, and errors against its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.analysis.metrics import mean_relative_l2
from pinnlab.domains.functions import function_numbers
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import known_solution
from pinnlab.problems.unknowns import known_pair, with_reference
from pinnlab.solution.quantity import Quantity


def residual_of(solution: Any, condition: str, points: Any, coordinates: Mapping[str, Any]) -> Any:
    """The residual of a condition, see `Solution.residual`."""
    if condition not in solution.problem.conditions:
        raise unknown("condition", condition, solution.problem.conditions)
    own = solution.problem.conditions[condition]
    fixed = own.fixed_points()

    def compute(rows: Tensor) -> Tensor:
        found = solution.system.residuals({condition: rows})[condition]
        return found[:, 0] if found.shape[1] == 1 else found

    if fixed is None:
        return Quantity(condition, solution, lambda block: compute(own.rows(block)))(points, **coordinates)
    if points is not None or coordinates:
        raise ConfigurationError(f"residual: {condition} brings its own points; give none")
    return compute(own.rows(fixed).to(solution._like)).numpy(force=True)


def errors_of(solution: Any, points: Any) -> dict[str, float]:
    """The relative L2 errors of unknowns, see `Solution.errors`."""
    problem = solution.problem
    if problem.reference() is None:
        return {}
    where = problem.evaluation_points(points) if isinstance(points, int) else solution._places(points, {}).points
    rows, reference = known_solution(problem, where.to("cpu", torch.float64))
    assert reference is not None  # there is one
    found, function = solution(rows), function_numbers(problem.domain, rows) if isinstance(points, int) else None
    return {
        u: float(mean_relative_l2(*known_pair(found[:, i], reference[:, i]), _known(function, reference[:, i])))
        for u, i in with_reference(problem.unknowns, reference)
    }


def _known(function: Tensor | None, reference: Tensor) -> Tensor | None:
    """The numbers of the functions where the reference is known."""
    return None if function is None else function[~reference.isnan()]
