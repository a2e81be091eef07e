"""A problem in a window of time, which begins with what the window before came to."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.derivatives import Wanted, partials
from pinnlab.domains import Domain, Region
from pinnlab.domains.cut import cut
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem, Reference
from pinnlab.problems.conditions import Condition, Dirichlet, Neumann, Periodic
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.evaluation import Evaluation, asks_for, call_by_name, stacked
from pinnlab.problems.given import once_more
from pinnlab.problems.integrals import Integral
from pinnlab.problems.living import looks_along
from pinnlab.problems.observations import Observations
from pinnlab.problems.unknowns import Unknown
from pinnlab.problems.weak import Weak

LATER = 8
"""Later windows that are cut before the first one is trained, about; each takes some 20 ms."""

LOOKED_AT = 64
"""Points of a region by which it is found whether it lies at one time."""


class Handover(Condition):
    """Initial values, or velocities, are those of another solution.

    They stand beside the points, so that they are computed once for each point, when it is drawn.

    Args:
        region: the face of the initial time.
        before: the other solution, `(n, d) -> (n, m)`.
        columns: its columns by the names of the unknowns.
        by: the coordinate of time where velocities are handed over, with its column; None for values.
        weight: the factor in the loss.
    """

    def __init__(
        self,
        region: Region,
        before: nn.Module,
        columns: Mapping[str, int],
        by: tuple[str, int] | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(region, weight)
        self._before, self._columns, self._by = before, dict(columns), by

    def names(self) -> Sequence[str]:
        """The unknowns that are handed over."""
        return tuple(self._columns)

    def rows(self, points: Tensor) -> Tensor:
        """The points and what is handed over there, `(n, d + k)`."""
        wanted = Wanted(frozenset() if self._by is None else frozenset({(self._by[1],)}))
        like = next(self._before.buffers())
        with torch.no_grad():
            found = partials(self._before, points.to(like), wanted)
        values = found.value if self._by is None else found.partials[(self._by[1],)]
        return torch.cat([points, values.to(points)[:, list(self._columns.values())]], -1)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The unknown, or its velocity, minus what was handed over."""
        by = () if self._by is None else (self._by[0],)
        return [at.fields[name].d(*by) - at.extras[:, k] for k, name in enumerate(self._columns)]


@dataclass(frozen=True)
class Past:
    """What conditions of a window may look at beside it.

    Args:
        column: of the coordinate that is cut.
        low: where the window begins.
        domain: the window and those before it.
        conditions: those that do look at other values of the coordinate.
    """

    column: int
    low: float
    domain: Region
    conditions: frozenset[str] = frozenset()


def absent(problem: Problem) -> frozenset[str]:
    """The conditions of a whole problem of which nothing is left in a window of it: measurements of other times."""
    whole = problem.whole if isinstance(problem, Window) else problem
    return frozenset(whole.conditions).difference(problem.conditions)


def present(names: Iterable[str], problem: Problem) -> list[str]:
    """Those of some names of conditions of which a window has something; all of any other problem."""
    gone = absent(problem)
    return [name for name in names if name not in gone]


