"""Derivatives of networks with respect to their inputs: `partials` is the one entry point.

The engine `"taylor"` (jet.py, rules.py) carries derivatives forward through the network; `"reverse"`
(reverse.py) nests reverse-mode differentiation and serves as oracle and fallback.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.derivatives import reverse, rules
from pinnlab.derivatives.fields import AbstractField, Field, Partials, RecordingField, divergence
from pinnlab.derivatives.jet import Channel, Jet, Laplacian, MultiIndex, Wanted, downward_closure, lift
from pinnlab.errors import UnsupportedOperationError, unknown

__all__ = [
    "ENGINES",
    "AbstractField",
    "Field",
    "Jet",
    "MultiIndex",
    "Partials",
    "RecordingField",
    "Wanted",
    "divergence",
    "downward_closure",
    "partials",
    "resolve_engine",
    "rules",
]

ENGINES = ("auto", "taylor", "reverse")

Function = Callable[[Tensor], Tensor]


def partials(function: Function, points: Tensor, wanted: Wanted, engine: str = "taylor") -> Partials:
    """Computes a function's value and derivatives at points.

    Args:
        function: `(n, d) -> (n, m)`, an `nn.Module` or any function in torch operations that treats each point
            on its own.
        points: `(n, d)`.
        wanted: which derivatives.
        engine: `"taylor"`, `"reverse"`, or `"auto"` (Taylor, and reverse when an operation has no rule).

    Raises:
        UnsupportedOperationError: with `"taylor"`, when an operation has no rule.
        ConfigurationError: the engine's name is unknown.
    """
    if engine not in ENGINES:
        raise unknown("derivative engine", engine, ENGINES)
    if not wanted:
        return Partials(function(points), {}, {})
    if engine == "auto":
        engine = resolve_engine(function, points[:2], wanted)
    if engine == "reverse":
        return Partials(*reverse.differentiate(function, points, wanted))
    jet = function(lift(points, wanted))  # type: ignore[arg-type]
    return _unpack(jet, wanted, points)


def resolve_engine(function: Function, points: Tensor, wanted: Wanted) -> str:
    """`"taylor"` when every operation of the function has a rule, else `"reverse"`, with one line of warning."""
    try:
        with torch.no_grad():
            partials(function, points, wanted, "taylor")
    except UnsupportedOperationError as error:
        warnings.warn(f"derivatives by nested reverse mode instead of Taylor mode: {error}", stacklevel=2)
        return "reverse"
    return "taylor"


def _unpack(jet: Jet | Tensor, wanted: Wanted, points: Tensor) -> Partials:
    if not isinstance(jet, Jet):  # the function is constant in the coordinates
        zero = torch.zeros_like(jet)
        return Partials(jet, dict.fromkeys(wanted.partials, zero), dict.fromkeys(wanted.laplacians, zero))

    def full(channel: Tensor | None) -> Tensor:
        return torch.zeros_like(jet.value) if channel is None else channel.expand(jet.shape)

    def laplacian(axes: MultiIndex) -> Tensor:
        key: Channel = Laplacian(axes)
        return full(jet.higher[key])

    return Partials(
        jet.value,
        {index: full(jet.channel(index)) for index in wanted.partials},
        {axes: laplacian(axes) for axes in wanted.laplacians},
    )
