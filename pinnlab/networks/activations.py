"""Activation functions, by name or of one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import unknown

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "tanh": torch.tanh,
        "sin": torch.sin,
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
        "silu": F.silu,
        "swish": F.silu,
        "gelu": F.gelu,
        "relu": F.relu,
    }
)


Activation = str | nn.Module | Callable[[Tensor], Tensor]
"""A name of `ACTIVATIONS`, or an elementwise function or module of one's own."""


def activation(given: Activation) -> Callable[[Tensor], Tensor]:
    """The elementwise function of a name: tanh, sin, sigmoid, softplus, silu (or swish), gelu or relu; or one's own.

    All of them but `relu` are smooth. The second derivative of `relu` vanishes almost everywhere, so a
    network built with it cannot satisfy a second-order equation; it is here for comparisons.

    Args:
        given: a name, a function of tensors such as `torch.arctan`, or a module or its class, such as `nn.Mish`. A
            module is copied, so that each network has its own parameters.

    Raises:
        ConfigurationError: there is no activation of that name.

    >>> activation("tanh")(torch.zeros(2))
    tensor([0., 0.])
    """
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    if callable(given):
        return given() if isinstance(given, type) else given
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise unknown("activation", str(given), ACTIVATIONS)
    return ACTIVATIONS[given]
