"""Functions of an operator as a user gives them: by coefficients, or as functions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import Domain, FunctionSpace, function_spaces
from pinnlab.domains.functions import function_columns
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.torch_version import has_values
from pinnlab.samplers import Grid

SENSORS = 1024
"""Places at which a function is asked for the nearest one of its space: many more than it has modes."""


def with_functions(domain: Domain, named: Mapping[str, Any], needed: bool = True) -> dict[str, Any]:
    """Coordinates by name, with the coefficients of functions in place of these.

    Args:
        domain: with spaces of functions among its factors, or without.
        named: coordinates, and functions by the name of their space: coefficients `(..., modes)`, of which each
            becomes a coordinate `(...)`, a number where there is one function and nobody differentiates by it; or a
            function of the places.
        needed: whether a function that is not given, nor any of its coefficients, is an error.

    Raises:
        ConfigurationError: a function is missing or given twice, or what is given is none.
    """
    found = dict(named)
    for space in function_spaces(domain):
        if space.name in found:
            if twice := [name for name in space.coordinates if name in found]:
                raise ConfigurationError(f"{twice[0]}: is given by {space.name} already; leave out one of them")
            values = _coefficients(space, found.pop(space.name))
            for k, name in enumerate(space.coordinates):
                found[name] = values[..., k] if values.ndim > 1 or _is_differentiated(values) else float(values[k])
        elif needed and named and not set(space.coordinates) & set(found):
            raise ConfigurationError(f"{space.name}: is missing; give {_wanted(space)}")
    return found


def within_whatever_function(domain: Domain, points: Tensor) -> Tensor:
    """Which of `(n, d)` points have their place in a domain, `(n,)`.

    A function beyond the bound of its space is none that a solution was trained for, but not outside of anything.
    """
    moved, columns = points.clone(), function_columns(domain)
    low, high = (points.new_tensor(ends)[columns] for ends in (domain.low, domain.high))
    moved[:, columns] = moved[:, columns].clamp(low, high)
    return domain.contains(moved)


def _is_differentiated(values: Any) -> bool:
    """Whether coefficients are followed by autograd or a `torch.func` transform, which a plain number would end."""
    return isinstance(values, Tensor) and (values.requires_grad or not has_values(values))


def _coefficients(space: FunctionSpace, given: Any) -> Any:
    """`(..., modes)`, in the kind of what was given."""
    if callable(given):
        places = Grid().sample(space.basis.interval, SENSORS, seed=0)
        return space.coefficients(_values(space, given, places)[None], places.squeeze(-1))[0]
    try:
        values = given if hasattr(given, "ndim") else torch.as_tensor(given, dtype=torch.float64).numpy()
    except (RuntimeError, TypeError, ValueError):
        raise ConfigurationError(f"{space.name}: must be {_wanted(space)}") from None
    if not values.ndim or values.shape[-1] != space.basis.modes:
        raise ConfigurationError(f"{space.name}: must be {_wanted(space)}, got the shape {tuple(values.shape)}")
    return values


def _values(space: FunctionSpace, function: Any, places: Tensor) -> Tensor:
    try:
        return torch.as_tensor(_called(space, function, places), dtype=torch.float64).expand(len(places))
    except (RuntimeError, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        raise ConfigurationError(f"{space.name}: as a function of {_places(space)} it fails: {message}") from error


def _called(space: FunctionSpace, function: Any, places: Tensor) -> Any:
    """By the names of its arguments, as all functions are; one that has other names, in the coordinates' order."""
    columns = dict(zip(space.basis.interval.coordinates, places.T, strict=True))
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-in functions do not tell
        return function(*columns.values())
    named = {a.name: columns[a.name] for a in arguments if a.kind is not a.POSITIONAL_ONLY and a.name in columns}
    return function(**named) if named else function(*columns.values())


def _places(space: FunctionSpace) -> str:
    return " and ".join(space.basis.interval.coordinates)


def _wanted(space: FunctionSpace) -> str:
    return f"its {space.basis.modes} coefficients (..., {space.basis.modes}), or a function of {_places(space)}"
