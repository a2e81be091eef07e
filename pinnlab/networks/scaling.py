"""Scaling of the coordinates in front of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.composed import Composed
from pinnlab.networks.narrowing import narrowed_inside


@final
class ScaledInput(nn.Module):
    """Calls a network on coordinates that are mapped from a box to [-1, 1].

    Initialisations and activations assume inputs of that size (see the networks); a domain in other
    units would start them saturated or dead.

    Args:
        network: what receives the scaled `(n, inputs)` coordinates.
        low: the smallest value of every coordinate.
        high: the largest value of every coordinate.

    Raises:
        ConfigurationError: the bounds differ in number, are not finite, or `low` is not below `high`.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, low: Sequence[float], high: Sequence[float]):
        super().__init__()
        _check(low, high)
        self.network = network
        self._center = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
        self._scale = tuple(2 / (b - a) for a, b in zip(low, high, strict=True))
        self.register_buffer("center", torch.tensor(self._center), persistent=False)
        self.register_buffer("scale", torch.tensor(self._scale), persistent=False)

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors with the network's first `width` neurons in every hidden layer, see `Narrowable`.

        Raises:
            ConfigurationError: the network cannot be narrowed.
        """
        return narrowed_inside(self.network, "network.", tensors, width)

    def forward(self, x: Tensor, **known: Any) -> Tensor:
        """Maps `(n, inputs)`, in the units of the domain, to the network's `(n, outputs)`.

        Args:
            x: the coordinates.
            **known: handed on, see `OnProducts`.
        """
        return self.network(self.scaled(x), **known)

    def scaled(self, x: Tensor) -> Tensor:
        """The coordinates that the network is given."""
        return (x - self.center) * self.scale

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ScaledInput:
        super()._apply(fn, recurse)
        # A buffer that went through float32 has lost half of the digits of the bounds: fill it anew.
        self.center.copy_(torch.tensor(self._center, dtype=torch.float64))
        self.scale.copy_(torch.tensor(self._scale, dtype=torch.float64))
        return self


def _check(low: Sequence[float], high: Sequence[float]) -> None:
    if len(low) != len(high) or len(low) == 0:
        raise ConfigurationError(f"low and high need one value per input, not {len(low)} and {len(high)}")
    for k, (a, b) in enumerate(zip(low, high, strict=True)):
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise ConfigurationError(f"low[{k}] must be finite and below high[{k}], not {a} and {b}")


def network_in_words(network: nn.Module) -> str:
    """The class of a network, without what scales its inputs, and how many numbers it has; or what it says itself."""
    own: Callable[[], str] | None = getattr(network, "in_words", None)
    if own is not None:
        return own()
    return f"{_class_of(network)}, {sum(p.numel() for p in network.parameters()):,} parameters"


def _class_of(network: nn.Module) -> str:
    """Of networks side by side those of all of them."""
    inner = network.network if isinstance(network, ScaledInput) else network
    return " and ".join(map(_class_of, inner.parts)) if isinstance(inner, Composed) else type(inner).__name__
