"""What differs between the versions of torch that pinnlab runs on: one function for each difference.

A function goes when the lower bound in pyproject.toml passes the version that it names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.utils import _pytree as pytree

VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
"""Major and minor number of the torch that is installed."""

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])


def differentiable_in_inference_mode(function: AnyCallable) -> AnyCallable:
    """Decorates a function that uses `torch.func.grad` or `vjp`.

    In torch 2.11 both give zeros in inference mode, without an error. There the function is evaluated outside of this
    mode, on copies of arguments that were made in it.
    """
    if VERSION >= (2, 12):
        return function

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if not torch.is_inference_mode_enabled():
            return function(*arguments, **options)
        with torch.inference_mode(False), torch.no_grad():
            arguments, options = pytree.tree_map_only(Tensor, _normal, (arguments, options))
            return function(*arguments, **options)

    return wrapped  # type: ignore[return-value]


def _normal(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor


def has_values(x: Tensor) -> bool:
    """Whether a tensor's numbers can be looked at: not inside of `torch.func` transforms, nor in what torch compiles.

    Torch has no public name for the first. For code of pinnlab's own see `is_traced`.
    """
    wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(x)
    return not (wrapped or torch.compiler.is_compiling() or torch.jit.is_tracing())


def is_traced() -> bool:
    """Whether operations are recorded for compiled code: then nothing may depend on numbers."""
    return get_proxy_mode() is not None


def decompositions() -> dict[Any, Callable[..., Any]]:
    """How to write operations, before they are compiled, that the installed version would compile wrongly.

    In code for a CPU every version has taken `expm1(x)` for `exp(x) - 1`, and `atanh(x)` for half the logarithm of
    `(1 + x) / (1 - x)`, which have no digits near 0; ELU is made of the first. There `erf` in float32 has
    none, either, but it has in float64.

    Up to and with torch 2.12, a norm over axes that are counted from the end and of length one, such as
    `r.norm(dim=-1)` of an `(n, 1)` tensor, keeps these axes in compiled code. They are counted from the front instead.
    """
    aten = torch.ops.aten
    found = {
        **get_decompositions([aten.elu.default, aten.celu.default, aten.selu.default]),
        aten.expm1.default: _expm1,
        aten.atanh.default: _atanh,
        aten.erf.default: _erf,
    }
    return found if VERSION >= (2, 13) else {**found, aten.linalg_vector_norm.default: _norm_from_the_front}


def _expm1(x: Tensor) -> Any:
    if not x.is_floating_point():
        return NotImplemented
    half = x.clamp(min=-100.0) / 2  # below, where it is -1 to the last bit, 0 times infinity
    return 2 * half.exp() * half.sinh()


def _atanh(x: Tensor) -> Any:
    return (x.log1p() - (-x).log1p()) / 2 if x.is_floating_point() else NotImplemented


def _erf(x: Tensor) -> Any:
    in_float32 = x.dtype == torch.float32 and x.device.type == "cpu"
    return torch.erf(x.double()).to(x.dtype) if in_float32 else NotImplemented


def _norm_from_the_front(
    x: Tensor,
    ord: float = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Any:
    if dim is None or all(axis >= 0 for axis in dim):
        return NotImplemented
    return torch.linalg.vector_norm(x, ord, [axis % x.ndim for axis in dim], keepdim, dtype=dtype)
