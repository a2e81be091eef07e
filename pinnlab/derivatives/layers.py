"""Layers by their formulas, for tensors and jets alike: normalisation, attention.

Taylor mode takes them as rules, reverse mode those in `COMPOSED`: torch's own kernels cannot be differentiated as often
as the loss of a residual must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pinnlab.derivatives.formulas import cdist
from pinnlab.derivatives.jet import rule
from pinnlab.errors import UnsupportedOperationError

# ----------------------------------------------------------------------------------- activations


@rule("celu")
def celu(x: Any, alpha: float = 1.0) -> Any:
    """`F.celu`, which is `alpha elu(x / alpha)`."""
    return alpha * F.elu(x / alpha)


@rule("hardsigmoid")
def hardsigmoid(x: Any) -> Any:
    """`F.hardsigmoid`."""
    return F.relu6(x + 3) / 6


# --------------------------------------------------------------------------------- normalisation


@rule("layer_norm")
def layer_norm(
    x: Any,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """`F.layer_norm`."""
    dims = tuple(range(-len(normalized_shape), 0))
    return _affine(_standardised(x, dims, eps), weight, bias)


@rule("rms_norm")
def rms_norm(x: Any, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Any:
    """`F.rms_norm`."""
    dims = tuple(range(-len(normalized_shape), 0))
    least = torch.finfo(x.dtype).eps if eps is None else eps
    return _affine(x * ((x * x).mean(dims, keepdim=True) + least).rsqrt(), weight, None)


@rule("group_norm")
def group_norm(
    x: Any,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """`F.group_norm`: of `(n, channels, ...)`, each group of channels by itself."""
    groups = x.reshape(x.shape[0], num_groups, -1)
    trailing = [1] * (x.ndim - 2)
    scaled = _standardised(groups, (-1,), eps).reshape(x.shape)
    return _affine(scaled, *(None if t is None else t.reshape(-1, *trailing) for t in (weight, bias)))


def _standardised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    centred = x - x.mean(dims, keepdim=True)
    return centred * ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()


def _affine(x: Any, weight: Tensor | None, bias: Tensor | None) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


# ------------------------------------------------------------------------------------- attention


@rule("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """`F.scaled_dot_product_attention`: softmax(q k' scale + mask) v."""
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = _minus_infinity_where(~attn_mask, query)
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    return F.dropout(_attention_weights(query, key, attn_mask, scale), dropout_p) @ value


def _attention_weights(query: Any, key: Any, mask: Tensor | None, scale: float | None = None) -> Any:
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    return torch.softmax(scores if mask is None else scores + mask, -1)


def _minus_infinity_where(excluded: Tensor, like: Any) -> Tensor:
    zeros = torch.zeros(excluded.shape, dtype=like.dtype, device=like.device)
    return zeros.masked_fill(excluded, -math.inf)


@rule("multi_head_attention_forward")
def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """`F.multi_head_attention_forward`: of `(length, n, width)`, or `(length, width)`."""
    if add_zero_attn or any(extra is not None for extra in (bias_k, bias_v, static_k, static_v)):
        raise UnsupportedOperationError("the Taylor engine has no rule for attention with added keys and values")
    batched = query.ndim == 3
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    matrices: Any = separate if in_proj_weight is None or use_separate_proj_weight else in_proj_weight.chunk(3)
    offsets = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        _heads(F.linear(t, w, b), num_heads) for t, w, b in zip((query, key, value), matrices, offsets, strict=True)
    )
    weights = _attention_weights(q, k, _attention_mask(attn_mask, key_padding_mask, q))
    joined = (F.dropout(weights, dropout_p, training) @ v).permute(2, 0, 1, 3).flatten(2)
    outputs = F.linear(joined, out_proj_weight, out_proj_bias)
    weights = weights.mean(1) if average_attn_weights else weights
    if not batched:
        outputs, weights = outputs.squeeze(1), weights.squeeze(0)
    return outputs, weights if need_weights else None


def _heads(x: Any, count: int) -> Any:
    """`(length, n, width)` as `(n, heads, length, width of a head)`."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).permute(1, 2, 0, 3)


def _attention_mask(attention: Tensor | None, padding: Tensor | None, query: Any) -> Tensor | None:
    """What is added to the scores `(n, heads, length, length)`; a mask of booleans says what to leave out."""
    n, heads = query.shape[:2]
    if attention is not None and attention.ndim == 3:
        attention = attention.reshape(n, heads, *attention.shape[1:])
    parts = [attention, None if padding is None else padding[:, None, None, :]]
    added = [
        _minus_infinity_where(part, query) if part.dtype == torch.bool else part for part in parts if part is not None
    ]
    return added[0] + added[1] if len(added) == 2 else (added[0] if added else None)


COMPOSED: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        F.celu: celu,
        torch.celu: celu,
        F.hardsigmoid: hardsigmoid,
        F.layer_norm: layer_norm,
        torch.layer_norm: layer_norm,
        F.scaled_dot_product_attention: scaled_dot_product_attention,
        F.multi_head_attention_forward: multi_head_attention_forward,
        torch.Tensor.data.__get__: torch.Tensor.detach,  # type: ignore[attr-defined]
    }
)
"""What reverse mode takes by formula. In torch 2.13 the third derivative of `layer_norm` is wrong, without a word; fast
kernels of attention and `hardsigmoid` have no second one; `celu` rounds alpha to float32; `data` is no constant."""

OF_DERIVATIVES: Mapping[Any, Callable[..., Any]] = MappingProxyType({**COMPOSED, torch.cdist: cdist})
"""The same where derivatives are wanted: `cdist` has no second one either, and its own first one where rows meet."""
