"""What the functions of a problem are given, and how they are called: by the names of their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.derivatives.expressions import expressions, plain
from pinnlab.derivatives.known import Known
from pinnlab.derivatives.moved import looking
from pinnlab.domains.functions import on_pairs
from pinnlab.errors import ConfigurationError, unknown


@dataclass(frozen=True)
class Evaluation:
    """The unknowns at the points of one condition.

    Attributes:
        fields: the unknowns by name.
        coordinates: their names, one per column of the points.
        points: `(n, d)`.
        extras: `(n, k)` what the condition stored beside its points (normals, observed values).
        coefficients: the problem's trainable coefficients by name.
        elsewhere: the same unknowns at other points `(n, d)`.
        expressions: whether unknowns and coordinates are handed over as expressions, which can be differentiated.
        given: the problem's data by name, as functions of points.
        places: of points that are all pairs of some functions and some places, how many places; None of any others.
        asked: in place of `elsewhere` where a user's function looks at other points, `u.at(t=t - 1)`.
    """

    fields: Mapping[str, AbstractField]
    coordinates: tuple[str, ...]
    points: Tensor
    extras: Tensor
    coefficients: Mapping[str, Tensor]
    elsewhere: Callable[[Tensor], Evaluation]
    expressions: bool = False
    given: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    places: tuple[int, ...] | None = None
    asked: Callable[[Tensor], Evaluation] | None = None

    def __post_init__(self) -> None:
        asked = self.asked or self.elsewhere
        for name, own in self.fields.items():
            looking(own, self.points, lambda there, name=name: asked(there).fields[name])  # type: ignore[misc]

    def arguments(self, more: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Everything a user's function may ask for by name; `more` beside it."""
        known = on_pairs(self.given, self.places)
        fields = {**{name: self._known(name, self.points, known[name]) for name in known}, **self.fields}
        if self.expressions:
            known_as = expressions(fields, self.coordinates, self.points)
            return {**self.coefficients, **known_as, **(more or {})}
        return Arguments({**self.coefficients, **fields, **(more or {})}, self.coordinates, self.points)

    def _known(self, name: str, points: Tensor, function: Callable[[Any], Any]) -> Known:
        """Given data at points, and at others by the function that makes nothing of pairs."""
        anywhere = self.given[name]
        field = Known(name, self.coordinates, points, function)
        return looking(field, points, lambda there: self._known(name, there, anywhere))

    def call(self, function: Callable[..., Any], where: str, **more: Any) -> Any:
        """What a user's function returns, in plain tensors.

        Args:
            function: see `call_by_name`.
            where: the key to name in an error.
            **more: further arguments by name.
        """
        return plain(call_by_name(function, self.arguments(more), where))


class Arguments(Mapping[str, Any]):
    """What a function may ask for by name. A coordinate is taken out of the points when it is asked for.

    Args:
        given: all but coordinates and points.
        coordinates: the names of the columns of the points.
        points: `(n, d)`, a tensor or a jet.
    """

    def __init__(self, given: Mapping[str, Any], coordinates: tuple[str, ...], points: Any) -> None:
        self._given, self._coordinates = {"points": points, **given}, coordinates
        self._points = points

    def __getitem__(self, name: str) -> Any:
        if name in self._given:
            return self._given[name]
        if name not in self._coordinates:
            raise KeyError(name)
        return self._points[:, self._coordinates.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._given, *self._coordinates))

    def __len__(self) -> int:
        return len(self._given) + len(self._coordinates)


def asks_for(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # what is no function, or does not tell, is refused elsewhere
        return False


def takes_all(function: Callable[..., Any]) -> bool:
    """Whether a function takes arguments of any name, `**anything`; a built-in one does not tell."""
    try:
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False


def call_by_name(function: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> Any:
    """Calls a function with the arguments that it names; tensors among them are its own, to be written into.

    Args:
        function: its parameters' names say what it needs; `**anything` receives all.
        arguments: what is there.
        where: the key to name in an error.

    Raises:
        ConfigurationError: a required parameter is not there.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:  # built-in functions do not tell their parameters' names
        raise ConfigurationError(f"{where}: write it as a function of named arguments, not {function}") from error
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function(**{name: _own(value) for name, value in arguments.items()})
    chosen = {}
    for parameter in parameters:
        if parameter.name in arguments:
            chosen[parameter.name] = _own(arguments[parameter.name])
        elif parameter.default is parameter.empty:
            raise unknown(f"argument of {where}", parameter.name, arguments)
    return function(**chosen)


def _own(value: Any) -> Any:
    """A copy of a tensor: `x *= 2` in a user's function must not move the points that are trained on."""
    return value.clone() if isinstance(value, Tensor) else value


def stacked(result: Any, where: str) -> Any:
    """The values of a user's function, one or several for each point, as the columns of one tensor (or jet).

    Args:
        result: `(n,)`, or a tuple of such.
        where: the key to name in an error.

    Raises:
        ConfigurationError: it returned nothing, or something that is no tensor.
    """
    parts = list(result) if isinstance(result, (tuple, list)) else [result]
    for part in parts:
        if not hasattr(part, "shape") or isinstance(part, np.ndarray):
            raise ConfigurationError(f"{where}: must return a tensor (n,) for each unknown, got {type(part).__name__}")
    return torch.stack(parts, -1)
