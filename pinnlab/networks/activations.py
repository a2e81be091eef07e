"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

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


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name: tanh, sin, sigmoid, softplus, silu (or swish), gelu or relu.

    All of them but `relu` are smooth. The second derivative of `relu` vanishes almost everywhere, so a
    network built with it cannot satisfy a second-order equation; it is here for comparisons.

    Raises:
        ConfigurationError: there is no activation of that name.

    >>> activation("tanh")(torch.zeros(2))
    tensor([0., 0.])
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", str(name), ACTIVATIONS)
    return ACTIVATIONS[name]
