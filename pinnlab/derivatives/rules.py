"""How each torch operation acts on a `Jet`: one rule per operation, nearly all of them one pattern of `patterns.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pinnlab.derivatives import elementwise
from pinnlab.derivatives.coordinates import CoordinateJet
from pinnlab.derivatives.jet import RULES, Channel, Jet, Rule, rule
from pinnlab.derivatives.patterns import (
    Operation,
    apply_elementwise,
    at_once,
    bilinear,
    lead,
    linear_map,
    plus,
    scale_map,
    starts_kernels,
    whole,
)
from pinnlab.errors import UnsupportedOperationError
from pinnlab.numerics.constants import constant_like

# ---------------------------------------------------------------------------------- arithmetic


@rule("add")
def _add(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    b = b if alpha == 1 else b * alpha
    if not isinstance(a, Jet):
        a, b = b, a
    if _keeps_columns(a, b):
        return a.shifted(b)
    if not isinstance(b, Jet):
        return Jet(a.value + b, a.axes, lead(a.first, a, b), a.higher, a.scales if _is_row(b, a) else None)
    higher = {key: plus(channel, b.higher[key]) for key, channel in a.higher.items()}
    return Jet(a.value + b.value, a.axes, lead(a.first, a, b) + lead(b.first, b, a), higher)


@rule("sub")
def _sub(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    return _add(a, -b if alpha == 1 else b * -alpha)


@rule("rsub")
def _rsub(a: Any, b: Any) -> Jet:
    return _sub(b, a)


@rule("neg", "negative")
def _neg(a: Jet) -> Jet:
    return scale_map(torch.neg, a)


@rule("mul")
def _mul(a: Any, b: Any) -> Jet:
    for jet, other in ((a, b), (b, a)):
        if _keeps_columns(jet, other):
            return jet.scaled(other)
    if _follows_columns(a) and _follows_columns(b):
        return a.times(b)
    product = bilinear(torch.mul, a, b)
    if isinstance(a, Jet) and a.scales is not None and _is_row(b, a):
        product.scales = a.scales * b
    return product


def _is_row(constant: Any, jet: Jet) -> bool:
    """Whether this is a number, or one for each coordinate: of a single one a row would make several columns."""
    if isinstance(constant, Jet):
        return False
    dimensions = getattr(constant, "ndim", 0)
    return dimensions == 0 or (dimensions == 1 and len(constant) in (1, jet.shape[-1]))


def _follows_columns(jet: Any) -> bool:
    """Whether this is a jet of coordinates, each still by itself."""
    return isinstance(jet, CoordinateJet) and jet.slopes is not None


def _keeps_columns(jet: Any, constant: Any) -> bool:
    return _follows_columns(jet) and _is_row(constant, jet)


@rule("div")
def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Jet:
    if rounding_mode is not None:
        raise UnsupportedOperationError(f"the Taylor engine has no rule for div with rounding_mode={rounding_mode!r}")
    if not isinstance(b, Jet):
        return bilinear(torch.div, a, b)
    return _mul(apply_elementwise(elementwise.power(-1), b), a)


@rule("pow")
def _pow(base: Any, exponent: Any) -> Jet:
    if not isinstance(exponent, Jet):
        if isinstance(exponent, Tensor) and exponent.ndim > base.ndim:
            base = base * torch.ones_like(exponent)
        return apply_elementwise(elementwise.power(exponent), base)
    log_base = apply_elementwise(elementwise.log, base) if isinstance(base, Jet) else _log_of_constant(base)
    return apply_elementwise(elementwise.exp, bilinear(torch.mul, exponent, log_base))


def _log_of_constant(base: Any) -> Any:
    return torch.log(base) if isinstance(base, Tensor) else math.log(base)


def _register_remainders() -> None:
    for name in ("remainder", "fmod"):

        def act(x: Any, divisor: Any, _name: str = name) -> Jet:
            if isinstance(divisor, Jet):
                raise UnsupportedOperationError(f"the Taylor engine has no rule for {_name} with a divisor that varies")
            return _add(x, getattr(torch, _name)(x.value, divisor) - x.value)  # a divisor may be trained

        rule(name)(act)


_register_remainders()


@rule("matmul", "mm", "bmm")
def _matmul(a: Any, b: Any) -> Jet:
    if isinstance(b, Jet):
        if b.ndim < 2:
            raise UnsupportedOperationError("the Taylor engine has no rule for matmul with a vector on the right")
        # The product contracts the right factor's rows, so they must all be there.
        b = linear_map(torch.clone, b)
    return bilinear(torch.matmul, whole(a) if isinstance(a, Jet) else a, b)


@rule("addmm", "baddbmm")
def _addmm(bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    return _add(alpha * _matmul(a, b), beta * bias)


@rule("linear")
def _linear(x: Any, weight: Any, bias: Any = None) -> Jet:
    if isinstance(x, Jet) and not isinstance(weight, Jet) and not isinstance(bias, Jet):
        if x.scales is not None:
            return _first_layer(x, x.scales, weight, bias)
        return _later_layer(whole(x), weight, bias)
    product = _matmul(x, torch.transpose(weight, -1, -2))
    return product if bias is None else _add(product, bias)


def _later_layer(x: Jet, weight: Tensor, bias: Tensor | None) -> Jet:
    """A linear layer on a jet with all of its entries."""
    product = at_once(lambda t: F.linear(t, weight), x) if starts_kernels(x.device) else None
    if product is None:
        return scale_map(lambda t: F.linear(t, weight), x, value=F.linear(x.value, weight, bias))
    return product if bias is None else _add(product, bias)


def _first_layer(x: Jet, scales: Tensor, weight: Tensor, bias: Tensor | None) -> Jet:
    """A linear layer on scaled coordinates: its first derivatives are columns of the weights, no product is needed."""
    if isinstance(x, CoordinateJet):  # not `index_select`, whose gradient a GPU adds up in any order
        drawn = weight[:, x.columns] * scales[x.columns]
        return Jet(F.linear(x.value, weight, bias), x.axes, drawn.t().unsqueeze(1), x.higher)
    columns = (weight * scales).t()
    chosen = columns if len(x.axes) == len(columns) else torch.stack([columns[i] for i in x.axes])
    first = chosen.reshape(len(x.axes), *[1] * (x.ndim - 1), len(weight))
    return Jet(F.linear(x.value, weight, bias), x.axes, first, x.higher)


# --------------------------------------------------------------------------------------- shapes


def _is_column(index: Any) -> bool:
    """Whether an index of `(n, d)` says one column."""
    if not isinstance(index, tuple) or len(index) != 2 or not isinstance(index[1], int):
        return False
    return index[0] is Ellipsis or (isinstance(index[0], slice) and index[0] == slice(None))


def _is_columns(index: Any) -> bool:
    """Whether an index says a range of the last dimension."""
    return isinstance(index, tuple) and len(index) == 2 and index[0] is Ellipsis and isinstance(index[1], slice)


@rule("getitem")
def _getitem(x: Jet, index: Any) -> Jet | Tensor:
    if _follows_columns(x) and _is_column(index):
        return cast("CoordinateJet", x).entry(index[1]).as_view_of(x, index)
    if x.scales is not None and not isinstance(x, CoordinateJet) and _is_columns(index):
        return _columns(x, x.scales, index[-1])
    picked = linear_map(lambda t: t[index], x)
    parts = index if isinstance(index, tuple) else (index,)
    basic = all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts)
    return picked.as_view_of(x, index) if basic else picked


def _columns(x: Jet, scales: Tensor, part: slice) -> Jet | Tensor:
    """Some of the scaled coordinates; a constant where no derivative by any of them is wanted."""
    columns = range(len(scales))[part]
    if not set(columns) & set(x.axes):
        return x.value[..., part]
    starts = columns[0] == 0 and columns.step == 1 and x.axes[-1] in columns  # so that a column keeps its number
    picked = Jet(x.value[..., part], x.axes, x.first[..., part], x.higher, scales[part] if starts else None)
    return picked.as_view_of(x, (Ellipsis, part))


def _register_linear() -> None:
    views = (
        "reshape", "view", "squeeze", "unsqueeze", "transpose", "swapaxes", "permute", "movedim", "flatten",
        "unflatten", "expand", "expand_as", "select", "narrow", "t", "contiguous", "to", "double", "float", "type_as",
        "adjoint", "diagonal", "view_as", "reshape_as",
    )  # fmt: skip
    copies = (
        "sum", "mean", "clone", "roll", "flip", "cumsum", "repeat", "tile", "repeat_interleave", "broadcast_to",
        "index_select", "gather", "take_along_dim",
    )  # fmt: skip
    for name in views + copies:
        # A channel that does not vary is expanded, and no view of such memory need exist.
        method = name.replace("view", "reshape")

        def act(x: Jet, *args: Any, _name: str = method, _is_view: bool = name in views, **kwargs: Any) -> Jet:
            given = [a.value if isinstance(a, Jet) else a for a in args]  # jets of which shape or type counts
            result = linear_map(lambda t: getattr(t, _name)(*given, **kwargs), x)
            return result.as_view_of(x) if _is_view else result

        rule(name)(act)


_register_linear()


def _register_sums() -> None:
    for name in ("sum", "mean"):
        general = RULES[name]

        def add(x: Jet, *args: Any, _name: str = name, _general: Rule = general, **kwargs: Any) -> Jet:
            dim, keepdim = kwargs.get("dim", args[0] if args else None), kwargs.get("keepdim", False)
            over_coordinates = dim in (-1, 1, (-1,), [-1]) and len(args) < 2 and set(kwargs) <= {"dim", "keepdim"}
            if not (_follows_columns(x) and over_coordinates):
                return _general(x, *args, **kwargs)
            total = cast("CoordinateJet", x).added(keepdim)
            return total if _name == "sum" else total * (1 / x.shape[-1])

        rule(name)(add)


_register_sums()


def _register_splitting() -> None:
    for name in ("chunk", "split", "unbind"):

        def pieces(x: Jet, *args: Any, _name: str = name, **kwargs: Any) -> tuple[Jet, ...]:
            def piece(k: int) -> Operation:
                return lambda t: getattr(t, _name)(*args, **kwargs)[k]

            count = len(getattr(x.value, _name)(*args, **kwargs))
            return tuple(linear_map(piece(k), x).as_view_of(x) for k in range(count))

        rule(name)(pieces)


_register_splitting()


def _joined(join: Callable[[list[Tensor]], Tensor], parts: Sequence[Any]) -> Jet:
    """Cat and stack: channel by channel, with zeros where a part is a constant."""
    model = next(part for part in parts if isinstance(part, Jet))

    def zeros(part: Any) -> Tensor:
        return torch.zeros_like(part.value if isinstance(part, Jet) else part)

    def gather(key: Channel) -> Tensor | None:
        found = [part.higher[key] if isinstance(part, Jet) else None for part in parts]
        if all(channel is None for channel in found):
            return None
        return join(
            [
                zeros(part) if channel is None else channel.expand(part.shape)
                for part, channel in zip(parts, found, strict=True)
            ]
        )

    firsts = [
        part.first.expand(len(model.axes), *part.shape)
        if isinstance(part, Jet)
        else part.new_zeros(len(model.axes), *part.shape)
        for part in parts
    ]
    first = torch.vmap(lambda *channels: join(list(channels)))(*firsts)
    value = join([part.value if isinstance(part, Jet) else part for part in parts])
    return Jet(value, model.axes, first, {key: gather(key) for key in model.higher})


@rule("cat", "concat", "concatenate")
def _cat(tensors: Sequence[Any], dim: int = 0) -> Jet:
    return _joined(lambda parts: torch.cat(parts, dim), tensors)


@rule("stack")
def _stack(tensors: Sequence[Any], dim: int = 0) -> Jet:
    return _joined(lambda parts: torch.stack(parts, dim), tensors)


@rule("hstack")
def _hstack(tensors: Sequence[Any]) -> Jet:
    return _joined(lambda parts: torch.hstack(parts), tensors)


@rule("column_stack")
def _column_stack(tensors: Sequence[Any]) -> Jet:
    return _cat([part.unsqueeze(-1) if part.ndim == 1 else part for part in tensors], 1)


@rule("maximum")
def _maximum(a: Any, b: Any) -> Any:
    return _where((a >= b) | (a != a), a, b)  # what is not a number stays so, as in torch


@rule("minimum")
def _minimum(a: Any, b: Any) -> Any:
    return _where((a <= b) | (a != a), a, b)


@rule("masked_fill")
def _masked_fill(x: Jet, mask: Tensor, value: Any) -> Any:
    return _where(mask, value, x)


@rule("where")
def _where(condition: Any, a: Any, b: Any) -> Jet:
    if isinstance(condition, Jet) or condition.dtype != torch.bool:  # called as a method: x.where(condition, y)
        condition, a = a, condition
    model = a if isinstance(a, Jet) else b

    def choose(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        if x is None and y is None:
            return None
        zero = model.value.new_zeros(())
        return torch.where(condition, zero if x is None else x, zero if y is None else y)

    def parts(x: Any) -> tuple[Tensor, Tensor | None, dict[Channel, Tensor | None]]:
        if isinstance(x, Jet):
            return x.value, x.first, dict(x.higher)
        # A number is filled in: made on the CPU, it would be copied to a GPU, which has the host wait.
        value = constant_like(x, model) if isinstance(x, Tensor) else model.value.new_full((), x)
        return value, None, dict.fromkeys(model.higher)

    (a0, a1, a2), (b0, b1, b2) = parts(a), parts(b)
    widest = max((condition, a0, b0), key=lambda t: t.ndim)
    first = choose(*(t if t is None else lead(t, jet, widest) for t, jet in ((a1, a), (b1, b))))
    if first is None:
        raise TypeError("where: neither branch is a jet")
    return Jet(torch.where(condition, a0, b0), model.axes, first, {k: choose(a2[k], b2[k]) for k in a2})


# ------------------------------------------------------------------------------------ constants


@rule("detach")
def _detach(x: Jet) -> Tensor:
    return x.value.detach()


def _register_constants() -> None:
    for name in ("zeros_like", "ones_like", "full_like", "rand_like", "randn_like"):

        def make(x: Jet, *args: Any, _name: str = name, **kwargs: Any) -> Tensor:
            return getattr(torch, _name)(x.value, *args, **kwargs)

        rule(name)(make)
    queries = ("numel", "is_floating_point", "is_complex", "new_zeros", "new_ones", "new_full", "new_tensor")
    for name in (*queries, "sign", "floor", "ceil", "round", "trunc"):

        def ask(x: Jet, *args: Any, _name: str = name, **kwargs: Any) -> Any:
            return getattr(x.value, _name)(*args, **kwargs)

        rule(name)(ask)
    for name in ("gt", "ge", "lt", "le", "eq", "ne", "isnan", "isfinite"):

        def compare(x: Jet, *args: Any, _name: str = name) -> Tensor:
            return getattr(torch, _name)(x.value, *(a.value if isinstance(a, Jet) else a for a in args))

        rule(name)(compare)


_register_constants()
