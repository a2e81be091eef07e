"""Derivatives of networks with respect to their inputs: `partials` is the one entry point.

The engine `"taylor"` (jet.py; rules in rules.py, einsum.py, functions.py, formulas.py, layers.py and writing.py)
carries derivatives forward through the network; `"reverse"` (reverse.py) nests reverse-mode differentiation and serves
as oracle and fallback.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.derivatives import einsum, formulas, functions, grids, layers, mapping, reverse, rules, writing
from pinnlab.derivatives.expressions import Expression, d, divergence
from pinnlab.derivatives.fields import AbstractField, Field, Partials, RecordingField
from pinnlab.derivatives.jet import Channel, Jet, Laplacian, Wanted
from pinnlab.derivatives.known import Known
from pinnlab.derivatives.lifting import drawn_axes, lift
from pinnlab.derivatives.multi_index import MultiIndex, downward_closure
from pinnlab.derivatives.sampling import Draws, Sample, Trace
from pinnlab.errors import ConfigurationError, UnsupportedOperationError, first_line, unknown

__all__ = [
    "ENGINES",
    "AbstractField",
    "Expression",
    "Field",
    "Jet",
    "Known",
    "MultiIndex",
    "Partials",
    "RecordingField",
    "Sample",
    "Trace",
    "Wanted",
    "d",
    "divergence",
    "downward_closure",
    "einsum",
    "formulas",
    "functions",
    "grids",
    "layers",
    "mapping",
    "partials",
    "resolve_engine",
    "rules",
    "writing",
]

ENGINES = ("auto", "taylor", "reverse")

Function = Callable[[Tensor], Tensor]


def partials(
    function: Function, points: Tensor, wanted: Wanted, engine: str = "taylor", draws: Draws | None = None
) -> Partials:
    """Computes a function's value and derivatives at points.

    Args:
        function: `(n, d) -> (n, m)`, an `nn.Module` or any function in torch operations that treats each point
            on its own.
        points: `(n, d)`.
        wanted: which derivatives.
        engine: `"taylor"`, `"reverse"`, or `"auto"` (Taylor, and reverse when an operation has no rule).
        draws: what each estimate is computed from.

    Raises:
        UnsupportedOperationError: with `"taylor"`, when an operation has no rule.
        ConfigurationError: the engine's name is unknown.
    """
    if engine not in ENGINES:
        raise unknown("derivative engine", engine, ENGINES)
    if not wanted:
        with reverse.ByFormula():
            return Partials(function(points), {}, {})
    if engine == "auto":
        engine = resolve_engine(function, points[:2], wanted, draws)
    if engine == "reverse":
        return Partials(*reverse.differentiate(function, points, wanted, draws))
    gradient = wanted.backwards
    if not gradient:
        return _unpack(_taylor(function, points, wanted, draws), wanted, points)
    rest = Wanted(wanted.partials - gradient, wanted.laplacians, wanted.samples)
    value, whole = reverse.gradient(function, points)
    firsts = {index: whole[..., index[0]] for index in gradient}
    if not rest:
        return Partials(value, firsts, {}, gradient=whole)
    ahead = _unpack(_taylor(function, points, rest, draws), rest, points)
    return Partials(ahead.value, {**ahead.partials, **firsts}, ahead.laplacians, ahead.samples, whole)


def resolve_engine(
    function: Function, points: Tensor, wanted: Wanted, draws: Draws | None = None, engine: str = "auto"
) -> str:
    """`"taylor"` when every operation of the function has a rule, else `"reverse"`, with one line of warning.

    Args:
        function: a network; the gradients of a module's parameters are looked at, too.
        points: `(n, d)` some at which it is tried.
        wanted: which derivatives.
        draws: where some are estimated.
        engine: the one that was asked for, which is tried only.

    Raises:
        ConfigurationError: the function cannot be differentiated by either, or by the one that was asked for.
    """
    try:
        reason = "" if engine == "reverse" else _wrong_in_taylor_mode(function, points, wanted, draws)
        if engine != "reverse" and not reason:
            return "taylor"
    except UnsupportedOperationError as error:
        if engine == "taylor":
            raise
        reason = str(error)
    if engine == "taylor":
        raise ConfigurationError(f"model.engine: taylor is no choice, because {reason}; set it to auto or reverse")
    try:
        partials(function, points, wanted, "reverse", draws)
    except Exception as error:
        raise ConfigurationError(
            f"model.network: its derivatives cannot be computed: {_in_words(error)}; write it in torch operations on "
            "tensors that depend on the points"
        ) from error
    if engine == "auto":
        warnings.warn(f"derivatives by nested reverse mode instead of Taylor mode: {reason}", stacklevel=2)
    return "reverse"


def _wrong_in_taylor_mode(function: Function, points: Tensor, wanted: Wanted, draws: Draws | None) -> str:
    """What Taylor mode does not do as plain evaluation does; empty for nothing."""
    is_trained = isinstance(function, torch.nn.Module) and not torch.is_inference_mode_enabled()
    parameters = [p for p in function.parameters() if p.requires_grad] if is_trained else []  # type: ignore[attr-defined]
    with torch.set_grad_enabled(bool(parameters)):
        followed = partials(function, points, wanted, "taylor", draws).value
        plain = function(points.detach().requires_grad_() if parameters else points)
    with torch.no_grad():
        if not _agree(followed, plain) and torch.equal(function(points), function(points)):
            return "the network gives other values in Taylor mode; does it ask for the type of its argument?"
    pairs = zip(*(_gradients(value, parameters) for value in (plain, followed)), strict=True)
    if any(bool(a.any()) and not bool(b.any()) for a, b in pairs):
        return "no gradient reaches some parameters in Taylor mode; is there a torch.autograd.Function in the network?"
    return ""


def _gradients(value: Tensor, parameters: list[torch.nn.Parameter]) -> tuple[Tensor, ...]:
    """Those of the sum of a value; zeros where there are none."""
    if not (parameters and value.requires_grad):
        return tuple(map(torch.zeros_like, parameters))
    with torch.enable_grad():
        return torch.autograd.grad(value.sum(), parameters, allow_unused=True, materialize_grads=True)


def _taylor(function: Function, points: Tensor, wanted: Wanted, draws: Draws | None) -> Jet | Tensor:
    """The function's jet; an error that the function does not make on plain tensors is one of the engine."""
    try:
        return function(lift(points, wanted, draws))  # type: ignore[arg-type]
    except UnsupportedOperationError:
        raise
    except Exception as error:
        function(points)  # raises what is wrong with the function itself
        raise UnsupportedOperationError(
            f"the Taylor engine cannot follow this network ({_in_words(error)}): set model.engine to 'reverse' "
            "(slower), or write the network in torch operations"
        ) from error


