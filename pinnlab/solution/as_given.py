"""A trained solution as data of another problem: its network as it stands, with its own derivatives."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pinnlab.derivatives import Jet, Wanted, partials, resolve_engine
from pinnlab.domains import Domain
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.constants import constant_like
from pinnlab.numerics.swapped import call_with
from pinnlab.objective.residuals import two_points
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.problems.given import check_cover


class OfSolution:
    """An unknown of a solution as a function of points `(n, d)` in another domain, a tensor or a jet.

    It is computed in the precision and on the device of the points, and nobody trains it.

    Args:
        trial: the solution's trial function.
        column: of the unknown.
        places: for each coordinate of the solution the column of the points, or a number where it does not matter.
        engine: `"taylor"` or `"reverse"`, which can differentiate the trial function.
    """

    def __init__(self, trial: Trial, column: int, places: Sequence[int | float], engine: str) -> None:
        self._trial, self._column, self._places, self._engine = trial, column, tuple(places), engine

    def __call__(self, points: Any) -> Any:
        """The values `(n,)`."""
        own = points
        if self._places != tuple(range(points.shape[1])):
            zero = points[:, 0] * 0.0
            own = torch.stack([points[:, p] if isinstance(p, int) else zero + p for p in self._places], -1)
        by_hand = isinstance(own, Jet) and self._engine == "reverse"
        return self._expanded(own) if by_hand else self._unknowns(own)[:, self._column]

    def _unknowns(self, points: Any) -> Any:
        tensors = {
            name: constant_like(tensor, points, None if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in self._trial.tensors().items()
        }
        return call_with(self._trial, tensors, (points,))

    def _expanded(self, points: Jet) -> Any:
        """The Taylor polynomial around each point, with coefficients by nested reverse mode: exact to its order."""
        there = points.value
        indices = [
            index
            for order in range(1, points.order + 1)
            for index in itertools.combinations_with_replacement(range(there.shape[1]), order)
        ]
        found = partials(self._unknowns, there, Wanted(frozenset(indices)), "reverse")
        total: Any = found.value[:, self._column]
        steps = points - there
        for index in indices:
            term: Any = found.partials[index][:, self._column] / math.prod(map(math.factorial, Counter(index).values()))
            for i in index:
                term = steps[:, i] * term
            total = term + total
        return total


def as_given(solution: Any, unknown: str, name: str, domain: Domain) -> OfSolution:
    """An unknown of a solution as data of a problem on some domain.

    Args:
        solution: a `Solution`.
        unknown: which.
        name: of the data.
        domain: of the problem; it may have further coordinates.

    Raises:
        ConfigurationError: the domain lacks a coordinate that the unknown depends on, or goes beyond the solution's.
    """
    problem: Problem = solution.problem
    coordinates, low, high = problem.coordinates, problem.domain.low, problem.domain.high
    places: list[int | float] = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    for i in problem.living[unknown].columns(coordinates):
        if coordinates[i] not in domain.coordinates:
            raise ConfigurationError(
                f"Given {name!r}: {unknown} of {problem.name} depends on {coordinates[i]}, and the coordinates are "
                f"{', '.join(domain.coordinates)}"
            )
        places[i] = domain.coordinates.index(coordinates[i])
        check_cover(name, np.array([low[i], high[i]]), domain, int(places[i]), margin=1e-6)
    return OfSolution(solution.trial, problem.unknowns.index(unknown), places, _engine_of(solution))


def only_unknown(problem: Problem, name: str) -> str:
    """The unknown of a problem that has one.

    Raises:
        ConfigurationError: it has several.
    """
    if len(problem.unknowns) > 1:
        raise ConfigurationError(
            f"Given {name!r}: the solution of {problem.name} has {', '.join(problem.unknowns)}; give one of them, as "
            f"solution[{problem.unknowns[0]!r}]"
        )
    return problem.unknowns[0]


def _engine_of(solution: Any) -> str:
    """What can differentiate its trial function."""
    if solution.system.engine != "auto":
        return str(solution.system.engine)
    points = two_points(solution.problem.domain, solution._like)
    return resolve_engine(solution.trial, points, Wanted(frozenset({(0,)})))
