"""Scores of points: how much a condition has to gain from a point there.

A score is any function (residual system, name of the condition, rows `(n, d + k)`) -> `(n,)`, not negative. It sees
this rank's share of the rows, and need not know of the others. It is called without a tape: one that takes gradients
enables it, as those here do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from pinnlab.errors import unknown
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import beside

Score = Callable[[ResidualSystem, str, Tensor], Any]  # gives a Tensor; the command asks functions for annotations else
ScoreName = Literal["residual", "residual_gradient", "solution_gradient"]

CHUNK = 10_000
"""Rows that are differentiated at a time, to bound the memory that a large pool takes."""


def residual(system: ResidualSystem, name: str, rows: Tensor) -> Tensor:
    """The size of the residual, `(n,)`."""
    return system.score(name, rows)


@torch.enable_grad()
def residual_gradient(system: ResidualSystem, name: str, rows: Tensor) -> Tensor:
    """The norm of the residual's gradient with respect to all coordinates, the time too, `(n,)`.

    It is large at the edges of a front, where the residual itself may pass through zero. It costs one more
    derivative of the residual: about three times as much as its size. Of several equations the squares add up.
    """
    d = len(system.problem.coordinates)

    def slopes(points: Tensor, extras: Tensor) -> Tensor:
        return _norms(system.residuals({name: torch.cat([points, extras], -1)})[name], points)

    parts = beside(system.trial, {name: rows})[name].split(CHUNK)
    return torch.cat([slopes(_leaf(part[:, :d]), part[:, d:]) for part in parts])


@torch.enable_grad()
def solution_gradient(system: ResidualSystem, name: str, rows: Tensor) -> Tensor:
    """The norm of the solution's gradient with respect to all coordinates, `(n,)`; of all unknowns together."""
    d = len(system.problem.coordinates)
    points = [_leaf(part[:, :d]) for part in beside(system.trial, {name: rows})[name].split(CHUNK)]
    return torch.cat([_norms(system.trial(part), part) for part in points])


SCORES: Mapping[ScoreName, Score] = MappingProxyType(
    {"residual": residual, "residual_gradient": residual_gradient, "solution_gradient": solution_gradient}
)
"""The scores that have a name."""


def find_score(score: ScoreName | Score) -> Score:
    """The score of a name, or the function itself.

    Raises:
        ConfigurationError: no score has this name.
    """
    if callable(score):
        return score
    if score not in SCORES:
        raise unknown("score", str(score), SCORES)
    return SCORES[score]


def _leaf(points: Tensor) -> Tensor:
    return points.detach().clone().requires_grad_()


def _norms(values: Tensor, points: Tensor) -> Tensor:
    """The Frobenius norm of each row's Jacobian; row i of the values `(n, m)` depends on row i of the points only."""
    squares = torch.zeros_like(points[:, 0])
    for column in values.unbind(-1):
        # A residual may not depend on the points at all, as that of a reaction on an initial guess of zero.
        if column.requires_grad:
            slope = torch.autograd.grad(column.sum(), points, retain_graph=True, allow_unused=True)[0]
            squares = squares if slope is None else squares + slope.square().sum(-1)
    return squares.sqrt()
