"""The standard errors of the coefficients that a run found from data."""

from __future__ import annotations

from typing import Any

import torch

from pinnlab.analysis.uncertainty import standard_errors
from pinnlab.numerics import distributed
from pinnlab.problems.conditions import Observations
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.phases import point_store

MOST_PARAMETERS = 3000
"""Of a network, to be measured at the end of a run: eigenvalues of a matrix of that size take some seconds."""


def coefficient_errors(module: Any) -> dict[str, float]:
    """How far the noise in the data moves each coefficient, one standard deviation; see `standard_errors`.

    Args:
        module: the `PINN`, trained to the minimum of its loss.

    Returns:
        By name; empty where there are no coefficients, no data, too few of them to tell their noise, or more than
        `MOST_PARAMETERS` parameters. A collective.
    """
    problem, store = module.problem, point_store(module)
    data = [name for name, condition in problem.conditions.items() if isinstance(condition, Observations)]
    trained = module.system.trained()
    names = [name for name in problem.coefficients if f"coefficients.{name}" in trained]
    if not names or not data or store is None or sum(shape.numel() for shape in trained.values()) > MOST_PARAMETERS:
        return {}
    around = linearization(module, {name: distributed.shard(rows) for name, rows in store.rows.items()})
    raw = standard_errors(around, data, [module.system.column(f"coefficients.{name}") for name in names])
    if raw is None:
        return {}
    return {name: _slope(module, name) * float(error) for name, error in zip(names, raw, strict=True)}


def _slope(module: Any, name: str) -> float:
    """The derivative of a coefficient with respect to the unbounded parameter that stands for it."""
    with torch.enable_grad():
        parameter = module.trial.coefficients[name].detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(module.problem.coefficients[name].value(parameter), parameter)
    return float(slope)