class Window(Problem):
    """A problem between two values of a coordinate, mostly two times.

    The first window keeps the problem's initial conditions. In a later one they are replaced by what the window before
    came to: a `Dirichlet` or `Neumann` at the initial time by its values or velocities there. Where the problem's
    ansatz holds the initial value exactly, a later window's does so too. With the ansatz written as a(x, t) + b(x, t) N
    it is, from the time t_k on,

        v(x, t_k) + a(x, t) - a(x, t_k) + b(x, t_0 + t - t_k) N,

    where v is the solution in the window before and t_0 the problem's first time: what else the ansatz holds, such as
    boundary values, still holds. Everything else is that of the problem, in the window only.

    Args:
        whole: the problem.
        coordinate: that is cut, `t`.
        low: where the window begins.
        high: where it ends.
        before: the solution in the window before, without parameters that are trained; None in the first window.

    Attributes:
        before: the same, where the ansatz asks it at every point, or a condition looks at other times, as by
            `u.at(t=t - 1)`; None where it has given numbers once and for all.
        past: which conditions do, and where they may look; None in the first window.

    Raises:
        ConfigurationError: something in the problem cannot be cut, or nothing says with what a window begins.
    """

    def __init__(
        self, whole: Problem, coordinate: str, low: float, high: float, before: nn.Module | None = None
    ) -> None:
        self.whole, self.before = whole, None
        self.edges = (low, high)
        self._column = column_of(whole, coordinate)
        self._first = whole.domain.low[self._column]
        domain = cut(whole.domain, coordinate, low, high)
        assert isinstance(domain, Domain)  # as the problem's is
        if before is not None:
            self.past = Past(self._column, low, cut(whole.domain, coordinate, self._first, high))
        self.periodic_coordinates = whole.periodic_coordinates
        self.ansatz = whole.ansatz if before is None else self._continued_ansatz(before)
        super().__init__(
            domain=domain,
            unknowns={name: self._cut_unknown(own) for name, own in whole.living.items()},
            conditions=self._cut_conditions(before),
            given=once_more(whole.given),
        )
        if before is not None:
            looking = frozenset(name for name, c in self.conditions.items() if looks_along(self, c, self._column))
            self.past = replace(self.past, conditions=looking)
            self.before = before if looking else self.before

    @property
    def name(self) -> str:
        """That of the problem."""
        return self.whole.name

    def reference(self) -> Reference | None:
        """That of the problem, at all times."""
        return self.whole.reference()

    def _cut_unknown(self, own: Unknown) -> Unknown:
        """An unknown of the problem, where it lives in the window."""
        coordinate = self.whole.coordinates[self._column]
        return own if own.on is None else replace(own, on=cut(own.on, coordinate, *self.edges))

    # ------------------------------------------------------------------------- conditions

    def _cut_conditions(self, before: nn.Module | None) -> dict[str, Condition]:
        found: dict[str, Condition] = {}
        for name, condition in self.whole.conditions.items():
            kept = self._cut_condition(name, condition, before)
            if kept is not None:
                found[name] = kept
        return found

    def _cut_condition(self, name: str, condition: Condition, before: nn.Module | None) -> Condition | None:
        if isinstance(condition, Observations):
            return self._observed(condition)
        coordinate = self.whole.coordinates[self._column]
        if isinstance(condition, (Continuity, Weak)):
            return condition.cut(coordinate, *self.edges)
        over_time = isinstance(condition, Integral) and coordinate not in condition.each
        if condition.region is None or condition.is_energy or over_time:
            raise ConfigurationError(
                f"march: condition {name!r} is a {type(condition).__name__}, over all times at once"
            )
        if isinstance(condition, Periodic) and condition.coordinate == coordinate:
            raise ConfigurationError(f"march: condition {name!r} says that the solution is periodic in {coordinate}")
        place = time_of(condition.region, self._column)
        if place is None:
            kept = copy.copy(condition)
            kept.region = cut(condition.region, coordinate, *self.edges)
            return kept
        if place != self._first:
            raise ConfigurationError(
                f"march: condition {name!r} holds at {coordinate} = {place:g}, which is not the first"
            )
        return copy.copy(condition) if before is None else self._handover(name, condition, before)

    def _handover(self, name: str, condition: Condition, before: nn.Module) -> Handover:
        """What takes the place of an initial condition."""
        if not isinstance(condition, (Dirichlet, Neumann)):
            kind = type(condition).__name__
            raise ConfigurationError(f"march: initial condition {name!r} is a {kind}; write it as Dirichlet or Neumann")
        coordinate = self.whole.coordinates[self._column]
        start = cut(self.whole.domain, coordinate, *self.edges)
        assert isinstance(start, Domain)
        columns = {unknown_name: self.whole.unknowns.index(unknown_name) for unknown_name in condition.names()}
        by = (coordinate, self._column) if isinstance(condition, Neumann) else None
        return Handover(start.face(**{coordinate: self.edges[0]}), before, columns, by, condition.weight)

    def _observed(self, condition: Observations) -> Observations | None:
        """The observations in the window; one at an edge is in the later window."""
        t, (low, high) = condition.points[:, self._column], self.edges
        last = self.whole.domain.high[self._column]
        inside = (t >= low) & ((t < high) | ((t == last) & (high == last)))
        if not bool(inside.any()):
            return None
        kept = copy.copy(condition)
        kept.points = condition.points[inside]
        kept.targets = {name: values[inside] for name, values in condition.targets.items()}
        kept.sigmas = {name: s[inside] if s.ndim else s for name, s in condition.sigmas.items()}
        return kept

    # ----------------------------------------------------------------------------- ansatz

    def _continued_ansatz(self, before: nn.Module) -> Any:
        """The ansatz of a later window; see the class."""
        order = order_of_ansatz(self.whole, self._column)
        if order == 0:
            return self.whole.ansatz
        if order > 1:
            raise ConfigurationError(
                f"march: the ansatz of {self.whole.name} holds values and velocities; let the initial conditions enter "
                "the loss (problem.exact_conditions: false)"
            )
        start = self._start_of_ode(before) if len(self.whole.coordinates) == 1 else None
        if start is None:
            self.before = before

        def continued(**arguments: Any) -> Any:
            points = arguments["points"]
            names, column = self.whole.coordinates, self._column
            t, zero = points[:, column], points[:, column] * 0.0
            at_edge = zero + self.edges[0]
            network = {name: arguments[name] for name in self.whole.unknowns}
            none = {name: value * 0.0 for name, value in network.items()}

            def whole(unknowns: Mapping[str, Any], time: Any) -> Any:
                moved = {**{name: points[:, k] for k, name in enumerate(names)}, names[column]: time}
                where = torch.stack([moved[name] for name in names], -1)
                return self._ansatz_of_whole({**moved, **unknowns, "points": where})

            if start is None:
                edge = torch.stack([at_edge if k == column else points[:, k] for k in range(len(names))], -1)
                value = arguments["before"](edge)
            else:
                value = torch.stack([zero + number for number in start], -1)
            since = t - self.edges[0] + self._first
            result = value + (whole(none, t) - whole(none, at_edge)) + (whole(network, since) - whole(none, since))
            return [result[:, k] for k in range(len(self.whole.unknowns))]

        return continued

    def _ansatz_of_whole(self, arguments: Mapping[str, Any]) -> Any:
        assert self.whole.ansatz is not None  # who asks has looked
        given = {
            name: f(arguments["points"]) for name, f in self.whole.given.items() if asks_for(self.whole.ansatz, name)
        }
        return stacked(call_by_name(self.whole.ansatz, {**arguments, **given}, "ansatz"), "ansatz")

    def _start_of_ode(self, before: nn.Module) -> list[float]:
        """The state at the edge, where there is time alone: numbers."""
        like = next(before.buffers())
        with torch.no_grad():
            return [float(value) for value in before(like.new_full((1, 1), self.edges[0]))[0]]


