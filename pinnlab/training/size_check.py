"""Tells before the start of terms of the loss in units that do not fit, such as W/m^3 in one and kelvin in another."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from pinnlab.objective.residuals import ResidualSystem

_COUNT = 16
"""Points of each condition that are looked at."""
_APART = 1e8
"""Ratio of two terms of the loss from which on a run is told; ten thousand between the residuals."""
_LARGE = 1e8
"""What the largest term is then, at least: networks begin of order one, and so do residuals in fitting units.

Without it a network that was trained before, whose terms are small, some far more than others, would be told, too.
"""


def warn_of_sizes(system: ResidualSystem, weights: Tensor) -> None:
    """Warns of an equation or a condition that the others drown, because of the units that they are written in.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    terms, holds = {}, (10 * torch.finfo(next(system.trial.parameters()).dtype).eps) ** 2
    for (name, condition), weight in zip(system.problem.conditions.items(), weights.tolist(), strict=True):
        size = 0.0 if condition.is_energy else weight * _mean_square(system, name)
        if holds < size < torch.inf:
            terms[name] = size
    if not terms:
        return
    small, large = min(terms, key=terms.__getitem__), max(terms, key=terms.__getitem__)
    if terms[large] > max(_LARGE, _APART * terms[small]):
        warnings.warn(
            f"conditions {large!r} and {small!r} begin with {terms[large]:.1e} and {terms[small]:.1e} in the loss, so "
            f"that {small!r} will not be learned; bring unknowns to order one by an ansatz, such as 300 + 100 * u, and "
            "residuals by dividing them by their largest term",
            stacklevel=2,
        )


def _mean_square(system: ResidualSystem, name: str) -> float:
    condition, like = system.problem.conditions[name], next(system.trial.parameters())
    rows = condition.rows(condition.some_points(_COUNT, seed=0))[:_COUNT]
    with torch.no_grad():
        parts = system.condition_residuals(name, rows.to(like), system.trial.tensors_apart(), enhanced=False)
    return float(torch.stack(parts, -1).double().square().sum(-1).mean())
