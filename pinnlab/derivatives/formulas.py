"""Functions by their formulas, of functions that have rules: angles, distances, choices, layers of few lines."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pinnlab.derivatives.jet import Jet, rule
from pinnlab.derivatives.patterns import linear_map
from pinnlab.errors import UnsupportedOperationError


def _value(x: Any) -> Tensor:
    return x.value if isinstance(x, Jet) else x


def _moved_to(x: Any, value: Tensor) -> Any:
    """The jet with another value that differs from its own by a constant at each point."""
    return x + (value - x.value).detach()


# --------------------------------------------------------------------------- angles and logarithms


@rule("atan2", "arctan2")
def _atan2(y: Any, x: Any) -> Any:
    steep, still = _value(y).abs() > _value(x).abs(), (_value(x) == 0) & (_value(y) == 0)
    flat = torch.where(still, 0.0, torch.atan(y / torch.where(steep | still, 1.0, x)))
    tall = -torch.atan(x / torch.where(steep, y, 1.0))
    return _moved_to(torch.where(steep, tall, flat), torch.atan2(_value(y), _value(x)))


@rule("exp2")
def _exp2(x: Jet) -> Any:
    return (x * math.log(2)).exp()


@rule("log2")
def _log2(x: Jet) -> Any:
    return x.log() / math.log(2)


@rule("log10")
def _log10(x: Jet) -> Any:
    return x.log() / math.log(10)


@rule("logit")
def _logit(x: Any, eps: float | None = None) -> Any:
    inside = x if eps is None else x.clamp(eps, 1 - eps)
    return inside.log() - (-inside).log1p()


@rule("logaddexp")
def _logaddexp(a: Any, b: Any) -> Any:
    larger = torch.maximum(_value(a), _value(b)).detach()
    larger = torch.where(larger.isfinite(), larger, 0.0)
    return ((a - larger).exp() + (b - larger).exp()).log() + larger


@rule("float_power")
def _float_power(x: Any, exponent: Any) -> Any:
    return x**exponent


@rule("positive")
def _positive(x: Jet) -> Jet:
    return x


# ------------------------------------------------------------------------ distances and products


@rule("hypot")
def _hypot(x: Any, y: Any) -> Any:
    return (x * x + y * y).sqrt()


@rule("norm", "linalg_vector_norm")
def _norm(
    x: Any, p: Any = None, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None, *, ord: Any = None
) -> Any:
    order = p if ord is None else ord
    x = _real_numbers("norm", x if dtype is None else x.to(dtype))
    if dim is None:
        raise UnsupportedOperationError("the Taylor engine has no rule for a norm over all points; say dim=-1")
    if order in (None, "fro", 2):
        return _root((x * x).sum(dim, keepdim=keepdim))
    if order in (math.inf, -math.inf):
        return _extreme(abs(x), dim, keepdim, largest=order > 0)
    if isinstance(order, str) or order == 0:
        raise UnsupportedOperationError(f"the Taylor engine has no rule for a norm of order {order!r}")
    return (
        abs(x).sum(dim, keepdim=keepdim) if order == 1 else (abs(x) ** order).sum(dim, keepdim=keepdim) ** (1 / order)
    )


@rule("linalg_norm")
def _linalg_norm(
    x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Any:
    if isinstance(dim, Sequence) and len(dim) == 2 and ord not in (None, "fro"):
        raise UnsupportedOperationError(f"the Taylor engine has no rule for a norm of matrices of order {ord!r}")
    return _norm(x, ord, dim, keepdim, dtype)


def _root(x: Any) -> Any:
    """A square root whose slope at zero is zero, as that of torch's own norms."""
    zero = _value(x) == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x).sqrt())


def _real_numbers(name: str, *tensors: Any) -> Any:
    """The tensors, or the only one; their products would want a conjugate.

    Raises:
        UnsupportedOperationError: they are complex.
    """
    if any(t.dtype.is_complex for t in tensors):
        raise UnsupportedOperationError(f"the Taylor engine has no rule for {name} of complex numbers")
    return tensors[0] if len(tensors) == 1 else tensors


@rule("normalize")
def _normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    return x / _norm(x, p, dim, keepdim=True).clamp_min(eps)


