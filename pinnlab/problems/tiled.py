"""A problem on tiles that do not overlap: the same, with a condition that couples them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem, Reference, check_problem
from pinnlab.problems.conditions import Residual
from pinnlab.problems.continuity import Continuity, Flux
from pinnlab.problems.given import once_more

CONDITION = "interfaces"
"""The name of the condition that couples the tiles."""


class Tiled(Problem):
    """A problem whose network is `Tiles`: everything as it is, and a `Continuity` beside it, named `interfaces`.

    Args:
        problem: what is to be solved.
        grid: the number of tiles along each coordinate, as the network has it.
        flux: what must not jump beside the unknowns: nothing more than their slopes by default (see `order`); the name
            of one of the problem's methods, such as `"flux"`, or a function (cPINN); or `"residual"`, the equations'
            own residuals (XPINN), which is enough for those of order one. See `Continuity`.
        order: the highest derivative across the faces that must agree, where there is no `flux`; p - 1 for an equation
            of order p.
        weight: the factor in the loss.

    Attributes:
        whole: the problem.

    Raises:
        ConfigurationError: the problem's domain is no box, it has an `interfaces` already, or no such method.
    """

    def __init__(
        self,
        problem: Problem,
        grid: Sequence[int] | int,
        flux: str | Callable[..., Any] | None = None,
        order: int = 1,
        weight: float = 1.0,
    ) -> None:
        check_problem("problem.problem", problem)
        if CONDITION in problem.conditions:
            raise ConfigurationError(f"problem.problem: {problem.name} has a condition {CONDITION!r} already")
        self.whole = problem
        self.ansatz = problem.ansatz
        self.periodic_coordinates = problem.periodic_coordinates
        coupling = Continuity(problem.domain, grid, order=order, flux=_flux(problem, flux), weight=weight)
        super().__init__(
            domain=problem.domain,
            unknowns=problem.living,
            conditions={**problem.conditions, CONDITION: coupling},
            coefficients=problem.coefficients,
            given=once_more(problem.given),
        )

    @property
    def name(self) -> str:
        """That of the problem."""
        return self.whole.name

    def reference(self) -> Reference | None:
        """That of the problem."""
        return self.whole.reference()


def _flux(problem: Problem, flux: str | Callable[..., Any] | None) -> Flux | Sequence[Flux] | None:
    """The functions that a word stands for."""
    if not isinstance(flux, str):
        return flux
    if flux == "residual":
        conditions = [problem.conditions[name] for name in problem.differential_equations()]
        functions = [condition.function for condition in conditions if isinstance(condition, Residual)]
        if not functions:
            raise ConfigurationError(f"problem.flux: {problem.name} has no Residual in its domain; leave flux out")
        return functions
    methods = [name for name in vars(type(problem)) if not name.startswith("_") and callable(getattr(problem, name))]
    if flux not in methods:
        raise unknown("problem.flux", flux, ["residual", *methods])
    found: Flux = getattr(problem, flux)
    return found
