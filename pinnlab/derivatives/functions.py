"""How elementary functions and activations act on a `Jet`: by their own derivatives, or by their slopes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pinnlab.derivatives import elementwise
from pinnlab.derivatives.jet import Jet, rule
from pinnlab.derivatives.patterns import apply_elementwise, scale_map

# ---------------------------------------------------------------------------------------- smooth


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
        "atan": elementwise.atan,
        "arctan": elementwise.atan,
        "asin": elementwise.asin,
        "arcsin": elementwise.asin,
        "acos": elementwise.acos,
        "arccos": elementwise.acos,
        "asinh": elementwise.asinh,
        "arcsinh": elementwise.asinh,
        "acosh": elementwise.acosh,
        "arccosh": elementwise.acosh,
        "atanh": elementwise.atanh,
        "arctanh": elementwise.atanh,
        "erf": elementwise.erf,
        "erfc": elementwise.erfc,
        "special_expit": elementwise.sigmoid,
        "lgamma": elementwise.lgamma,
        "special_gammaln": elementwise.lgamma,
        "digamma": elementwise.digamma,
        "special_erfcx": elementwise.erfcx,
        "sqrt": elementwise.power(0.5),
        "rsqrt": elementwise.power(-0.5),
        "square": elementwise.power(2),
        "reciprocal": elementwise.power(-1),
        "abs": elementwise.absolute,
        "absolute": elementwise.absolute,
        "silu": elementwise.silu,
        "relu": elementwise.relu,
        "logsigmoid": elementwise.logsigmoid,
        "log_sigmoid": elementwise.logsigmoid,
        "selu": elementwise.SELU,
    }
    for name, derivatives in table.items():
        rule(name)(lambda x, _derivatives=derivatives: apply_elementwise(_derivatives, x))


_register_elementwise()


@rule("softplus")
def _softplus(x: Jet, beta: float = 1, threshold: float = 20) -> Jet:
    return apply_elementwise(elementwise.softplus(beta, threshold), x)


@rule("gelu")
def _gelu(x: Jet, approximate: str = "none") -> Jet:
    if approximate == "none":
        return apply_elementwise(elementwise.gelu, x)
    inner = (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + apply_elementwise(elementwise.tanh, inner))


@rule("elu")
def _elu(x: Jet, alpha: float = 1.0) -> Jet:
    return apply_elementwise(elementwise.elu(alpha, 1.0), x)


@rule("mish")
def _mish(x: Jet) -> Jet:
    return x * _softplus(x).tanh()


@rule("softsign")
def _softsign(x: Jet) -> Jet:
    return x / (1 + abs(x))


@rule("tanhshrink")
def _tanhshrink(x: Jet) -> Jet:
    return x - x.tanh()


@rule("glu")
def _glu(x: Jet, dim: int = -1) -> Jet:
    values, gates = x.chunk(2, dim)
    return values * gates.sigmoid()


@rule("softmax")
def _softmax(x: Jet, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Any:
    x = x if dtype is None else x.to(dtype)
    shifted = (x - x.value.detach().amax(dim, keepdim=True)).exp()
    return shifted / shifted.sum(dim, keepdim=True)


@rule("softmin")
def _softmin(x: Jet, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Any:
    return _softmax(-x, dim, dtype=dtype)


@rule("logsumexp")
def _logsumexp(x: Jet, dim: Any, keepdim: bool = False) -> Any:
    largest = x.value.detach().amax(dim, keepdim=True)
    total = (x - largest).exp().sum(dim, keepdim=True).log() + largest
    return total if keepdim else total.squeeze(dim)


@rule("log_softmax")
def _log_softmax(x: Jet, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Any:
    x = x if dtype is None else x.to(dtype)
    return x - _logsumexp(x, dim, keepdim=True)


# ------------------------------------------------------------------------------ piecewise linear


def _with_slope(x: Jet, value: Tensor, slope: Tensor) -> Jet:
    """A piecewise linear function: every channel times the slope (kinks are ignored, as autograd does)."""
    return scale_map(lambda channel: channel * slope, x, value=value)


@rule("leaky_relu")
def _leaky_relu(x: Jet, negative_slope: float = 0.01) -> Jet:
    slope = torch.where(x.value > 0, torch.ones_like(x.value), negative_slope)
    return _with_slope(x, x.value * slope, slope)


@rule("prelu")
def _prelu(x: Jet, weight: Tensor) -> Jet:
    if weight.numel() > 1:  # one for each entry of the second dimension
        weight = weight.reshape(-1, *[1] * (x.ndim - 2))
    slope = torch.where(x.value > 0, torch.ones_like(weight), weight)
    return _with_slope(x, x.value * slope, slope)


@rule("hardtanh")
def _hardtanh(x: Jet, min_val: float = -1.0, max_val: float = 1.0) -> Jet:
    inside = (x.value > min_val) & (x.value < max_val)
    return _with_slope(x, x.value.clamp(min_val, max_val), inside.to(x.dtype))


@rule("relu6")
def _relu6(x: Jet) -> Jet:
    return _hardtanh(x, 0.0, 6.0)


@rule("clamp", "clip")
def _clamp(x: Jet, min: Any = None, max: Any = None) -> Any:
    least = x if min is None else x.maximum(min)
    return least if max is None else least.minimum(max)


@rule("clamp_min")
def _clamp_min(x: Jet, min: Any) -> Any:
    return _clamp(x, min)


@rule("clamp_max")
def _clamp_max(x: Jet, max: Any) -> Any:
    return _clamp(x, None, max)


@rule("hardswish")
def _hardswish(x: Jet) -> Jet:
    return x * _relu6(x + 3) / 6


@rule("softshrink")
def _softshrink(x: Jet, lambd: float = 0.5) -> Jet:
    return _with_slope(x, F.softshrink(x.value, lambd), (x.value.abs() > lambd).to(x.dtype))


@rule("hardshrink")
def _hardshrink(x: Jet, lambd: float = 0.5) -> Jet:
    return _with_slope(x, F.hardshrink(x.value, lambd), (x.value.abs() > lambd).to(x.dtype))


@rule("threshold", "_threshold")
def _threshold(x: Jet, threshold: float, value: float) -> Jet:
    return _with_slope(x, F.threshold(x.value, threshold, value), (x.value > threshold).to(x.dtype))


# --------------------------------------------------------------------------------------- random


@rule("dropout")
def _dropout(x: Jet, p: float = 0.5, training: bool = True, train: bool | None = None) -> Jet:
    if not (training if train is None else train) or p == 0:
        return x
    return x * F.dropout(torch.ones_like(x.value), p)  # the same neurons for the value and for its derivatives
