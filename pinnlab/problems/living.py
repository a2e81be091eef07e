"""Finds conditions that use an unknown where it does not live, when their problem is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import Field, Partials
from pinnlab.errors import ConfigurationError
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation

_COUNT = 256
"""Points of a condition that are tried."""


def check_living(problem: Any, condition: Condition) -> None:
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
    points = condition.some_points(_COUNT, seed=2)
    rows = condition.rows(points)
    plain = _residual(problem, condition, rows, None)
    for name in bounded:
        poisoned = _residual(problem, condition, rows, name)
        if bool((poisoned.isnan() & ~plain.isnan()).any()):
            raise ConfigurationError(
                f"condition {condition.name!r}: uses {name} where it does not live; it lives on "
                f"{problem.living[name].on!r}"
            )


def _residual(problem: Any, condition: Condition, rows: Tensor, name: str | None) -> Tensor:
    """The residuals `(n, equations)` of unknowns that are one, but for one that is NaN where it does not live."""
    wanted, d = problem.wanted[condition.name], len(problem.coordinates)

    def at(points: Tensor) -> Evaluation:
        value = points.new_ones(len(points), len(problem.unknowns))
        if name is not None:
            value[~problem.living[name].lives_at(points), problem.unknowns.index(name)] = torch.nan
        computed = Partials(value, dict.fromkeys(wanted.partials, value), dict.fromkeys(wanted.laplacians, value))
        computed.samples.update(dict.fromkeys(wanted.samples, value))
        return Evaluation(
            fields={u: Field(u, problem.coordinates, computed, i) for i, u in enumerate(problem.unknowns)},
            coordinates=problem.coordinates,
            points=points,
            extras=rows[:, d:],
            coefficients={k: c.value(points.new_tensor(c.raw_initial())) for k, c in problem.coefficients.items()},
            elsewhere=at,
            expressions=condition.name in problem.expressive,
            given=problem.given,
        )

    return torch.stack(list(condition.residual(at(rows[:, :d]))), -1)
