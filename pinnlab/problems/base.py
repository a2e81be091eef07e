"""What a problem is: a domain, unknowns, conditions; perhaps coefficients, an ansatz and a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField, Wanted
from pinnlab.derivatives.fields import Coordinates
from pinnlab.domains import Domain, FunctionSpace, Region, function_spaces
from pinnlab.domains.base import place_in_words
from pinnlab.errors import ConfigurationError, check_real, check_whole, unknown
from pinnlab.numerics.user_functions import explaining
from pinnlab.problems.checks import without_arguments
from pinnlab.problems.coefficients import Coefficient
from pinnlab.problems.conditions import Condition, Residual
from pinnlab.problems.evaluation import Arguments, call_by_name, stacked
from pinnlab.problems.evaluation_points import HELD_OUT_FUNCTIONS, evaluation_points
from pinnlab.problems.given import Given
from pinnlab.problems.living import check_living, check_reach
from pinnlab.problems.picture import picture
from pinnlab.problems.places import check_places
from pinnlab.problems.trial_run import trial_run
from pinnlab.problems.unknowns import Unknown, check_arguments, checked

RESERVED = ("points", "normal")

_MOST_NUMBERS = 8_000_000
"""In the evaluation points; functions of very many coordinates hardly differ from point to point, a few tell enough."""

_OF_FIELDS = frozenset(name for name in dir(AbstractField) if not name.startswith("_"))
"""What `u.name` means already, such as `u.d` and `u.value`."""


@dataclass(frozen=True)
class Exact:
    """A reference that is a formula in torch operations, so that it can be put into the equation.

    Args:
        function: takes coordinates (or `points`) by name; returns `(n,)`, or one such tensor for each unknown.
        where: where it is known: takes coordinates (or `points`) by name, returns `(n,)` booleans; default: everywhere.
            Errors are measured, and figures drawn, there only.
        unknowns: those that it is known of, and that the function gives, in this order; default: all.
    """

    function: Callable[..., Any]
    where: Callable[..., Tensor] | None = None
    unknowns: Sequence[str] | None = None


@dataclass(frozen=True)
class Numerical:
    """A reference from an independent solver.

    Args:
        function: takes `(n, d)` numpy points, returns `(n,)`, or `(n, m)` for several unknowns.
        where: where it is known, see `Exact`.
        accuracy: its own relative L2 error, as far as it was tested; None where nobody did. An error below it says
            nothing of the network, and the summary of a run tells so.
        unknowns: those that it is known of, see `Exact`.
    """

    function: Callable[[np.ndarray], np.ndarray]
    where: Callable[..., Tensor] | None = None
    accuracy: float | None = None
    unknowns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.accuracy is not None:
            check_real("reference", accuracy=self.accuracy)
            if not 0 < self.accuracy < 1:
                raise ConfigurationError(f"reference.accuracy: must be in (0, 1), not {self.accuracy}")


Reference = Exact | Numerical

Kind = TypeVar("Kind", bound="Problem")


class Problem:
    """A partial differential equation with its conditions.

    A subclass calls this constructor, and may define

    - `ansatz(self, u, x, t)`: builds the trial function from the network's outputs, so that conditions hold
      exactly; arguments by name, coefficients and given data too; returns `(n,)` or one such tensor for each unknown;
    - `reference(self) -> Exact | Numerical | None`: the solution, for error metrics and figures.

    Args:
        domain: where the unknowns live; input scaling and figures come from it.
        unknowns: their names, one per output of the network; or `Unknown`s by name, where some depend on other
            coordinates or live on a part of the domain only.
        conditions: everything that must hold, by name.
        coefficients: unknown numbers to find, by name.
        given: data that the functions get by name.

    Attributes:
        living: what the unknowns depend on and where they live, by name.
        given: the data as functions of points, by name; those of spaces of functions first.
        wanted: the derivatives of the unknowns that each condition needs.
        expressive: the conditions that differentiate expressions of them, such as `(k(u) * u.x).d("x")`.

    Raises:
        ConfigurationError: a name is used twice, or a condition does not fit the problem.
    """

    ansatz: Callable[..., Any] | None = None
    periodic_coordinates: tuple[str, ...] = ()
    """Coordinates in which no condition asks for periodicity because the network must be periodic by itself."""

    before: Any = None
    """The solution that this problem goes on from, in a window of time; see `Window`."""

    past: Any = None
    """Where conditions may look for the solution before; see `Window`."""

    constructed_with: tuple[tuple[Any, ...], dict[str, Any]]
    """The arguments that the subclass was called with, so that a checkpoint can say how to build it again."""

    def __new__(cls: type[Kind], *arguments: Any, **named: Any) -> Kind:
        """Keeps the arguments; `copy` and `pickle` give none, and bring those of before."""
        problem = super().__new__(cls)
        problem.constructed_with = arguments, named
        return problem

    def __init__(
        self,
        domain: Domain,
        unknowns: Sequence[str] | Mapping[str, Unknown],
        conditions: Mapping[str, Condition],
        coefficients: Mapping[str, Coefficient] | None = None,
        given: Sequence[Given] = (),
    ) -> None:
        _check_kinds(self.name, domain, conditions, coefficients or {}, given)
        without_arguments(f"reference of {self.name}", self.reference)
        self.domain = domain
        self.living = checked(self.name, domain, unknowns)
        self.unknowns = tuple(unknowns)
        self.conditions = dict(conditions)
        self.coefficients = dict(coefficients or {})
        known: list[FunctionSpace | Given] = [*function_spaces(domain), *given]
        self._check_names([*self.coordinates, *self.unknowns, *self.coefficients, *(data.name for data in known)])
        self.given = {data.name: data.on(domain) for data in known}
        self.wanted: dict[str, Wanted] = {}
        self.expressive: set[str] = set()
        for name, condition in self.conditions.items():
            condition.name = name
            check_arguments(self.unknowns, condition)
            for unknown_name in condition.names():
                if unknown_name not in self.unknowns:
                    raise unknown(f"unknown in condition {name!r}", unknown_name, self.unknowns)
            self.wanted[name], differentiated = trial_run(
                condition, self.unknowns, self.coordinates, self.coefficients, self.given
            )
            if differentiated:
                self.expressive.add(name)
            check_living(self, condition)
            check_reach(self, condition)
            check_places(self, condition)

    def __repr__(self) -> str:
        """The unknowns, where they live, what must hold, and what is to be found, in one line."""
        if not hasattr(self, "wanted"):
            return f"{self.name}()"  # a subclass shows itself before it has called this class's constructor
        unknowns = ", ".join(
            f"{name}({_shortened([self.coordinates[i] for i in own.columns(self.coordinates)])})"
            + ("" if own.on is None else f" on {own.on!r}")
            for name, own in self.living.items()
        )
        found = f"; to find {', '.join(self.coefficients)}" if self.coefficients else ""
        return f"{self.name}: {unknowns} on {self.domain!r}; conditions {', '.join(self.conditions)}{found}"

    @property
    def name(self) -> str:
        """The problem's name in tables and files."""
        return type(self).__name__

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The names of the coordinates, one per column of points."""
        known = self.__dict__.get("_named")
        if known is None or known[0] is not self.domain:  # of 100,000 names another copy each time would take long
            known = self._named = self.domain, Coordinates(self.domain.coordinates, self.domain.parameters)
        return known[1]

    def differential_equations(self) -> list[str]:
        """The names of the conditions that are equations inside the domain, not on its boundary."""
        return [
            name
            for name, condition in self.conditions.items()
            if isinstance(condition, Residual) and condition.region is not None and condition.region.is_full_dimensional
        ]

    def energies(self) -> list[str]:
        """The names of the conditions that are energies: the loss has their mean, and not that of a square."""
        return [name for name, condition in self.conditions.items() if condition.is_energy]

    def reference(self) -> Reference | None:
        """The solution, or None when it is not known."""
        return None

    def plot(self, points: int = 200) -> Any:
        """A `matplotlib` figure of the domain with some points of each condition, and of the reference.

        Args:
            points: how many to draw for each condition.

        Raises:
            ConfigurationError: `points` is not positive.
        """
        check_whole("plot", least=1, points=points)
        return picture(self, points)

    def reference_values(self, points: Tensor) -> Tensor | None:
        """The solution at `(n, d)` points as `(n, m)`, NaN where it is not known; None when it is known nowhere.

        Raises:
            ConfigurationError: it is not finite somewhere, and the reference does not say that it is not known there.
        """
        reference = _reference_of(self)
        if reference is None:
            return None
        names = tuple(reference.unknowns or self.unknowns)
        if isinstance(reference, Numerical):
            values = np.asarray(reference.function(points.detach().cpu().numpy().astype(np.float64)))
            self._check_reference_shape(values.shape, len(points), len(names), values.dtype.kind in "fiu")
            result = torch.as_tensor(values, dtype=points.dtype, device=points.device)
            result = result.reshape(len(points), len(names))
        else:
            with explaining(f"reference of {self.name}"):
                result = self.exact_values(points)
            self._check_reference_shape(tuple(result.shape), len(points), len(names), result.is_floating_point())
        if names != self.unknowns:
            result = self._in_order(names, result)
        unknown_there = self._without_reference(points, names)
        self._check_reference(points, result, ~unknown_there)
        return result.masked_fill(unknown_there, torch.nan) if bool(unknown_there.any()) else result

    def reference_known(self, points: Tensor) -> Tensor:
        """At which of `(n, d)` points the reference of some unknown is known, `(n,)` booleans."""
        reference = _reference_of(self)
        names = tuple(reference.unknowns or self.unknowns) if reference is not None else self.unknowns
        return ~self._without_reference(points, names).all(-1)

    def _without_reference(self, points: Tensor, names: Sequence[str]) -> Tensor:
        """Where no reference is known of the unknowns, or where they do not live, `(n, m)` booleans."""
        where = getattr(self.reference(), "where", None)
        known = torch.ones(len(points), dtype=torch.bool, device=points.device)
        if where is not None:
            what = f"where of the reference of {self.name}"
            with explaining(what):
                found = call_by_name(where, self._columns(points), what)
            known = torch.as_tensor(found, device=points.device).bool().expand(len(points))
        none = torch.zeros_like(known)
        return ~torch.stack([known & u.lives_at(points) if n in names else none for n, u in self.living.items()], -1)

    def _in_order(self, names: Sequence[str], values: Tensor) -> Tensor:
        """Columns of some unknowns in the places of all, the others NaN."""
        for name in names:
            if name not in self.unknowns:
                raise unknown(f"unknown in the reference of {self.name}", name, self.unknowns)
        blank = torch.full_like(values[:, 0], torch.nan)
        return torch.stack([values[:, names.index(n)] if n in names else blank for n in self.unknowns], -1)

    def _check_reference_shape(self, shape: tuple[int, ...], points: int, m: int, is_real: bool) -> None:
        if shape not in ([(points, m), (points,)] if m == 1 else [(points, m)]):
            raise ConfigurationError(
                f"reference of {self.name}: must be ({points}, {m}), one value per point and unknown, got {shape}"
            )
        if not is_real:
            raise ConfigurationError(f"reference of {self.name}: must be real numbers")

    def exact_values(self, points: Any) -> Tensor:
        """An exact reference as a function `(n, d) -> (n, m)` in torch operations (of tensors or jets)."""
        reference = self.reference()
        if not isinstance(reference, Exact):
            raise ConfigurationError(f"problem {self.name} has no exact reference")
        result = call_by_name(reference.function, self._columns(points), f"reference of {self.name}")
        return stacked(result, f"reference of {self.name}")

    def evaluation_count(self, count: int) -> int:
        """How many evaluation points there are of so many that are asked for: from 400 coordinates on fewer.

        All of them then have eight million coordinates, 64 MB; and there are 100 at least.
        """
        return min(count, max(_MOST_NUMBERS // len(self.coordinates), 100))

    def evaluation_points(self, count: int = 20_000) -> Tensor:
        """Held-out points `(n, d)` for errors and figures: about `count`, at least 10,000 by default.

        For up to two coordinates those points of a regular grid, with the ends of the bounding box in it, that lie in
        the domain; else a Sobol' set. After them come points of regions on which unknowns live that have too few of
        them, such as a face of a solid. With a space of functions among the factors, these for each of 100 functions.
        """
        return evaluation_points(self.domain, self.evaluation_count(count), self.living.values())

    @property
    def held_out_functions(self) -> int | None:
        """How many functions the evaluation points have; None of a problem without a space."""
        return HELD_OUT_FUNCTIONS if function_spaces(self.domain) else None

    def _columns(self, points: Any) -> Arguments:
        """What a function of the coordinates may ask for by name."""
        return Arguments({}, self.coordinates, points)

    def _check_reference(self, points: Tensor, values: Tensor, known: Tensor) -> None:
        bad = (known & ~values.isfinite()).any(-1).nonzero()
        if len(bad):
            place = place_in_words(self.coordinates, points[bad[0, 0]])
            raise ConfigurationError(
                f"reference of {self.name}: is not finite at {place}; if it is not known there, say so with where=..."
            )

    def _check_names(self, names: Sequence[str]) -> None:
        counts = Counter(names)
        for name, count in counts.items():
            if count > 1 or name in RESERVED:
                raise ConfigurationError(f"problem {self.name}: the name {name!r} is used twice or reserved")
        coordinates = set(self.coordinates)
        for name in self.coordinates:
            if name in _OF_FIELDS or (len(name) > 1 and set(name) <= coordinates):
                meaning = f"u.{name} is {'a method' if name in _OF_FIELDS else 'a derivative by others'} already"
                raise ConfigurationError(f"problem {self.name}: coordinate {name!r}: {meaning}; choose another name")
        if not self.unknowns:
            raise ConfigurationError(f"problem {self.name}: unknowns is empty; name at least one")
        if len({id(condition) for condition in self.conditions.values()}) < len(self.conditions):
            raise ConfigurationError(f"problem {self.name}: conditions lists one object twice; build one for each name")
        if not self.conditions:
            raise ConfigurationError(f"problem {self.name}: conditions is empty; name at least one")


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{names[0]}, ..., {names[-1]}"


def known_solution(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor | None]:
    """Those of `(n, d)` points at which a problem's reference is known, and it there; all where there is none.

    Raises:
        ConfigurationError: it is known at none of them, or is not finite at one.
    """
    values = problem.reference_values(points)
    if values is None:
        return points, None
    known = problem.reference_known(points)
    if not bool(known.any()):
        raise ConfigurationError(
            f"reference of {problem.name}: where leaves out every point; it must be true somewhere"
        )
    return (points, values) if bool(known.all()) else (points[known], values[known])


def _reference_of(problem: Problem) -> Reference | None:
    """Its reference, checked."""
    found = problem.reference()
    if found is not None and not isinstance(found, Exact | Numerical):
        raise ConfigurationError(
            f"reference of {problem.name}: must be Exact(function) or Numerical(function), got {type(found).__name__}"
        )
    return found


def check_problem(key: str, value: Any) -> None:
    """Refuses what is no problem, or one that is not built yet; `key` is the argument that it was given as."""
    if not isinstance(value, Problem):
        raise ConfigurationError(f"{key}: must be a Problem, got {_kind(value)}")
    if not hasattr(value, "wanted"):
        raise ConfigurationError(f"{key}: {value.name}.__init__ must call super().__init__(domain, ...)")


def _check_kinds(name: str, domain: Any, conditions: Any, coefficients: Any, given: Any) -> None:
    """Refuses arguments of a problem that are of another kind, before anything is asked of them."""
    if not isinstance(domain, Region):
        raise ConfigurationError(f"problem {name}: domain must be one such as Interval('x', 0, 1), got {_kind(domain)}")
    if not isinstance(domain, Domain):
        raise ConfigurationError(f"problem {name}: domain is a boundary, {domain!r}; give what it bounds")
    if not isinstance(given, (list, tuple)) or not all(isinstance(data, Given) for data in given):
        raise ConfigurationError(f"problem {name}: given must be a list of Given(name, source), got {_kind(given)}")
    for key, values, kind in (("conditions", conditions, Condition), ("coefficients", coefficients, Coefficient)):
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"problem {name}: {key} must be a mapping by name, got {_kind(values)}")
        for own, value in values.items():
            if not isinstance(own, str):
                raise ConfigurationError(f"problem {name}: {key}: a name must be text, got {own!r}")
            if not isinstance(value, kind):
                raise ConfigurationError(
                    f"problem {name}: {key}: {own!r} must be a {kind.__name__}, got {_kind(value)}"
                )


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    return f"{value!r}" if isinstance(value, (int, float, str)) else type(value).__name__
