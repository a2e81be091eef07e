"""The conditions of a problem: what must hold where, and with which weight.

A condition turns the unknowns at its points into residuals that vanish for the solution. Its functions name
what they need: unknowns, coordinates, `normal`, `points`, trainable coefficients.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from pinnlab.domains import Domain, Region
from pinnlab.errors import ConfigurationError, check_list, check_names, in_short, is_finite, unknown
from pinnlab.problems.checks import finite
from pinnlab.problems.enhancement import WEIGHT, Enhancement
from pinnlab.problems.evaluation import Evaluation, asks_for, takes_all
from pinnlab.samplers.sequences import few_points

Target = float | Callable[..., Tensor]


class Condition(ABC):
    """Something that must hold on a region.

    Args:
        region: where; None for a condition that brings its own points.
        weight: the factor of this condition's mean square in the loss.
    """

    region: Region | None
    weight: float
    name: str
    enhancement: Enhancement = Enhancement()
    """Derivatives of the residuals that its loss has too; none but for a `Residual` that is given some."""
    is_energy: bool = False
    """Whether the loss has the mean of what `residual` returns, and not of its square."""
    looks_along_normals: bool = False
    """Whether it depends on which way the normals lead that it keeps beside its points."""
    by_name: ClassVar[str] = ""
    """What to write in place of a weight that is none, where unknowns are named."""
    looks_elsewhere: bool = False
    """Whether its function asked for unknowns at other points, `u.at(t=t - 1)`, when its problem was built."""
    points_per_row: int = 1
    """At how many points unknowns are evaluated for each of its rows, found when its problem was built."""

    def __init__(self, region: Region | None, weight: float = 1.0) -> None:
        if inspect.ismethod(region):
            raise ConfigurationError(
                f"{type(self).__name__}: region is the method {region.__name__}; write its parentheses, "
                f"{region.__name__}()"
            )
        if region is not None and not isinstance(region, Region):
            raise ConfigurationError(
                f"{type(self).__name__}: region must be a domain or a part of one, got {type(region).__name__}; "
                "values at given points are Observations"
            )
        if not is_finite(weight) or weight < 0:
            instead = "" if isinstance(weight, Real) else self.by_name
            raise ConfigurationError(
                f"weight: must be a number >= 0 (0 switches a condition off), got {in_short(weight)}{instead}"
            )
        self.region = region
        self.weight = float(weight)
        self.name = type(self).__name__

    def __repr__(self) -> str:
        weight = "" if self.weight == 1 else f", weight={self.weight:g}"
        return f"{type(self).__name__}({self.where.strip('`')}{weight})"

    @property
    def where(self) -> str:
        """Where it holds, in words."""
        return "given points" if self.region is None else f"`{self.region!r}`"

    @property
    def reach(self) -> Region | None:
        """All of where it needs the solution; None for a condition that brings its own points."""
        return self.region

    @abstractmethod
    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The residuals, each `(n,)`; all vanish for the solution."""

    def rows(self, points: Tensor) -> Tensor:
        """What the point store keeps for each point: `(n, d + k)`, the point and its extras."""
        return points

    def fixed_points(self) -> Tensor | None:
        """`(n, d)` the points of a condition that brings its own; None when they are sampled."""
        return None

    def some_points(self, count: int, seed: int) -> Tensor:
        """Points `(n, d)` to try it at: so many of its region, or all of those that it brings."""
        own = self.fixed_points()
        if own is not None:
            return own
        assert self.region is not None  # the problem saw to it
        return few_points(self.region, count, seed)

    def names(self) -> Sequence[str]:
        """The unknowns that the condition speaks of by name, for the problem to check."""
        return ()

    def examine(self, at: Evaluation) -> None:
        """Looks at itself once, on stand-ins for the unknowns, when its problem is built.

        Raises:
            ConfigurationError: something cannot be as it is.
        """
        return

    def targets_at(self, at: Evaluation) -> dict[str, Tensor]:
        """The prescribed value `(n,)` for each unknown that has one, at the points of an evaluation."""
        return {}

    def _value(self, target: Target, at: Evaluation, **more: Any) -> Any:
        return at.call(target, f"a target of condition {self.name!r}", **more) if callable(target) else target


