"""Finds numbers of float32 in functions of float64: `torch.tensor(0.1)` is right to seven digits only."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pinnlab.objective.residuals import ResidualSystem
from pinnlab.problems.base import Exact, known_solution
from pinnlab.problems.stand_ins import residual_of_stand_ins
from pinnlab.samplers.sequences import few_points

_COUNT = 5
"""Points at which functions are tried."""
_MOST = 100
"""Numbers of a tensor that are looked at."""
_BITS = 2**18
"""Numbers that need no more than so many of the 24 bits, such as 0.5 or 3, are not rounded."""


def warn_of_rounded_numbers(system: ResidualSystem) -> None:
    """Warns of residuals, an ansatz and a reference that bring rounded numbers into float64.

    Args:
        system: as training begins; one in float32 is left alone.
    """
    problem, like = system.problem, next(system.trial.parameters())
    if like.dtype != torch.float64:
        return
    points, reference = few_points(problem.domain, _COUNT, seed=0), problem.reference()
    functions: dict[str, Callable[[], Any]] = {}
    for name, condition in problem.conditions.items():
        residual, rows = residual_of_stand_ins(problem, condition)
        functions[f"condition {name!r}"] = functools.partial(residual, rows)
    if problem.ansatz is not None:
        functions["the ansatz"] = functools.partial(system.trial, points.to(like))
    if isinstance(reference, Exact):
        functions["the reference"] = functools.partial(known_solution, problem, points)
    for what, function in functions.items():
        with _Watch() as watch:
            function()
        if watch.found is not None:
            warnings.warn(
                f"{what}: has numbers of float32, such as {watch.found:.10g}, which are right to seven digits only; "
                "write plain numbers, or torch.tensor(..., dtype=torch.float64)",
                stacklevel=2,
            )


class _Watch(TorchFunctionMode):
    """Notices the first rounded number that goes into a tensor of float64."""

    def __init__(self) -> None:
        super().__init__()
        self.found: float | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.found is None and isinstance(result, Tensor) and result.dtype == torch.float64:
            self.found = next(_rounded([*args, *(kwargs or {}).values()]), None)
        return result


def _rounded(values: Any) -> Iterator[float]:
    """The numbers of float32 in arguments that need all of its bits."""
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _rounded(value)
    elif isinstance(values, Tensor) and values.dtype == torch.float32:
        for number in values.detach().flatten()[:_MOST].tolist():
            if math.isfinite(number) and not (math.frexp(number)[0] * _BITS).is_integer():
                yield number
