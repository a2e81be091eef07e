"""Points as a user gives them, an array or coordinates by name, and values in the same kind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import Jet
from pinnlab.domains import Box, Domain, Region
from pinnlab.domains.base import place_in_words
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.torch_version import has_values, is_traced


@dataclass(frozen=True)
class Places:
    """Where something is evaluated, and how its values are handed back.

    Attributes:
        points: `(n, d)`, in the dtype and on the device of the solution.
        shape: of the values: `(n,)` for an array of points, that of the broadcast coordinates otherwise.
        device: of torch values; None for values that go to NumPy.
        is_number: whether all coordinates were plain numbers.
    """

    points: Tensor
    shape: tuple[int, ...]
    device: torch.device | None
    is_number: bool = False

    def returned(self, values: Tensor) -> Any:
        """Values `(n, ...)` in the kind of the points: torch, NumPy, or a number."""
        shaped = values.reshape((*self.shape, *values.shape[1:]))
        if self.device is not None:
            return shaped.to(self.device)
        array = shaped.detach().cpu().numpy()
        return array.item() if self.is_number and array.ndim == 0 else array


def places(coordinates: Sequence[str], like: Tensor, points: Any, named: Mapping[str, Any]) -> Places:
    """Reads points `(n, d)`, or coordinates by name that are broadcast against each other.

    Args:
        coordinates: the d names.
        like: a tensor of the wanted dtype and device.
        points: an array or tensor; None when coordinates are named.
        named: numbers, arrays or tensors.

    Raises:
        ConfigurationError: both are given or neither; a coordinate is missing, unknown or no number; shapes do not fit.
    """
    if (points is None) == (not named):
        names = ", ".join(f"{name}=..." for name in coordinates)
        raise ConfigurationError(f"points: give an array (n, {len(coordinates)}), or coordinates by name: {names}")
    return _by_name(coordinates, like, named) if points is None else _as_array(coordinates, like, points)


def _as_array(coordinates: Sequence[str], like: Tensor, points: Any) -> Places:
    rows = _numbers("points", points)
    if rows.ndim != 2 or rows.shape[1] != len(coordinates):
        raise ConfigurationError(
            f"points: expected shape (n, {len(coordinates)}) for coordinates {', '.join(coordinates)}; "
            f"got {tuple(rows.shape)}"
        )
    return Places(rows.to(like), (len(rows),), points.device if isinstance(points, Tensor) else None)


def _by_name(coordinates: Sequence[str], like: Tensor, named: Mapping[str, Any]) -> Places:
    for name in named:
        if name not in coordinates:
            raise unknown("coordinate", name, coordinates)
    missing = [name for name in coordinates if name not in named]
    if missing:
        raise ConfigurationError(f"{missing[0]}: is missing; give every coordinate ({', '.join(coordinates)}) a value")
    given = [named[name] for name in coordinates]
    device = next((value.device for value in given if isinstance(value, Tensor)), None)
    columns = [_numbers(name, value).to(like) for name, value in zip(coordinates, given, strict=True)]
    try:
        columns = list(torch.broadcast_tensors(*columns))
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(c.shape)}" for name, c in zip(coordinates, columns, strict=True))
        raise ConfigurationError(f"coordinates: their shapes cannot be broadcast: {shapes}") from error
    points = torch.stack([column.reshape(-1) for column in columns], -1)
    return Places(points, tuple(columns[0].shape), device, all(isinstance(value, Real) for value in given))


def _numbers(key: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values
    if isinstance(values, Jet):
        raise ConfigurationError(
            f"{key}: must be numbers, got what another problem differentiates; give it the solution itself, as "
            "Given('w', solution.w)"
        )
    try:
        return torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{key}: must be numbers, got {type(values).__name__}") from error


def places_in(
    domain: Domain,
    like: Tensor,
    points: Any,
    named: Mapping[str, Any],
    home: tuple[str, Region] | None,
    filled: bool,
) -> Places:
    """The same for the coordinates of a domain, with a warning of points outside of it.

    Points that are outside by less than 1e-3 of the domain's shortest side, as rounded nodes of a mesh, are in it.

    Args:
        domain: where the solution was trained.
        like: a tensor of its dtype and device.
        points: `(n, d)`, or None.
        named: coordinates by name.
        home: the name of what is asked for, and where in the domain it lives, if that is a part of it.
        filled: whether coordinates that do not matter were made up: then no more than the domain's box can be asked of
            the others.
    """
    found = places(domain.coordinates, like, points, named)
    region = Box(domain.coordinates, domain.low, domain.high) if filled else domain
    if not warn_of_untrained(domain, found.points, region, "lie outside of the domain", 5) and home is not None:
        warn_of_untrained(domain, found.points, home[1], f"lie where {home[0]} does not live", 5)
    return found


def warn_of_untrained(domain: Domain, points: Tensor, region: Region, what: str, level: int) -> bool:
    """Warns of points at which a solution was not trained; whether there are such.

    Args:
        domain: where it was trained.
        points: `(n, d)`.
        region: where the points should be.
        what: of those that are not, for the message.
        level: of the call that the warning is about, see `warnings.warn`.
    """
    outside = ~region.contains(points, tolerance(domain))
    if is_traced() or not has_values(outside) or not outside.any():  # a function of another problem may call it, too
        return False
    first = place_in_words(domain.coordinates, points[outside][0])
    warnings.warn(
        f"{int(outside.sum())} of {len(outside)} points {what}, the first at {first}; what the solution says there was "
        "not trained",
        stacklevel=level,
    )
    return True


def tolerance(domain: Domain) -> float:
    """How far outside a point still counts as inside, as rounded nodes of a mesh."""
    return 1e-3 * min(high - low for low, high in zip(domain.low, domain.high, strict=True))


def home_of(problem: Any, name: str) -> Region | None:
    """Where an unknown lives; None for the domain, and where it has fewer coordinates, which need not be given."""
    own = problem.living[name]
    return None if own.coordinates is not None else own.on


def coordinates_of(problem: Any, name: str) -> list[str]:
    """The coordinates on which an unknown depends."""
    return [problem.coordinates[i] for i in problem.living[name].columns(problem.coordinates)]