def column_of(problem: Problem, coordinate: str) -> int:
    """The column of the coordinate that is cut.

    Raises:
        ConfigurationError: the problem has no such coordinate, or numbers or functions to find that are the same at all
            times.
    """
    if coordinate not in problem.coordinates:
        raise unknown("march.coordinate", coordinate, problem.coordinates)
    column = problem.coordinates.index(coordinate)
    still = [name for name, own in problem.living.items() if column not in own.columns(problem.coordinates)]
    if problem.coefficients or still:
        found = ", ".join([*problem.coefficients, *still])
        raise ConfigurationError(f"march: {problem.name} is to find {found}, the same at all times; train it whole")
    return column


def check_start(problem: Problem, coordinate: str) -> None:
    """Sees to it that something says with what a window begins.

    Raises:
        ConfigurationError: neither a condition at the first value of the coordinate nor the ansatz does.
    """
    column = column_of(problem, coordinate)
    first = problem.domain.low[column]
    regions = [c.region for c in problem.conditions.values() if c.region is not None]
    if any(time_of(region, column) == first for region in regions):
        return
    if order_of_ansatz(problem, column) == 0:
        raise ConfigurationError(
            f"march: {problem.name} has no initial condition: neither a Dirichlet at {coordinate} = {first:g} nor an "
            "ansatz that holds a value there"
        )


def check_later(problem: Problem, coordinate: str, edges: Sequence[float], before: nn.Module) -> None:
    """Cuts later windows out of a problem, so that what they refuse is refused before the first one is trained.

    Of many windows these are some: nearly all that a window refuses, any other of them does, too.

    Args:
        problem: the whole one.
        coordinate: that is cut.
        edges: where windows begin and end.
        before: stands for the solutions in the windows before; any function of the problem's coordinates.

    Raises:
        ConfigurationError: one of them cannot be cut, or nothing says with what it begins.
    """
    later = list(itertools.pairwise(edges[1:]))
    for low, high in later[:: len(later) // LATER + 1]:
        Window(problem, coordinate, low, high, before)


def time_of(region: Region, column: int) -> float | None:
    """The one value of a coordinate in a region; None where there are several."""
    points, _ = region.quadrature(LOOKED_AT)
    t = points[:, column]
    return float(t[0]) if bool((t == t[0]).all()) else None


def order_of_ansatz(problem: Problem, column: int) -> int:
    """How many times derivatives of the solution at the first time, from none on, the ansatz prescribes: 0, 1 or 2.

    Found by trying it: with a network of zeros and one of ones, at the first time and a little after.
    """
    if problem.ansatz is None:
        return 0
    inside, _ = problem.domain.quadrature(LOOKED_AT)
    step = 1e-4 * (problem.domain.high[column] - problem.domain.low[column])
    size = []
    for k in (0, 1, 2):
        at = inside.clone()
        at[:, column] = problem.domain.low[column] + k * step
        size.append(float((_with_constant(problem, at, 1.0) - _with_constant(problem, at, 0.0)).abs().max()))
    if size[0] > 1e-3 * size[2]:
        return 0
    return 1 if size[2] < 3 * size[1] else 2


def _with_constant(problem: Problem, points: Tensor, constant: float) -> Tensor:
    assert problem.ansatz is not None
    columns = {name: points[:, k] for k, name in enumerate(problem.coordinates)}
    network = {name: torch.full_like(points[:, 0], constant) for name in problem.unknowns}
    given = {name: f(points) for name, f in problem.given.items() if asks_for(problem.ansatz, name)}
    found: Tensor = stacked(
        call_by_name(problem.ansatz, {**columns, **network, **given, "points": points}, "ansatz"), ""
    )
    return found
