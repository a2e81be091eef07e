"""The standard errors of the coefficients that a run found from data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pinnlab.analysis.uncertainty import standard_errors
from pinnlab.numerics import distributed
from pinnlab.problems.coefficients import by_number
from pinnlab.problems.observations import Observations
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.trainer_parts import point_store

MOST_PARAMETERS = 3000
"""Of a network, to be measured at the end of a run: eigenvalues of a matrix of that size take some seconds."""

AT_BOUND = 1 / 400
"""The share of its interval that a coefficient may be away from a bound and count as held by it."""


def coefficient_errors(module: Any) -> dict[str, float]:
    """How far the noise in the data moves each coefficient, one standard deviation; see `standard_errors`.

    Args:
        module: the `PINN`, trained to the minimum of its loss.

    Returns:
        By name, of a vector by its numbers, infinite where the data do not determine it, nor a bound lets them; empty
        where there are no coefficients, no data, too few of them to tell their noise, an `Energy` in the loss, or more
        than `MOST_PARAMETERS` parameters. A collective.
    """
    problem, store = module.problem, point_store(module)
    data = [name for name, condition in problem.conditions.items() if isinstance(condition, Observations)]
    trained = module.system.trained()
    names = [name for name in problem.coefficients if f"coefficients.{name}" in trained]
    if not names or not data or store is None or problem.energies():
        return {}
    if sum(shape.numel() for shape in trained.values()) > MOST_PARAMETERS:
        return {}
    around = linearization(module, {name: distributed.shard(rows) for name, rows in store.rows.items()})
    own = {name: _slopes(module, name) for name in names}
    slopes = by_number(own)
    columns = [module.system.column(f"coefficients.{name}") + k for name in names for k in range(own[name].numel())]
    raw = standard_errors(around, data, columns)
    if raw is None:
        return {}
    held = by_number({name: _held(problem.coefficients[name].bounds, own[name]) for name in names}).values()
    if fixed := [column for column, h, error in zip(columns, held, raw.tolist(), strict=True) if h and error >= 1]:
        raw = standard_errors(around, data, columns, fixed)  # what a bound has found scatters no more
        assert raw is not None  # fewer degrees of freedom than before
    errors = zip(slopes.items(), raw.tolist(), strict=True)
    return {name: slope * error if error < math.inf else math.inf for (name, slope), error in errors}


def _held(bounds: tuple[float, float] | None, slopes: Tensor) -> Tensor:
    """Which numbers of a coefficient are within a four-hundredth of their interval from a bound, by slopes, 1 or 0.

    There the logistic map bends over one unit of the parameter: beyond an error of one its slope says nothing.
    """
    return torch.zeros_like(slopes) if bounds is None else (slopes < AT_BOUND * (bounds[1] - bounds[0])).to(slopes)


def _slopes(module: Any, name: str) -> Tensor:
    """The derivative of each number of a coefficient with respect to the unbounded parameter that stands for it."""
    with torch.enable_grad():
        parameter = module.trial.coefficients[name].detach().clone().requires_grad_()
        (slopes,) = torch.autograd.grad(module.problem.coefficients[name].value(parameter).sum(), parameter)
    return slopes
