"""Tells before the start of terms of the loss in units that do not fit, such as W/m^3 in one and kelvin in another."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from pinnlab.objective.residuals import ResidualSystem
from pinnlab.problems.stand_ins import residual_of_stand_ins
from pinnlab.training.network_checks import tensors_close_by

_COUNT = 16
"""Points of each condition that are looked at."""
_APART = 1e8
"""Ratio of two terms of the loss from which on a run is told; ten thousand between the residuals."""
_LARGE = 1e8
"""What the largest term is then, at least: networks begin of order one, and so do residuals in fitting units.

Without it a network that was trained before, whose terms are small, some far more than others, would be told, too.
"""
_FAINT = 1e-10
"""The loss of a network that is not trained where a run is told: its gradient is a hundredth of the `eps` of Adam."""
_FAR = 1e3
"""What a coefficient without bounds is, at least, where a run is told."""
_NOTHING = 1e-10
"""What zero leaves of the values in the loss, at most, where a run is told: the network begins 1e5 times too large."""


def warn_of_sizes(system: ResidualSystem, weights: Tensor) -> None:
    """Warns of an equation or a condition that the others drown, because of the units that they are written in.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    holds = (10 * torch.finfo(next(system.trial.parameters()).dtype).eps) ** 2
    terms = {name: size for name, size in _terms(system, weights).items() if holds < size < torch.inf}
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


def warn_of_tiny_solutions(system: ResidualSystem, weights: Tensor) -> None:
    """Warns where zero nearly solves the problem: the loss falls by many orders before it sees the solution at all.

    What zero leaves is compared with what the network leaves of conditions without derivatives, as those of a rough
    network may be large in any units.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    problem = system.problem
    if problem.energies():
        return
    zeros = dict.fromkeys(problem.unknowns, torch.zeros((), dtype=torch.float64))
    begun = left = 0.0
    for (name, condition), weight in zip(problem.conditions.items(), weights.tolist(), strict=True):
        residual, rows = residual_of_stand_ins(problem, condition, zeros)
        with torch.no_grad():
            left += weight * float(residual(rows).square().sum(-1).mean())
        if not system.wanted[name]:
            begun += weight * _mean_square(system, name)
    if 0 < left < _NOTHING * begun < torch.inf:
        warnings.warn(
            f"{' and '.join(zeros)} = 0 would leave {left:.1e} of a loss that begins with {begun:.1e}, so that a "
            f"solution, or a load beside a stiff equation, of about {math.sqrt(left / begun):.0e} is hardly learned; "
            "write the problem in units in which it is of order one, or what is stiff, as a shear force, as an unknown",
            stacklevel=2,
        )


def warn_of_tiny_losses(system: ResidualSystem, weights: Tensor) -> None:
    """Warns of a loss so small, in the units of its residuals, that most optimizers do not move at all.

    Adam divides by the gradient plus 1e-8, and damping of Gauss-Newton methods is of order one. Looked at is a network
    close by, since the loss of one that was trained before is small in any units.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    if system.problem.energies():
        return
    loss = sum(_terms(system, weights, tensors_close_by(system.trial)).values())
    if 0 < loss < _FAINT:
        warnings.warn(
            f"the loss begins with about {loss:.0e}, which most optimizers take for zero, so that little or nothing is "
            "learned; divide residuals by their largest term, or raise model.weights, until it is of order one",
            stacklevel=2,
        )


def warn_of_large_coefficients(system: ResidualSystem) -> None:
    """Warns of unknown coefficients without bounds that begin far above one: they hardly move.

    Steps of optimizers, and what damps them, are the same for all parameters, which are of order one in a network. A
    decay rate of 5,000, to become 13,000, came to 5,007 in 60 steps of `LevenbergMarquardt`; divided by 10,000 it was
    found to all digits. Of small ones nothing is said: a first guess of 1e-8 may stand for zero.

    Args:
        system: as training begins.
    """
    for name, coefficient in system.problem.coefficients.items():
        own = system.trial.coefficients[name]
        largest = float(own.new_tensor(coefficient.raw_initial()).abs().max())  # not what was found since
        if own.requires_grad and coefficient.bounds is None and largest >= _FAR:
            warnings.warn(
                f"coefficient {name!r} begins at {largest:g}, and most optimizers move parameters by about one, so "
                f"that it hardly changes; give it bounds, or write it as a multiple: Coefficient(1.0), and {largest:g} "
                f"* {name}",
                stacklevel=2,
            )


def _terms(system: ResidualSystem, weights: Tensor, tensors: dict[str, Tensor] | None = None) -> dict[str, float]:
    """What conditions with a weight, but energies, add to the loss; with `tensors` as of `_mean_square`."""
    return {
        name: weight * _mean_square(system, name, tensors)
        for (name, condition), weight in zip(system.problem.conditions.items(), weights.tolist(), strict=True)
        if weight and not condition.is_energy
    }


def _mean_square(system: ResidualSystem, name: str, tensors: dict[str, Tensor] | None = None) -> float:
    """Of a condition's residuals at a few points, of the trial function as it is or with other parameters."""
    condition, like = system.problem.conditions[name], next(system.trial.parameters())
    rows = condition.rows(condition.some_points(_COUNT, seed=0))[:_COUNT]
    with torch.no_grad():
        parts = system.condition_residuals(name, rows.to(like), tensors or system.trial.tensors_apart(), enhanced=False)
    return float(torch.stack(parts, -1).double().square().sum(-1).mean())
