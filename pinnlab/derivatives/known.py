"""Fields that are known: functions of the coordinates, with derivatives by the Taylor engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.fields import AbstractField
from pinnlab.derivatives.jet import Jet, Wanted
from pinnlab.derivatives.lifting import lift
from pinnlab.derivatives.multi_index import MultiIndex, downward_closure


class Known(AbstractField):
    """A known function at points: its value in arithmetic, its derivatives by name, as an unknown has them.

    Value and derivatives are computed when they are asked for.

    Args:
        name: for messages.
        coordinates: the names of the columns of the points.
        points: `(n, d)`.
        function: `(n, d)` tensor or jet -> `(n,)`, in torch operations that the Taylor engine can follow.
    """

    def __init__(self, name: str, coordinates: tuple[str, ...], points: Tensor, function: Callable[[Any], Any]) -> None:
        self._name, self._coordinates, self._points, self._function = name, coordinates, points, function
        self._jets: dict[tuple[MultiIndex, ...], Jet | Tensor] = {}

    @property
    def value(self) -> Tensor:
        """The function itself, `(n,)`; a copy, as of a `Field`."""
        return self._values.clone()

    @functools.cached_property
    def _values(self) -> Tensor:
        return self._function(self._points)

    def jet(self, channels: tuple[MultiIndex, ...]) -> Jet | Tensor:
        """Value and derivatives of a downward-closed set; a plain tensor where the function is a constant."""
        if channels not in self._jets:
            self._jets[channels] = self._function(lift(self._points, Wanted(frozenset(channels))))
        return self._jets[channels]

    def _partial(self, index: MultiIndex) -> Tensor:
        if not index:
            return self.value
        jet = self.jet(downward_closure([index]))
        found = jet.channel(index) if isinstance(jet, Jet) else None
        return torch.zeros_like(self._values) if found is None else found.expand(len(self._points)).clone()
