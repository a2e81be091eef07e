"""Points with other values of some coordinates: where `u.at(t=t - 1)` looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import torch
from torch import Tensor

from pinnlab.derivatives.fields import AbstractField
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.constants import constant_like

Kind = TypeVar("Kind", bound=AbstractField)


def looking(field: Kind, points: Tensor, elsewhere: Callable[[Tensor], AbstractField]) -> Kind:
    """The same field, which is known at other points too.

    Args:
        field: at some points.
        points: these, `(n, d)`.
        elsewhere: gives it at others.
    """
    name, coordinates = field._name, field._coordinates  # not the field itself, which would be kept alive
    field._elsewhere = lambda places: elsewhere(moved(name, coordinates, points, places))
    return field


def moved(owner: str, coordinates: Sequence[str], points: Tensor, places: Mapping[str, Any]) -> Tensor:
    """The points `(n, d)` with other values of some coordinates.

    Args:
        owner: the name of what is asked for there, for messages.
        coordinates: the names of the columns of the points.
        points: `(n, d)`.
        places: by coordinate a number, or `(n,)` numbers, in plain tensors.

    Raises:
        ConfigurationError: there is no name, or it is no coordinate, or its value is neither a number nor one for each
            point.
    """
    if not places:
        derivative = f"; the derivative is {owner}.d('a', 't')" if {"a", "t"} <= set(coordinates) else ""
        raise ConfigurationError(f"{owner}.at: name the coordinates, as in {owner}.at(t=t - 1){derivative}")
    columns = torch.arange(points.shape[-1], device=points.device)
    for name, place in places.items():
        if name not in coordinates:
            raise unknown(f"coordinate of {owner}.at", name, coordinates)
        # A number is filled in where the points are: a GPU would wait for a copy of it.
        value = points.new_full((), float(place)) if isinstance(place, Real) else place
        if not isinstance(value, Tensor) or value.shape not in ((), points.shape[:1]):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(place).__name__
            raise ConfigurationError(f"{owner}.at: {name} must be a number or a tensor (n,), got {got}")
        value = constant_like(value, points)
        points = torch.where(columns == coordinates.index(name), value.expand(len(points))[:, None], points)
    return points
