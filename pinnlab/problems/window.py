"""A problem in a window of time, which begins with what the window before came to."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.derivatives import Partials, Wanted, partials
from pinnlab.domains import Domain, Region
from pinnlab.domains.cut import cut, overlapping
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem, Reference
from pinnlab.problems.conditions import Condition, Dirichlet, Neumann, Periodic, Residual
from pinnlab.problems.continued import continued_ansatz, orders_of_ansatz
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.given import once_more
from pinnlab.problems.integrals import Integral
from pinnlab.problems.living import looks_along
from pinnlab.problems.observations import Observations
from pinnlab.problems.stand_ins import residual_of
from pinnlab.problems.unknowns import Unknown
from pinnlab.problems.weak import Weak
from pinnlab.samplers.sequences import few_points

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
    boundary values, still holds. So it is for each unknown by itself: one whose initial value the ansatz leaves open
    keeps its own. Everything else is that of the problem, in the window only.

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
            return self._observed(condition, before)
        coordinate = self.whole.coordinates[self._column]
        if isinstance(condition, Weak):
            self._check_terms(condition)
        if isinstance(condition, (Continuity, Weak)):
            return condition.cut(coordinate, *self.edges)
        place = None if condition.reach is None else time_of(condition.reach, self._column)
        over_time = isinstance(condition, Integral) and place is None and coordinate not in condition.each
        if condition.reach is None or condition.is_energy or over_time:
            way_out = f"; for one at each {coordinate} write each={coordinate!r}" if over_time else ""
            raise ConfigurationError(
                f"march: condition {name!r} is a {type(condition).__name__}, over all times at once{way_out}"
            )
        if isinstance(condition, Periodic) and condition.coordinate == coordinate:
            raise ConfigurationError(f"march: condition {name!r} says that the solution is periodic in {coordinate}")
        if place is None:
            assert condition.region is not None  # an integral at each time has one
            region = overlapping(condition.region, coordinate, *self.edges)
            if region is None:
                return None
            kept = copy.copy(condition)
            kept.region = region
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
        columns = {unknown_name: self.whole.unknowns.index(unknown_name) for unknown_name in condition.names()}
        by = (coordinate, self._column) if isinstance(condition, Neumann) else None
        assert condition.region is not None  # who calls has looked
        if any(self.whole.living[unknown_name].on is not None for unknown_name in columns):
            start = cut(condition.region, coordinate, *self.edges, ends=True)  # they may live nowhere else
        else:
            domain = cut(self.whole.domain, coordinate, *self.edges)
            assert isinstance(domain, Domain)
            start = domain.face(**{coordinate: self.edges[0]})
        return Handover(start, before, columns, by, condition.weight)

    def _check_terms(self, condition: Weak) -> None:
        """Refuses values that a weak form is given at the first or last time, where the window has another one."""
        coordinate, domain = self.whole.coordinates[self._column], self.whole.domain
        ends = zip(self.edges, (domain.low[self._column], domain.high[self._column]), strict=True)
        others = [whole for own, whole in ends if own != whole]
        for side, term in condition.terms.items():
            if term is not None and _is_given(self.whole, condition.name, side, term, self._column, others):
                raise ConfigurationError(
                    f"march: condition {condition.name!r} has a term with given values at the first or last "
                    f"{coordinate}, where a window does not begin or end; write None there, and what it begins with "
                    "as Dirichlet"
                )

    def _observed(self, condition: Observations, before: nn.Module | None) -> Observations | None:
        """The observations in the window; one at an edge is in the later window.

        Those of the first time alone are an initial condition: of values that are what the window before came to.
        """
        t, (low, high) = condition.points[:, self._column], self.edges
        if before is not None and bool((t == self._first).all()):
            return self._handed_over(condition, before)
        last = self.whole.domain.high[self._column]
        inside = (t >= low) & ((t < high) | ((t == last) & (high == last)))
        if not bool(inside.any()):
            return None
        kept = copy.copy(condition)
        kept.points = condition.points[inside]
        kept.targets = {name: values[inside] for name, values in condition.targets.items()}
        kept.sigmas = {name: s[inside] if s.ndim else s for name, s in condition.sigmas.items()}
        return kept

    def _handed_over(self, condition: Observations, before: nn.Module) -> Observations | None:
        """Observed values at the first time, replaced by what the window before came to at those places."""
        names = condition.names()
        if not names:
            return None
        kept = copy.copy(condition)
        kept.points = condition.points.clone()
        kept.points[:, self._column] = self.edges[0]
        with torch.no_grad():
            values = before(kept.points.to(next(before.buffers()))).to(kept.points)
        kept.functions = {}
        kept.targets = {name: values[:, self.whole.unknowns.index(name)] for name in names}
        kept.sigmas = {name: sigma for name, sigma in condition.sigmas.items() if name in names}
        return kept

    # ----------------------------------------------------------------------------- ansatz

    def _continued_ansatz(self, before: nn.Module) -> Any:
        """The ansatz of a later window; see the class."""
        orders = orders_of_ansatz(self.whole, self._column)
        if not any(orders):
            return self.whole.ansatz
        if max(orders) > 1:
            raise ConfigurationError(
                f"march: the ansatz of {self.whole.name} holds values and velocities; let the initial conditions enter "
                "the loss (problem.exact_conditions: false)"
            )
        start = self._start_of_ode(before) if len(self.whole.coordinates) == 1 else None
        if start is None:
            self.before = before
        return continued_ansatz(self.whole, self._column, self.edges[0], orders, start)

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
    for condition in problem.conditions.values():
        if condition.region is not None and time_of(condition.region, column) == first:
            return
        if isinstance(condition, Observations) and bool((condition.points[:, column] == first).all()):
            return
    if not any(orders_of_ansatz(problem, column)):
        raise ConfigurationError(
            f"march: {problem.name} has no initial condition: neither a Dirichlet at {coordinate} = {first:g}, nor "
            "observations, nor an ansatz that holds a value there"
        )


def _is_given(
    problem: Problem, name: str, side: Region, term: Callable[..., Any], column: int, times: Sequence[float]
) -> bool:
    """Whether a term on the boundary has something at one of some times where all unknowns are zero."""
    probe = Residual(side, partial(term, v=1.0))
    probe.name = name
    points = few_points(side, LOOKED_AT, seed=4)
    there = (points[:, column, None] == points.new_tensor(times)).any(1) & (side.normals(points)[:, column].abs() > 0.5)
    if not bool(there.any()):
        return False

    def none(points: Tensor) -> Partials:
        value, wanted = points.new_zeros(len(points), len(problem.unknowns)), problem.wanted[name]
        singly, sums = dict.fromkeys(wanted.partials, value), dict.fromkeys(wanted.laplacians, value)
        return Partials(value, singly, sums, dict.fromkeys(wanted.samples, value))

    return bool((residual_of(problem, probe, none)(probe.rows(points[there])) != 0).any())


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
