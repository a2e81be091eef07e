"""How each torch operation acts on a `Jet`: one rule per operation, nearly all of them one pattern of `patterns.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pinnlab.derivatives import elementwise
from pinnlab.derivatives.jet import Channel, Jet, rule
from pinnlab.derivatives.patterns import (
    Operation,
    apply_elementwise,
    bilinear,
    lead,
    linear_map,
    plus,
    scale_map,
    whole,
)
from pinnlab.errors import UnsupportedOperationError

# ---------------------------------------------------------------------------------- arithmetic


@rule("add")
def _add(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    b = b if alpha == 1 else b * alpha
    if not isinstance(a, Jet):
        a, b = b, a
    if not isinstance(b, Jet):
        return Jet(a.value + b, a.axes, lead(a.first, a, b), a.higher, a.scales if _is_row(b) else None)
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
    product = bilinear(torch.mul, a, b)
    if isinstance(a, Jet) and a.scales is not None and _is_row(b):
        product.scales = a.scales * b
    return product


def _is_row(constant: Any) -> bool:
    """Whether this is a number, or one for each coordinate."""
    return not isinstance(constant, Jet) and getattr(constant, "ndim", 0) <= 1


@rule("div")
def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Jet:
    if rounding_mode is not None:
        raise UnsupportedOperationError(f"the Taylor engine has no rule for div with rounding_mode={rounding_mode!r}")
    if not isinstance(b, Jet):
        return bilinear(torch.div, a, b)
    return _mul(_reciprocal(b), a)


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


@rule("remainder")
def _remainder(x: Any, divisor: Any) -> Jet:
    if isinstance(divisor, Jet):
        raise UnsupportedOperationError("the Taylor engine has no rule for remainder with a divisor that varies")
    return _add(x, torch.remainder(x.value, divisor) - x.value)


@rule("matmul", "mm", "bmm")
def _matmul(a: Any, b: Any) -> Jet:
    if isinstance(b, Jet):
        if b.ndim < 2:
            raise UnsupportedOperationError("the Taylor engine has no rule for matmul with a vector on the right")
        # The product contracts the right factor's rows, so they must all be there.
        b = linear_map(torch.clone, b)
    return bilinear(torch.matmul, whole(a) if isinstance(a, Jet) else a, b)


@rule("einsum")
def _einsum(equation: str, *operands: Any) -> Jet:
    factors = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    jets = [factor for factor in factors if isinstance(factor, Jet)]
    if len(jets) != 1:
        raise UnsupportedOperationError("the Taylor engine has no rule for einsum with two factors that vary")
    return linear_map(
        lambda t: torch.einsum(equation, *(t if isinstance(factor, Jet) else factor for factor in factors)), jets[0]
    )


@rule("addmm", "baddbmm")
def _addmm(bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    return _add(alpha * _matmul(a, b), beta * bias)


@rule("linear")
def _linear(x: Any, weight: Any, bias: Any = None) -> Jet:
    if isinstance(x, Jet) and not isinstance(weight, Jet) and not isinstance(bias, Jet):
        if x.scales is not None:
            return _first_layer(x, x.scales, weight, bias)
        return scale_map(lambda t: F.linear(t, weight), whole(x), value=F.linear(x.value, weight, bias))
    product = _matmul(x, torch.transpose(weight, -1, -2))
    return product if bias is None else _add(product, bias)


def _first_layer(x: Jet, scales: Tensor, weight: Tensor, bias: Tensor | None) -> Jet:
    """A linear layer on scaled coordinates: its first derivatives are columns of the weights, no product is needed."""
    columns = (weight * scales).t()
    chosen = columns if len(x.axes) == len(columns) else torch.stack([columns[i] for i in x.axes])
    first = chosen.reshape(len(x.axes), *[1] * (x.ndim - 1), len(weight))
    return Jet(F.linear(x.value, weight, bias), x.axes, first, x.higher)


# ------------------------------------------------------------------------------ elementary functions


def _register_elementwise() -> None:
    table: dict[str, elementwise.Derivatives] = {
        "tanh": elementwise.tanh,
        "sigmoid": elementwise.sigmoid,
        "tan": elementwise.tan,
        "sin": elementwise.sin,
        "cos": elementwise.cos,
        "sinh": elementwise.sinh,
        "cosh": elementwise.cosh,
        "exp": elementwise.exp,
        "expm1": elementwise.expm1,
        "log": elementwise.log,
        "log1p": elementwise.log1p,
        "erf": elementwise.erf,
        "sqrt": elementwise.power(0.5),
        "rsqrt": elementwise.power(-0.5),
        "square": elementwise.power(2),
        "abs": elementwise.absolute,
        "absolute": elementwise.absolute,
    }
    for name, derivatives in table.items():
        rule(name)(lambda x, _derivatives=derivatives: apply_elementwise(_derivatives, x))


_register_elementwise()


@rule("reciprocal")
def _reciprocal(x: Jet) -> Jet:
    return apply_elementwise(elementwise.power(-1), x)


@rule("silu")
def _silu(x: Jet, inplace: bool = False) -> Jet:
    return apply_elementwise(elementwise.silu, x)


@rule("relu")
def _relu(x: Jet, inplace: bool = False) -> Jet:
    return apply_elementwise(elementwise.relu, x)


@rule("softplus")
def _softplus(x: Jet, beta: float = 1, threshold: float = 20) -> Jet:
    return apply_elementwise(elementwise.softplus(beta, threshold), x)


@rule("gelu")
def _gelu(x: Jet, approximate: str = "none") -> Jet:
    if approximate == "none":
        return apply_elementwise(elementwise.gelu, x)
    inner = (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + apply_elementwise(elementwise.tanh, inner))


@rule("softmax")
def _softmax(x: Jet, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Jet:
    x = x if dtype is None else x.to(dtype)
    shifted = (x - x.value.detach().amax(dim, keepdim=True)).exp()
    return shifted / shifted.sum(dim, keepdim=True)


@rule("layer_norm")
def _layer_norm(
    x: Jet, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Jet:
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    scaled = centred * ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    scaled = scaled if weight is None else scaled * weight
    return scaled if bias is None else scaled + bias


# --------------------------------------------------------------------------------------- shapes


@rule("getitem")
def _getitem(x: Jet, index: Any) -> Jet:
    return linear_map(lambda t: t[index], x)


def _register_linear() -> None:
    for name in (
        "reshape", "view", "squeeze", "unsqueeze", "transpose", "permute", "movedim", "flatten", "expand",
        "sum", "mean", "select", "narrow", "t", "contiguous", "clone", "roll", "flip", "cumsum",
        "to", "double", "float",
    ):  # fmt: skip
        # A channel that does not vary is expanded, and no view of such memory need exist.
        method = "reshape" if name == "view" else name

        def act(x: Jet, *args: Any, _name: str = method, **kwargs: Any) -> Jet:
            return linear_map(lambda t: getattr(t, _name)(*args, **kwargs), x)

        rule(name)(act)


_register_linear()


def _register_splitting() -> None:
    for name in ("chunk", "split", "unbind"):

        def pieces(x: Jet, *args: Any, _name: str = name, **kwargs: Any) -> tuple[Jet, ...]:
            def piece(k: int) -> Operation:
                return lambda t: getattr(t, _name)(*args, **kwargs)[k]

            count = len(getattr(x.value, _name)(*args, **kwargs))
            return tuple(linear_map(piece(k), x) for k in range(count))

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
        return torch.as_tensor(x, dtype=model.dtype, device=model.device), None, dict.fromkeys(model.higher)

    (a0, a1, a2), (b0, b1, b2) = parts(a), parts(b)
    first = choose(a1, b1)
    if first is None:
        raise TypeError("where: neither branch is a jet")
    return Jet(torch.where(condition, a0, b0), model.axes, first, {k: choose(a2[k], b2[k]) for k in a2})


# ------------------------------------------------------------------------------------ constants


@rule("detach")
def _detach(x: Jet) -> Tensor:
    return x.value.detach()


def _register_constants() -> None:
    for name in ("zeros_like", "ones_like", "full_like"):

        def make(x: Jet, *args: Any, _name: str = name, **kwargs: Any) -> Tensor:
            return getattr(torch, _name)(x.value, *args, **kwargs)

        rule(name)(make)
    for name in ("gt", "ge", "lt", "le", "eq", "ne", "isnan", "isfinite"):

        def compare(x: Jet, *args: Any, _name: str = name) -> Tensor:
            return getattr(torch, _name)(x.value, *(a.value if isinstance(a, Jet) else a for a in args))

        rule(name)(compare)


_register_constants()
