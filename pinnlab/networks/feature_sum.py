"""The sum of several networks with a linear last layer: each for a part of what the solution is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor, nn

from pinnlab.errors import ConfigurationError


@final
class FeatureSum(nn.Module):
    """Networks that all give all unknowns, added up: smooth sines, those of a corner, those of a layer.

    `LeastSquares` solves for the last layers of all of them together. They start from zero: Newton's method finds a
    slow flow from there, and not from just anywhere.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        networks: what builds each of them from the numbers of coordinates and unknowns.

    Raises:
        ConfigurationError: there is none, or one has no module `last`.
    """

    def __init__(self, inputs: int, outputs: int, *, networks: Sequence[Callable[[int, int], nn.Module]]):
        super().__init__()
        if not networks:
            raise ConfigurationError("networks: a FeatureSum needs at least one")
        self.networks = nn.ModuleList(build(inputs, outputs) for build in networks)
        for network in self.networks:
            if not isinstance(getattr(network, "last", None), nn.Module):
                raise ConfigurationError(f"networks: {type(network).__name__} has no last layer")
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    @property
    def last(self) -> nn.ModuleList:
        """The last layers of all of them, see `last_layer`."""
        layers: list[nn.Module] = []
        for network in self.networks:
            last = network.last
            assert isinstance(last, nn.Module)  # as was seen in the beginning
            layers += last if isinstance(last, nn.ModuleList) else [last]
        return nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        total = self.networks[0](x)
        for network in self.networks[1:]:
            total = total + network(x)
        return total
