"""The ansatz of a problem in a window of time that goes on from the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.problems.base import Problem
from pinnlab.problems.evaluation import asks_for, call_by_name, stacked

_LOOKED_AT = 64
"""Points of the domain by which it is found what an ansatz holds."""


def orders_of_ansatz(problem: Problem, column: int) -> list[int]:
    """How many time derivatives of each unknown at the first time, from none on, the ansatz prescribes: 0, 1 or 2.

    Found by trying it: with a network of zeros and one of ones, at the first time and a little after.

    Args:
        problem: the whole one.
        column: of the time.
    """
    if problem.ansatz is None:
        return [0] * len(problem.unknowns)
    inside, _ = problem.domain.quadrature(_LOOKED_AT)
    step = 1e-4 * (problem.domain.high[column] - problem.domain.low[column])
    sizes = []
    for k in (0, 1, 2):
        at = inside.clone()
        at[:, column] = problem.domain.low[column] + k * step
        sizes.append((_with_constant(problem, at, 1.0) - _with_constant(problem, at, 0.0)).abs().amax(0).tolist())
    return [_order(*size) for size in zip(*sizes, strict=True)]


def _order(first: float, second: float, third: float) -> int:
    """That of an unknown whose ansatz changes by so much with the network, at three times."""
    if third == 0 or first > 1e-3 * third:  # without a network there is nothing to go on with
        return 0
    return 1 if third < 3 * second else 2


def continued_ansatz(
    whole: Problem, column: int, edge: float, orders: Sequence[int], start: Sequence[float] | None
) -> Callable[..., Any]:
    """The ansatz in a window that begins at `edge`; see `Window`.

    Args:
        whole: the problem.
        column: of the time.
        edge: where the window begins.
        orders: what the problem's ansatz prescribes at the first time; unknowns of order 0 keep it as it is.
        start: the unknowns at the edge, if they are the same everywhere; None where the solution before is to be asked,
            the argument `before`.
    """
    first, names = whole.domain.low[column], whole.coordinates

    def continued(**arguments: Any) -> Any:
        points = arguments["points"]
        t, zero = points[:, column], points[:, column] * 0.0
        at_edge = zero + edge
        network = {name: arguments[name] for name in whole.unknowns}
        none = {name: value * 0.0 for name, value in network.items()}

        def of_whole(unknowns: Mapping[str, Any], time: Any) -> Any:
            moved = {**{name: points[:, k] for k, name in enumerate(names)}, names[column]: time}
            where = torch.stack([moved[name] for name in names], -1)
            return _values(whole, {**moved, **unknowns, "points": where})

        if start is None:
            value = arguments["before"](
                torch.stack([at_edge if k == column else points[:, k] for k in range(len(names))], -1)
            )
        else:
            value = torch.stack([zero + number for number in start], -1)
        since = t - edge + first
        result = (
            value + (of_whole(none, t) - of_whole(none, at_edge)) + (of_whole(network, since) - of_whole(none, since))
        )
        as_it_is = result if all(orders) else of_whole(network, t)
        return [(result if order else as_it_is)[:, k] for k, order in enumerate(orders)]

    return continued


def _values(problem: Problem, arguments: Mapping[str, Any]) -> Any:
    """What the ansatz of a whole problem returns, as columns; given data are added."""
    assert problem.ansatz is not None  # who asks has looked
    given = {name: f(arguments["points"]) for name, f in problem.given.items() if asks_for(problem.ansatz, name)}
    return stacked(call_by_name(problem.ansatz, {**arguments, **given}, "ansatz"), "ansatz")


def _with_constant(problem: Problem, points: Tensor, constant: float) -> Tensor:
    columns = {name: points[:, k] for k, name in enumerate(problem.coordinates)}
    network = {name: torch.full_like(points[:, 0], constant) for name in problem.unknowns}
    found: Tensor = _values(problem, {**columns, **network, "points": points})
    return found