class Residual(Condition):
    """A differential equation that must hold in a region, or any other equation on a boundary.

    Args:
        region: where.
        function: takes unknowns, coordinates and coefficients by name, on a boundary the outward unit `normal`
            `(n, d)` as well; returns one `(n,)` tensor or several.
        weight: the factor in the loss; bring the residual to O(1) with it.
        enhance: derivatives of the residual that are to vanish too, as `("x", "t")`; `"xx"` is one of order two. With
            factors of their own: `{"x": 0.01, "xx": 0.0001}`. In the interior of a domain only, where the residual
            vanishes all around a point. See `Enhancement`.
        enhance_weight: the factor of their squares, relative to that of the residual, where `enhance` has none.

    Raises:
        ConfigurationError: a derivative is not by the region's coordinates, or the region is not a domain.
    """

    def __init__(
        self,
        region: Region,
        function: Callable[..., Any],
        weight: float = 1.0,
        enhance: Sequence[str] | Mapping[str, float] = (),
        enhance_weight: float = WEIGHT,
    ) -> None:
        super().__init__(region, weight)
        if not callable(function):
            raise ConfigurationError(f"Residual: function must be a function, got {type(function).__name__}")
        self.function = function
        self.looks_along_normals = takes_normals(region, function)
        self.enhancement = Enhancement.of(enhance, enhance_weight, region.coordinates)
        if enhance and not region.is_full_dimensional:
            raise ConfigurationError("enhance: only a residual inside a domain can have it, not one on a boundary")

    def rows(self, points: Tensor) -> Tensor:
        """The points, and where the function asks for them their outward unit normals."""
        return with_normals(self.region, points) if self.looks_along_normals else points

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The function's value."""
        result = at.call(self.function, f"residual {self.name!r}", **normal_of(self, at))
        return result if isinstance(result, (tuple, list)) else (result,)


def takes_normals(region: Region, function: Callable[..., Any]) -> bool:
    """Whether a function is given `normal`: on a boundary, where it names it or takes all there is (`**anything`)."""
    return not region.is_full_dimensional and (asks_for(function, "normal") or takes_all(function))


def normal_of(condition: Condition, at: Evaluation) -> dict[str, Tensor]:
    """What a function on a boundary may name beside the rest; without columns where it does not, see `rows`."""
    return {} if condition.region is None or condition.region.is_full_dimensional else {"normal": at.extras}


def with_normals(region: Region | None, points: Tensor) -> Tensor:
    """The points of a region and their outward unit normals, `(n, 2 d)`."""
    assert region is not None  # a condition that brings its own points has none
    return torch.cat([points, region.normals(points)], -1)


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0 and bool(value.isfinite())
    return is_finite(value)


class _Targets(Condition):
    """A condition on some unknowns, each with its target."""

    by_name = "; a prescribed value has the name of its unknown, as u=0.0"

    def __init__(self, region: Region | None, weight: float, targets: Mapping[str, Any]) -> None:
        super().__init__(region, weight)
        if not targets:
            raise ConfigurationError(f"{type(self).__name__}: name at least one unknown, for example u=0.0")
        for name, target in targets.items():
            if not callable(target) and not _is_finite(target):
                raise ConfigurationError(
                    f"{type(self).__name__}: {name} must be a finite number or a function of the coordinates, got "
                    f"{target if isinstance(target, (Real, str)) else type(target).__name__}"
                )
        self.targets = {name: float(target) if isinstance(target, Real) else target for name, target in targets.items()}

    def names(self) -> Sequence[str]:
        """The unknowns with targets."""
        return tuple(self.targets)

    def targets_at(self, at: Evaluation) -> dict[str, Tensor]:
        """The prescribed values; those that are one number are repeated."""
        found = {}
        for name, target in self.targets.items():
            value = self._target(target, at)
            found[name] = torch.as_tensor(value).to(at.points).expand(len(at.points))
        return found

    def _target(self, target: Target, at: Evaluation) -> Any:
        return self._value(target, at)


class Dirichlet(_Targets):
    """Prescribed values: u = g.

    Args:
        region: where, mostly a boundary or the face of the initial time.
        weight: the factor in the loss.
        **targets: for each unknown a number or a function of the coordinates.
    """

    def __init__(self, region: Region, weight: float = 1.0, **targets: Target) -> None:
        super().__init__(region, weight, targets)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """U - g for each unknown with a target."""
        return [at.fields[name] - self._target(target, at) for name, target in self.targets.items()]


class _OnBoundary(_Targets):
    """A condition that needs the outward normal; it is stored beside the points."""

    looks_along_normals = True

    def rows(self, points: Tensor) -> Tensor:
        """The points and their outward unit normals, `(n, 2 d)`."""
        return with_normals(self.region, points)

    def _flux(self, name: str, at: Evaluation) -> Tensor:
        return at.fields[name].along(at.extras)

    def _target(self, target: Target, at: Evaluation) -> Any:
        return self._value(target, at, normal=at.extras)


class Neumann(_OnBoundary):
    """Prescribed outward normal derivative: du/dn = g, or g(u). On the face of an initial time it is -u_t = g.

    Args:
        region: a boundary or a face.
        weight: the factor in the loss.
        **targets: for each unknown a number or a function of the coordinates (and of `normal` and unknowns).
    """

    def __init__(self, region: Region, weight: float = 1.0, **targets: Target) -> None:
        super().__init__(region, weight, targets)
        self.looks_along_normals = any(callable(target) or bool(target) for target in targets.values())

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """du/dn - g for each unknown with a target."""
        return [self._flux(name, at) - self._target(target, at) for name, target in self.targets.items()]


