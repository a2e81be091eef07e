"""What an unknown depends on and where it lives, if that is not the whole domain."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import Domain, Region
from pinnlab.domains.functions import function_columns, function_numbers
from pinnlab.errors import ConfigurationError, check_names, unknown
from pinnlab.samplers import Sobol


@dataclass(frozen=True)
class Unknown:
    """A function that is sought.

    Args:
        coordinates: those that it depends on, as `("x",)` for k(x) beside u(x, t): its derivatives by the others are
            zero. Default: all of the domain's.
        on: the part of the domain that it lives on, a subdomain or a piece of a boundary; conditions may use it there
            only, and errors and figures are of there. Default: everywhere.
    """

    coordinates: Sequence[str] | None = None
    on: Region | None = None

    def lives_at(self, points: Tensor) -> Tensor:
        """At which of `(n, d)` points of the domain it lives, `(n,)` booleans."""
        if self.on is None:
            return torch.ones(len(points), dtype=torch.bool, device=points.device)
        return self.on.contains(points)

    def columns(self, coordinates: Sequence[str]) -> tuple[int, ...]:
        """The columns of points with these coordinates that it depends on."""
        return tuple(i for i, name in enumerate(coordinates) if self.coordinates is None or name in self.coordinates)


def checked(problem: str, domain: Domain, unknowns: Any) -> dict[str, Unknown]:
    """The unknowns of a problem by name, looked at.

    Args:
        problem: its name, for messages.
        domain: where it is posed.
        unknowns: names, or what is known of each by name.

    Raises:
        ConfigurationError: they are something else; one depends on a coordinate that the domain has not, or lives on
            something that is no part of it.
    """
    names = list(unknowns) if isinstance(unknowns, (Mapping, list, tuple)) else [None]
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ConfigurationError(f"problem {problem}: unknowns must be a list of names such as ['u'], got {unknowns!r}")
    if not isinstance(unknowns, Mapping):
        return {name: Unknown() for name in names if name is not None}
    for name, own in unknowns.items():
        if not isinstance(own, Unknown):
            raise ConfigurationError(f"problem {problem}: unknowns: {name!r} must be an Unknown, got {own!r}")
        _check(f"unknown {name!r}", own, domain)
    return dict(unknowns)


def _check(what: str, own: Unknown, domain: Domain) -> None:
    """Refuses coordinates that the domain has not, and regions that are no part of it."""
    if own.coordinates is not None:
        check_names(f"{what}: coordinates", own.coordinates, domain.coordinates[0])
        if not own.coordinates:
            raise ConfigurationError(f"{what}: coordinates: is empty; what depends on none is a Coefficient")
        for name in own.coordinates:
            if name not in domain.coordinates:
                raise unknown(f"coordinate of {what}", str(name), domain.coordinates)
    if own.on is None:
        return
    if not isinstance(own.on, Region):
        raise ConfigurationError(f"{what}: on must be a part of the domain, got {type(own.on).__name__}")
    inside = own.on.coordinates == domain.coordinates and domain.contains(Sobol().sample(own.on, 64, seed=0)).all()
    if not inside:
        raise ConfigurationError(f"{what}: on={own.on!r} is no part of the domain {domain!r}")


def alike(unknowns: Mapping[str, Unknown], coordinates: Sequence[str]) -> list[list[str]]:
    """The names in groups that depend on the same coordinates and live on the same region: those share a network."""
    groups: list[list[str]] = []
    for name, own in unknowns.items():
        for group in groups:
            first = unknowns[group[0]]
            if own.on is first.on and own.columns(coordinates) == first.columns(coordinates):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def with_regions(
    unknowns: Iterable[Unknown],
    points: Tensor,
    count: int,
    functions: Sequence[int] = (),
    least: int = 100,
    most: int = 1000,
) -> Tensor:
    """Points `(n, d)`, and after them some of those regions on which unknowns live that too few of them lie on.

    Args:
        unknowns: whose regions.
        points: of the domain.
        count: about how many there are to be.
        functions: the columns that say which function a point has; added points take those of the others in turns.
        least: how many of a region are enough.
        most: how many are added for one that has fewer.
    """
    regions = [own.on for own in unknowns if own.on is not None and own.lives_at(points).sum() < min(least, count)]
    added = torch.cat([points[:0], *(Sobol().sample(region, min(most, count), seed=0) for region in regions)])
    if functions and len(added):
        known = points[:, list(functions)].unique(dim=0)
        added[:, list(functions)] = known[torch.arange(len(added)) % len(known)]
    return torch.cat([points, added])


def with_reference(names: Sequence[str], reference: Tensor) -> list[tuple[str, int]]:
    """The unknowns whose reference `(n, m)` is known somewhere, and their columns."""
    return [(name, i) for i, name in enumerate(names) if not bool(reference[:, i].isnan().all())]


def known_pair(values: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Values `(n,)` and their reference, where that is known; it is NaN elsewhere."""
    known = ~reference.isnan()
    return (values, reference) if bool(known.all()) else (values[known], reference[known])


