"""Tables of numbers where they are computed with: brought to a GPU once, not at every evaluation.

A copy from the CPU has the host wait for the GPU, and what waits cannot be recorded, see `graph_replay`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing
from torch.utils.weak import WeakTensorKeyDictionary

from pinnlab.numerics.torch_version import has_values

_COPIES = WeakTensorKeyDictionary()
"""The copies of each tensor by place and type, with the version that they are of; they go when the tensor goes.

They are no part of the state of whoever has the tensor: a problem is copied and pickled without them.
"""


def constant_like(constant: Tensor, x: Any, dtype: torch.dtype | None = None) -> Tensor:
    """`constant.to(x)`, but copied once only, for as long as the tensor lives and is not written to.

    Its numbers are those of `constant.to(x)`, always. What must be differentiated is not kept. In a function that is
    traced to be compiled the copy is a constant of the graph.

    Args:
        constant: a table that somebody keeps, as an attribute or a variable; of one that is made at each call nothing
            is gained.
        x: what it is to be computed with: has a `dtype` and a `device`.
        dtype: another type than that of `x`.

    Returns:
        The table itself where it fits. It must not be written to.
    """
    place = x.device, dtype or x.dtype
    if (constant.device, constant.dtype) == place:
        return constant
    if not _is_plain(constant):
        return constant.to(*place)
    copies = _COPIES.setdefault(constant, {})
    version, copy = copies.get(place, (-1, None))
    if version != constant._version:
        with _outside():
            if copy is None or copy.shape != constant.shape:
                copy = constant.to(*place)
            else:  # where it is: a recording reads it there
                copy.copy_(constant)
        copies[place] = constant._version, copy
    return copy


def _is_plain(tensor: Tensor) -> bool:
    """Whether it has numbers of its own, which nobody differentiates by, and counts when it is written to."""
    own = not isinstance(tensor, FakeTensor) and has_values(tensor)
    return own and not tensor.requires_grad and not tensor.is_inference()


@contextlib.contextmanager
def _outside() -> Iterator[None]:
    """What is computed here may be kept: it belongs to no trace, transform or inference around."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch._C._DisableFuncTorch(),
        disable_proxy_modes_tracing(),
        unset_fake_temporarily(),
    ):
        yield
