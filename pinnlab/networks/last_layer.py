"""The last layer of a network: the parameters in which its outputs are linear."""

from __future__ import annotations

from torch import nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.composed import Composed
from pinnlab.networks.scaling import ScaledInput


def unscaled(network: nn.Module) -> nn.Module:
    """The network itself, out of any `ScaledInput`."""
    while isinstance(network, ScaledInput):
        network = network.network
    return network


def last_layer(network: nn.Module) -> list[str]:
    """The names of the parameters in which a network's outputs are linear, as `named_parameters` has them.

    They are those of the module `last`, which every network of this package has whose last operation is a linear
    layer, and which a network from elsewhere may have. A layer of which only a part is linear lists that part in an
    attribute `linear_in`, as `FactorisedLinear` does. Of a `Composed` network they are those of all its parts; one that
    adds up several has a `ModuleList` of their last layers.

    Args:
        network: as it is or inside a `ScaledInput`.

    Raises:
        ConfigurationError: it has no module `last` with parameters.
    """
    inner = unscaled(network)
    if isinstance(inner, Composed):
        prefix = "".join(f"{key}." for key, module in network.named_modules() if module is inner and key)
        return [f"{prefix}parts.{k}.{name}" for k, part in enumerate(inner.parts) for name in last_layer(part)]
    last = getattr(inner, "last", None)
    layers = list(last) if isinstance(last, nn.ModuleList) else [last]
    names = [name for layer in layers if isinstance(layer, nn.Module) for name in _linear_in(network, layer)]
    if not names:
        raise ConfigurationError(
            f"model.network: {type(inner).__name__} has no trained last layer; name the linear one that ends it `last`"
        )
    return names


def _linear_in(network: nn.Module, layer: nn.Module) -> list[str]:
    """The names, in a network, of the trained parameters of a layer in which its output is linear."""
    own = [name for name, p in layer.named_parameters() if p.requires_grad]
    prefix = next(key for key, module in network.named_modules() if module is layer)
    return [f"{prefix}.{name}" for name in own if name in getattr(layer, "linear_in", own)]
