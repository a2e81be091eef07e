"""Narrow networks inside wide ones: the first neurons of every hidden layer, by slices of the wide one's tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from pinnlab.errors import ConfigurationError


@runtime_checkable
class Narrowable(Protocol):
    """A network that can be evaluated with the first neurons of every hidden layer alone."""

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors of the narrow network inside the wide one.

        `torch.func.functional_call` with them evaluates the narrow network at the narrow network's cost, and
        gradients reach the wide network's tensors: exactly zero outside of the slices.

        Args:
            tensors: parameters and buffers of this network by name, or some of them.
            width: the neurons that every hidden layer keeps; a layer that has no more keeps all.

        Returns:
            The same names. Each tensor is the leading block (first rows, first columns) of the one given, so
            that the columns cut off a matrix hold the weights of the neurons left out.
        """
        ...


def narrowed_inside(network: nn.Module, prefix: str, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    """Narrows the network inside a wrapper; the wrapper's other tensors stay as they are.

    Args:
        network: the wrapped network.
        prefix: what the wrapper's tensors of that network begin with, such as `"network."`.
        tensors: of the wrapper, by name.
        width: see `Narrowable.narrowed`.

    Raises:
        ConfigurationError: the network is not `Narrowable`.
    """
    if not isinstance(network, Narrowable):
        raise ConfigurationError(f"{type(network).__name__} cannot be narrowed: it has no method `narrowed`")
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {**tensors, **{prefix + name: tensor for name, tensor in network.narrowed(own, width).items()}}


def first_neurons(tensors: Mapping[str, Tensor], width: int, entries: Collection[str]) -> dict[str, Tensor]:
    """The slices of a network of dense layers, plain or factorised, that belong to its first neurons.

    Args:
        tensors: by name; those of `embedding` stay as they are, and the layer `last` keeps all its rows.
        width: the neurons that every hidden layer keeps.
        entries: the layers that see the embedded coordinates and keep all their columns.
    """
    slices = {}
    for name, tensor in tensors.items():
        layer = name.rpartition(".")[0]
        if name.startswith("embedding.") or not layer:  # a network's own tensors are one number for each layer
            slices[name] = tensor
            continue
        rows = slice(None) if layer == "last" else slice(width)
        columns = slice(None) if layer in entries else slice(width)
        slices[name] = tensor[rows] if tensor.ndim == 1 else tensor[rows, columns]
    return slices
