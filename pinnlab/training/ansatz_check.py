"""Does this ansatz work with every optimizer? Found before the first step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pinnlab.derivatives.expressions import NeedsExpressions, Recorded
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.swapped import call_with
from pinnlab.numerics.user_functions import explaining
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem


def check_ansatz(problem: Problem, trial: Trial, points: Tensor) -> None:
    """Refuses an ansatz that plain tensors would let pass, and jets, compilation or vectorization would not.

    Args:
        problem: whose ansatz it is.
        trial: the trial function.
        points: `(n, d)`, several.

    Raises:
        ConfigurationError: it calls numpy or `math`, decides by numbers, asks for derivatives, is complex, or has no
            row for each point.
    """
    if problem.ansatz is None:
        return
    outputs, earlier = points.new_ones(len(points), len(problem.unknowns)), trial.before

    def before(there: Tensor) -> Any:
        assert earlier is not None  # only where there is one is it asked for
        return earlier(there.as_subclass(Tensor)).as_subclass(Recorded)

    with explaining(f"ansatz of problem {problem.name}"):
        try:
            values = call_with(
                trial,
                {f"coefficients.{k}": p.detach().as_subclass(Recorded) for k, p in trial.coefficients.items()},
                (points.as_subclass(Recorded), None if earlier is None else before),
                {"network": lambda _: outputs.as_subclass(Recorded)},
            )
        except NeedsExpressions as error:
            raise ConfigurationError(
                f"ansatz of problem {problem.name}: gets values of unknowns and coordinates, without derivatives"
            ) from error
    if values.is_complex():
        raise ConfigurationError(
            f"ansatz of problem {problem.name}: is complex; make real and imaginary part two unknowns"
        )
    if values.shape != outputs.shape:
        raise ConfigurationError(
            f"ansatz of problem {problem.name}: must return one number for each of {len(points)} points, "
            f"got {tuple(values.shape[:-1])}"
        )