class Robin(_OnBoundary):
    """A mixed condition: alpha u + beta du/dn = g.

    Args:
        region: a boundary or a face.
        alpha: the factor of the value, a number; one that varies stands in a `Residual`.
        beta: the factor of the outward normal derivative.
        weight: the factor in the loss.
        **targets: g for each unknown, a number or a function of the coordinates (and of `normal`). What depends on the
            unknown itself, du/dn = g(u), is a `Neumann` condition.
    """

    def __init__(
        self, region: Region, alpha: float = 1.0, beta: float = 1.0, weight: float = 1.0, **targets: Target
    ) -> None:
        super().__init__(region, weight, targets)
        self.alpha, self.beta = _factor("alpha", alpha), _factor("beta", beta)
        for name, target in targets.items():
            if callable(target) and asks_for(target, name):
                raise ConfigurationError(
                    f"Robin: {name} must be a function of the coordinates, got one of {name} itself; it is g of "
                    f"alpha {name} + beta d{name}/dn = g. For d{name}/dn = g({name}) write Neumann(region, {name}=g)"
                )

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """Alpha u + beta du/dn - g for each unknown with a target."""
        return [
            self.alpha * at.fields[name] + self.beta * self._flux(name, at) - self._target(target, at)
            for name, target in self.targets.items()
        ]


def _factor(key: str, value: Any) -> Any:
    """A factor of a Robin condition, which is one number."""
    if callable(value):
        raise ConfigurationError(
            f"Robin: {key} must be a finite number, got a function; where it varies, write the condition as "
            "Residual(region, lambda u, normal, x: h(x) * u + u.along(normal) - g(x))"
        )
    return finite(f"Robin: {key}", value)


class Periodic(Condition):
    """Equal values, and equal derivatives up to an order, at both ends of a coordinate.

    Args:
        domain: the whole domain.
        coordinate: the periodic one; its ends must be faces of the domain.
        order: the highest derivative that must agree; p - 1 for an equation of order p, so 1 by default.
        weight: the factor in the loss.
        unknowns: which ones; all by default. Give those of other orders a condition of their own.
        orders: the derivatives that must agree, where they are not all up to `order`: `(1,)` leaves the value free, as
            where only a flux is periodic.

    Raises:
        ConfigurationError: the ends are no copies of each other, or an order is no whole number >= 0; in a problem,
            when it has no such unknown.
    """

    def __init__(
        self,
        domain: Domain,
        coordinate: str,
        order: int = 1,
        weight: float = 1.0,
        unknowns: Sequence[str] | None = None,
        orders: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(domain, Domain):
            raise ConfigurationError(f"Periodic: domain must be a domain, got {type(domain).__name__}")
        if coordinate not in domain.coordinates:
            raise unknown("coordinate of a periodic condition", coordinate, domain.coordinates)
        column = domain.coordinates.index(coordinate)
        super().__init__(domain.face(**{coordinate: domain.low[column]}), weight)
        if orders is not None:
            check_list("Periodic", orders=orders)
        for k in (order, *(orders or ())):
            if isinstance(k, bool) or not isinstance(k, int) or k < 0:
                raise ConfigurationError(f"order: a periodic condition needs 0 (the value alone) or more, got {k}")
        if unknowns is not None:
            check_names("Periodic.unknowns", unknowns, "u")
        if any(chosen is not None and not chosen for chosen in (unknowns, orders)):
            raise ConfigurationError("Periodic: unknowns and orders must be lists with something in them")
        self.coordinate, self.unknowns = coordinate, None if unknowns is None else tuple(unknowns)
        self.orders = tuple(range(order + 1)) if orders is None else tuple(orders)
        self._column, self._width = column, domain.high[column] - domain.low[column]
        self._check_ends(domain)

    def _check_ends(self, domain: Domain) -> None:
        low, high = domain.low[self._column], domain.high[self._column]
        first, last = (domain.face(**{self.coordinate: end}) for end in (low, high))
        moved, _ = first.quadrature(100)
        moved[:, self._column] = high
        if not math.isclose(first.measure, last.measure) or not last.contains(moved).all():
            name = self.coordinate
            raise ConfigurationError(
                f"periodic: the faces {name} = {low:g} and {name} = {high:g} of {domain!r} are no copies of each other"
            )

    def names(self) -> Sequence[str]:
        """The chosen unknowns."""
        return self.unknowns or ()

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The jump of each chosen unknown and of its derivatives across the periodic boundary."""
        along = torch.arange(at.points.shape[-1], device=at.points.device) == self._column
        other = at.elsewhere(at.points + self._width * along.to(at.points.dtype))
        return [
            left.d(*[self.coordinate] * k) - other.fields[name].d(*[self.coordinate] * k)
            for name, left in at.fields.items()
            if self.unknowns is None or name in self.unknowns
            for k in self.orders
        ]