@rule("pairwise_distance")
def _pairwise_distance(x: Any, y: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return _norm(x - y + eps, p, -1, keepdim)


@rule("cdist")
def cdist(x: Any, y: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """`torch.cdist`: distances between all rows of one and of the other.

    Where two rows are the same a distance has no second derivative, and squared it has: there it is not a number, so
    that nobody takes it for zero.
    """
    between = x.unsqueeze(-2) - y.unsqueeze(-3)
    return (between * between).sum(-1).sqrt() if p == 2 else _norm(between, p, -1)


@rule("cosine_similarity")
def _cosine_similarity(x: Any, y: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    lengths = [_norm(t, 2, dim).clamp_min(eps) for t in (x, y)]
    return (x * y).sum(dim) / (lengths[0] * lengths[1])


@rule("linalg_vecdot")
def _vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    x, y = _real_numbers("vecdot", x, y)
    return (x * y).sum(dim)


@rule("cross")
def _cross(x: Any, y: Any, dim: int | None = None) -> Any:
    if dim is None:  # torch takes the first dimension of three, and says that this will change
        raise UnsupportedOperationError("the Taylor engine has no rule for cross without a dimension; say dim=-1")
    return _linalg_cross(x, y, dim=dim)


@rule("linalg_cross")
def _linalg_cross(x: Any, y: Any, *, dim: int = -1) -> Any:
    if x.shape[dim] != 3 or y.shape[dim] != 3:
        raise UnsupportedOperationError("the Taylor engine has no rule for a cross product of other than three entries")
    ahead, behind = ((x.roll(-k, dim), y.roll(-m, dim)) for k, m in ((1, 2), (2, 1)))
    return ahead[0] * ahead[1] - behind[0] * behind[1]


@rule("inner")
def _inner(x: Any, y: Any) -> Any:
    return torch.matmul(x, y if y.ndim == 1 else y.transpose(-1, -2))


@rule("mv")
def _mv(matrix: Any, vector: Any) -> Any:
    return torch.matmul(matrix, vector)


@rule("tensordot")
def _tensordot(x: Any, y: Any, dims: Any = 2) -> Any:
    if isinstance(x, Jet) and isinstance(y, Jet):
        raise UnsupportedOperationError("the Taylor engine has no rule for tensordot with two factors that vary")
    if isinstance(x, Jet):
        return linear_map(lambda t: torch.tensordot(t, y, dims), x)
    return linear_map(lambda t: torch.tensordot(x, t, dims), y)


@rule("bilinear")
def _bilinear(x: Any, y: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    product = (torch.einsum("...i,oij->...oj", x, weight) * y.unsqueeze(-2)).sum(-1)
    return product if bias is None else product + bias


@rule("addcmul")
def _addcmul(x: Any, a: Any, b: Any, *, value: float = 1) -> Any:
    return x + value * a * b


@rule("addcdiv")
def _addcdiv(x: Any, a: Any, b: Any, *, value: float = 1) -> Any:
    return x + value * a / b


@rule("lerp")
def _lerp(start: Any, end: Any, weight: Any) -> Any:
    return start + weight * (end - start)


@rule("prod")
def _prod(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        raise UnsupportedOperationError("the Taylor engine has no rule for a product over all points; say dim=-1")
    product = functools.reduce(torch.mul, x.unbind(dim))
    return product.unsqueeze(dim) if keepdim else product


@rule("var")
def _var(
    x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    if dim is None:
        raise UnsupportedOperationError("the Taylor engine has no rule for a variance over all points; say dim=-1")
    x = _real_numbers("a variance", x)
    centred = x - x.mean(dim, keepdim=True)
    dims = dim if isinstance(dim, Sequence) else [dim]
    count = math.prod(x.shape[k] for k in dims) - (int(unbiased) if correction is None else correction)
    return (centred * centred).sum(dim, keepdim=keepdim) / count


@rule("std")
def _std(x: Any, *args: Any, **kwargs: Any) -> Any:
    return _root(_var(x, *args, **kwargs))


# --------------------------------------------------------------------------------- choices, steps


def _extreme(x: Any, dim: Any, keepdim: bool, *, largest: bool) -> Any:
    """The largest or smallest entry along a dimension; of equal ones the first, as at any kink."""
    if dim is None or (isinstance(dim, Sequence) and len(dim) != 1):
        raise UnsupportedOperationError(
            "the Taylor engine has no rule for an extreme over several dimensions; say dim=-1"
        )
    axis = dim[0] if isinstance(dim, Sequence) else dim
    value = _value(x)
    place = (value.argmax if largest else value.argmin)(axis, keepdim=True)
    found = x.gather(axis, place)
    return found if keepdim else found.squeeze(axis)


@rule("amax")
def _amax(x: Jet, dim: Any = None, keepdim: bool = False) -> Any:
    return _extreme(x, dim, keepdim, largest=True)


@rule("amin")
def _amin(x: Jet, dim: Any = None, keepdim: bool = False) -> Any:
    return _extreme(x, dim, keepdim, largest=False)


@rule("max")
def _max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, (Jet, Tensor)):
        other: Any = dim
        return torch.maximum(x, other)
    return torch.return_types.max((_extreme(x, dim, keepdim, largest=True), x.value.argmax(dim, keepdim)))


@rule("min")
def _min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, (Jet, Tensor)):
        other: Any = dim
        return torch.minimum(x, other)
    return torch.return_types.min((_extreme(x, dim, keepdim, largest=False), x.value.argmin(dim, keepdim)))


@rule("frac")
def _frac(x: Jet) -> Any:
    return _moved_to(x, torch.frac(x.value))


@rule("heaviside")
def _heaviside(x: Jet, values: Tensor) -> Tensor:
    return torch.heaviside(x.value.detach(), values)


@rule("real")
def _real(x: Jet) -> Jet:
    return linear_map(torch.real, x)


@rule("imag")
def _imag(x: Jet) -> Jet:
    return linear_map(torch.imag, x)


@rule("complex")
def _complex(real: Any, imag: Any) -> Any:
    return real + 1j * imag


@rule("sgn")
def _sgn(x: Jet) -> Tensor:
    return torch.sgn(_real_numbers("sgn", x).value)


@rule("nan_to_num")
def _nan_to_num(x: Any, *args: Any, **kwargs: Any) -> Any:
    return torch.where(x.value.isfinite(), x, x.value.detach().nan_to_num(*args, **kwargs))


# ---------------------------------------------------------------------------------------- layers


def _convolution(name: str) -> None:
    function = getattr(F, name)

    def act(x: Any, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        found = linear_map(lambda t: function(t, weight, None, *args, **kwargs), x)
        spatial = weight.ndim - 2
        return found if bias is None else found + bias.reshape(-1, *[1] * spatial)

    rule(name)(act)


for _name in ("conv1d", "conv2d", "conv3d"):
    _convolution(_name)


@rule("diff")
def _diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    parts = [part for part in (prepend, x, append) if part is not None]
    joined: Any = torch.cat(parts, dim) if len(parts) > 1 else x
    return linear_map(lambda t: t.diff(n=n, dim=dim), joined)


@rule("pad")
def _pad(x: Jet, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    padded = linear_map(lambda t: F.pad(t, list(pad), mode), x)
    return padded if not value else _moved_to(padded, F.pad(x.value, list(pad), mode, value))


def _gates(x: Any, hidden: Any, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> tuple[Any, Any]:
    """What a cell's matrices make of its input and of its state."""
    return F.linear(x, weights[0], biases[0]), F.linear(hidden, weights[1], biases[1])


@rule("gru_cell")
def _gru_cell(
    x: Any, hidden: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    own, before = (part.chunk(3, -1) for part in _gates(x, hidden, (w_ih, w_hh), (b_ih, b_hh)))
    reset, update = ((own[k] + before[k]).sigmoid() for k in (0, 1))
    new = (own[2] + reset * before[2]).tanh()
    return new + update * (hidden - new)


@rule("lstm_cell")
def _lstm_cell(
    x: Any, state: Sequence[Any], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Any, Any]:
    own, before = _gates(x, state[0], (w_ih, w_hh), (b_ih, b_hh))
    enter, forget, cell, leave = (own + before).chunk(4, -1)
    kept = forget.sigmoid() * state[1] + enter.sigmoid() * cell.tanh()
    return leave.sigmoid() * kept.tanh(), kept


@rule("rnn_tanh_cell")
def _rnn_tanh_cell(
    x: Any, hidden: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    own, before = _gates(x, hidden, (w_ih, w_hh), (b_ih, b_hh))
    return (own + before).tanh()