def _agree(a: Tensor, b: Tensor) -> bool:
    """Whether two values are the same but for round-off; taken for granted where values cannot be read (`vmap`)."""
    if a.shape != b.shape or b.numel() == 0:
        return a.shape == b.shape
    try:
        tolerance = math.sqrt(torch.finfo(b.dtype).eps) * float(b.abs().nan_to_num(0.0, 0.0).max())
        return torch.allclose(a, b, rtol=0.0, atol=tolerance, equal_nan=True)
    except RuntimeError:
        return True


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}".rstrip(".")


def _unpack(jet: Jet | Tensor, wanted: Wanted, points: Tensor) -> Partials:
    if not isinstance(jet, Jet):  # the function is constant in the coordinates
        zero = torch.zeros_like(jet)
        singly, sums = dict.fromkeys(wanted.partials, zero), dict.fromkeys(wanted.laplacians, zero)
        return Partials(jet, singly, sums, dict.fromkeys(wanted.samples, zero))

    def full(channel: Tensor | None) -> Tensor:
        return torch.zeros_like(jet.value) if channel is None else channel.expand(jet.shape)

    def laplacian(axes: MultiIndex) -> Tensor:
        key: Channel = Laplacian(axes)
        return full(jet.higher[key])

    drawn = drawn_axes(wanted.samples, points.shape[-1])
    return Partials(
        jet.value,
        {index: full(jet.channel(index)) for index in wanted.partials},
        {axes: laplacian(axes) for axes in wanted.laplacians},
        {sample: sample.factor * laplacian(axes) for sample, axes in drawn.items()},
    )
