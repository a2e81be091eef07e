"""Finds a reference that is the solution of another problem: an equation was changed, and its solution was not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from pinnlab.derivatives import Partials, Wanted, partials
from pinnlab.errors import ConfigurationError
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Neumann, Periodic, Residual, Robin
from pinnlab.problems.stand_ins import residual_of
from pinnlab.samplers.sequences import few_points

_COUNT = 32
"""Points of each condition that are looked at."""
_BESIDE = 0.1
"""Of the reference's size: a wave of this height is added to it, and what that leaves of a residual is a measure."""
_OFF = 1e-3
"""Of that residual: a reference that leaves more is off by more than 1e-4 of its size."""
_MOST_OF = 0.9
"""Quantile that is compared: a formula may be singular in places, and wrong on one face of several."""
_STEP = 1e-4
"""Of the domain's sides: a difference over so much tells whether a derivative is one."""
_MOST = 20
"""Coordinates up to which this is tried: by more of them a formula's derivatives take too long."""


def warn_of_reference(problem: Problem, names: Collection[str] | None = None) -> None:
    """Warns of conditions that an exact reference does not meet, one line for all of them.

    A penalty, a term that is to be small and not zero, is among them: no number tells it from a wrong condition, and it
    does move the solution away from the reference.

    Not of problems that the package brings: they are tested, and a run begins sooner.

    Args:
        problem: whose reference it is.
        names: of the conditions that are in the loss; default: all.
    """
    if is_shipped(problem):
        return
    missed = [name for name in missed_by_reference(problem) if names is None or name in names]
    if missed:
        warnings.warn(
            f"reference of {problem.name}: does not meet {', '.join(missed)}, so that errors against it do not vanish; "
            "write the solution of this problem, or leave it out; a penalty, which is to be small, may stay",
            stacklevel=2,
        )


def is_shipped(problem: Problem) -> bool:
    """Whether a problem is one of the package, not of the user."""
    return type(problem).__module__.split(".")[0] == __name__.split(".")[0]


def missed_by_reference(problem: Problem) -> list[str]:
    """The names of the conditions that an exact reference does not meet.

    There are none where nobody knows here what belongs to the reference: with coefficients that are sought, and in
    windows that go on from one before. Neither are there where it cannot be put into the equation.
    """
    reference = problem.reference()
    if not isinstance(reference, Exact) or reference.unknowns or problem.coefficients or problem.before is not None:
        return []
    if len(problem.coordinates) > _MOST:
        return []
    try:
        missed = [name for name, condition in problem.conditions.items() if _is_missed(problem, condition)]
    except (
        ConfigurationError,
        RuntimeError,
        TypeError,
    ):  # made by numpy, say: it serves to measure errors all the same
        return []
    return [] if missed and _is_cut(problem) else missed


def _is_missed(problem: Problem, condition: Condition) -> bool:
    """Whether the reference leaves a residual, measured by that of a function a little beside it."""
    if type(condition) not in (Residual, Dirichlet, Neumann, Robin, Periodic) or condition.region is None:
        return False
    points = condition.some_points(_COUNT, seed=11)
    rows = condition.rows(points[problem.reference_known(points)])
    if not len(rows) or problem.wanted[condition.name].samples:
        return False
    own, beside = (_sizes(problem, condition, rows, height) for height in (0.0, _BESIDE))
    return bool(own.nanquantile(_MOST_OF) > _OFF * beside.nanquantile(_MOST_OF))


def _is_cut(problem: Problem) -> bool:
    """Whether the reference's derivatives are not its own, as after `detach()`: then its residual says nothing."""
    points = few_points(problem.domain, _COUNT, seed=13)
    points = points[problem.reference_known(points)]
    firsts = {(i,) for i in range(points.shape[1])}
    found = partials(problem.exact_values, points, Wanted(frozenset(firsts)), "reverse")
    step = _STEP * (points.new_tensor(problem.domain.high) - points.new_tensor(problem.domain.low))
    ahead, behind = (problem.exact_values(points + sign * step) for sign in (0.5, -0.5))
    slope = sum(step[i] * found.partials[(i,)] for (i,) in firsts)
    apart = (ahead - behind - slope).abs().nanmedian()
    return bool(apart > 0.1 * (ahead - behind).abs().nanmedian())


def _sizes(problem: Problem, condition: Condition, rows: Tensor, height: float) -> Tensor:
    """The size of the residual at each row, of the reference with a wave on top of it; NaN where it has none."""
    function = _with_wave(problem, height)
    wanted = problem.wanted[condition.name]

    def computed(points: Tensor) -> Partials:
        return partials(function, points, wanted, "reverse")

    with torch.no_grad():
        return residual_of(problem, condition, computed)(rows).norm(dim=-1)


def _with_wave(problem: Problem, height: float) -> Callable[[Tensor], Tensor]:
    """The reference plus a wave across the domain, different for each unknown; the height is relative to it."""
    points = few_points(problem.domain, _COUNT, seed=11)
    size = problem.exact_values(points).abs().nan_to_num().amax(0)
    size = torch.where(size > 0, size, 1.0) * height
    low, high = (points.new_tensor(ends) for ends in (problem.domain.low, problem.domain.high))
    rates = (torch.arange(len(low)) + 1).to(points).sqrt() * (math.pi / (high - low))
    shifts = torch.arange(len(size)).to(points) + 0.5

    def values(at: Tensor) -> Tensor:
        if not height:
            return problem.exact_values(at)
        angle = ((at - low) * rates).sum(-1)
        waves = [a * torch.sin(angle + shift) for a, shift in zip(size, shifts, strict=True)]
        return problem.exact_values(at) + torch.stack(waves, -1)

    return values