@dataclass(frozen=True)
class Shown:
    """An unknown where it lives, over the coordinates that it depends on: what a figure draws.

    Attributes:
        coordinates: their k names.
        points: `(n, k)`.
        values: `(n,)`.
        reference: `(n,)`, or None where none is known.
        function: `(n,)` the number of each point's function, of an operator; None else.
    """

    coordinates: tuple[str, ...]
    points: Tensor
    values: Tensor
    reference: Tensor | None
    function: Tensor | None = None


def shown(problem: Any, name: str, points: Tensor, values: Tensor, reference: Tensor | None) -> Shown:
    """One unknown of a problem at the points where it lives, each place once.

    Args:
        problem: the `Problem`.
        name: of the unknown.
        points: `(n, d)`.
        values: `(n, m)` all unknowns there.
        reference: `(n, m)`, NaN where it is not known, or None.

    Raises:
        ConfigurationError: none of the points is where it lives.
    """
    own, column, coordinates = problem.living[name], problem.unknowns.index(name), problem.coordinates
    exact = None if reference is None or reference[:, column].isnan().all() else reference[:, column]
    if own.on is None and own.columns(coordinates) == tuple(range(len(coordinates))):
        return Shown(tuple(coordinates), points, values[:, column], exact, function_numbers(problem.domain, points))
    there = own.lives_at(points)
    if not bool(there.any()):
        raise ConfigurationError(f"unknown {name!r}: lives at none of {len(points)} points; use more of them")
    rows = there.nonzero()[:, 0]
    columns = [i for i in own.columns(coordinates) if bool((points[rows, i] != points[rows[0], i]).any())]
    functions = set(function_columns(problem.domain)) <= set(own.columns(coordinates))
    columns = columns or list(own.columns(coordinates))
    places, numbers = torch.unique(points[rows][:, columns], dim=0, return_inverse=True)
    first = torch.full((len(places),), len(points)).scatter_reduce(0, numbers, rows.cpu(), "amin")
    return Shown(
        tuple(coordinates[i] for i in columns),
        places,
        values[first, column],
        None if exact is None else exact[first],
        function_numbers(problem.domain, points[first]) if functions else None,
    )


def check_arguments(names: Iterable[str], condition: Any) -> None:
    """Refuses unknowns that a condition which is given values by their names takes for arguments of its own.

    Raises:
        ConfigurationError: there is one, such as a stress `sigma` beside `Observations`.
    """
    kind = type(condition)
    arguments = inspect.signature(kind).parameters
    if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values()):
        return
    for name in names:
        if name in arguments:
            raise ConfigurationError(
                f"condition {condition.name!r}: {kind.__name__} has an argument of the name of the unknown {name!r}; "
                f"call the unknown something else, such as {name + '_'!r}"
            )
