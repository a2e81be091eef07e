"""Networks that cost less on functions times places than on as many unrelated points."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

from torch import nn

from pinnlab.networks.last_layer import unscaled
from pinnlab.networks.scaling import ScaledInput

Places = tuple[int, ...] | None
"""What is known of points that are functions times places: how many places, or how many along each axis of a grid of
them. None: nothing."""


@runtime_checkable
class OnProducts(Protocol):
    """A network whose points are a place and a function, and which can be told that they are all pairs of some.

    What is called a function here may also be a time.

    Attributes:
        place_columns: how many of the coordinates, the first ones, are the place; the others are the function.
        on_grids: whether places have to be a grid, too, as those of `ProductSeries`.
    """

    place_columns: int
    on_grids: bool

    def forward(self, x: Any, places: Places = None) -> Any:
        """Maps `(n, inputs)` to `(n, outputs)`.

        Args:
            x: with `places` all pairs of some functions and so many places, function by function and the places in the
                same order for each, those of a grid with the last coordinate fastest. A jet may be by both.
            places: how many, along each axis if they are a grid; None: any points.
        """
        ...


@runtime_checkable
class InFactors(OnProducts, Protocol):
    """One that multiplies what two nets, of parameters of their own, make of the function and of the place.

    With the features h of a function and g of a place, W and V the two last layers, linear ones with a bias:
    `u[o] = sum_r (W h)[o, r] (V g)[r] + bias[o]`. The bias is the parameter `bias`, which is no attribute here: since
    Python 3.12 `isinstance` does not see the parameters of a module.

    Attributes:
        last_layers: the names of W and V among its modules.
    """

    last_layers: tuple[str, str]

    def features(self, x: Any, places: int) -> tuple[Any, Any]:
        """What W and V are given: h of every function and g of every place.

        Args:
            x: `(functions * places, inputs)` as in `forward`; a jet may be by both.
            places: how many.
        """
        ...


class Features(nn.Module):
    """The features of a network that is `InFactors`, as a module with the network's parameters.

    Args:
        network: as it is or in a `ScaledInput`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any, places: int) -> tuple[Any, Any]:
        """See `InFactors.features`."""
        network = self.network
        while isinstance(network, ScaledInput):
            x, network = network.scaled(x), network.network
        return cast("InFactors", network).features(x, places)


def on_products(network: nn.Module) -> OnProducts | None:
    """The network itself, also in a `ScaledInput`, if it is `OnProducts`; else None."""
    inner = unscaled(network)
    return inner if isinstance(inner, OnProducts) else None
