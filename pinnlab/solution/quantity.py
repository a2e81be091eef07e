"""`Quantity`: an unknown of a solution, a derivative or an expression, as a function of points or coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pinnlab.domains import Domain, Region
from pinnlab.errors import ConfigurationError
from pinnlab.problems.given import Function
from pinnlab.solution.as_given import as_given
from pinnlab.solution.places import home_of


class Quantity:
    """Something that has a value at every point: an unknown, a derivative, an expression.

    Called with points `(n, d)`, or with coordinates by name, which are broadcast against each other. Values come in the
    kind of what was given: torch for torch, NumPy for NumPy, a number for numbers. A function that an operator is asked
    for is given by the name of its space: coefficients `(..., modes)`, or a function, of which the nearest is taken.

    Args:
        name: for `repr`.
        solution: the `Solution` whose it is.
        compute: `(n, d)` points of the solution's dtype to `(n, ...)` values.
        coordinates: those that it depends on, if not on all: the others need not be named.
        unknown: the unknown that it is, if it is one.
        of: the unknown that it is, or is a derivative of.
    """

    def __init__(
        self,
        name: str,
        solution: Any,
        compute: Callable[[Tensor], Tensor],
        coordinates: Sequence[str] | None = None,
        unknown: str | None = None,
        of: str | None = None,
    ) -> None:
        self._name, self._solution, self._compute, self._unknown = name, solution, compute, unknown
        self._of = of
        self._coordinates = tuple(solution.problem.coordinates if coordinates is None else coordinates)

    def __call__(self, points: Any = None, /, **coordinates: Any) -> Any:
        """The values at points, or at coordinates by name."""
        if points is not None and "points" in coordinates:
            raise ConfigurationError("points: are given twice; leave out one of them")
        given, filled = coordinates.pop("points", points), False
        if given is None and coordinates:
            domain = self._solution.problem.domain
            ends = zip(domain.coordinates, domain.low, domain.high, strict=True)
            others = {c: (a + b) / 2 for c, a, b in ends if c not in (*self._coordinates, *coordinates)}
            coordinates, filled = others | coordinates, bool(others)
        where = self._solution._places(given, coordinates, self._home(), filled)
        return where.returned(self._compute(where.points))

    def as_given(self, name: str, domain: Domain) -> Function:
        """The unknown as data of another problem, see `Given`.

        Raises:
            ConfigurationError: it is no unknown, or is not there in all of the domain.
        """
        if self._unknown is None:
            raise ConfigurationError(
                f"Given {name!r}: must be an unknown of a solution, not {self._name}; give the unknown, and write the "
                "rest where it is used"
            )
        return as_given(self._solution, self._unknown, name, domain)

    def _home(self) -> tuple[str, Region] | None:
        home = None if self._of is None else home_of(self._solution.problem, self._of)
        return None if self._of is None or home is None else (self._of, home)

    def __repr__(self) -> str:
        return f"{self._name} of {self._solution.problem.name}, a function of {', '.join(self._coordinates)}"
