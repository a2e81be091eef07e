"""Networks that cost less on functions times places than on as many unrelated points."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import nn

from pinnlab.networks.last_layer import unscaled


@runtime_checkable
class OnProducts(Protocol):
    """A network whose points are a place and a function, and which can be told that they are all pairs of some.

    Attributes:
        place_columns: how many of the coordinates, the first ones, are the place; the others are the function.
    """

    place_columns: int

    def forward(self, x: Any, places: int | None = None) -> Any:
        """Maps `(n, inputs)` to `(n, outputs)`.

        Args:
            x: with `places` the pairs of `n / places` functions and so many places, function by function and the places
                in the same order for each. A jet may be by both.
            places: how many; without it any points.
        """
        ...


def columns_of_places(network: nn.Module) -> int | None:
    """How many coordinates are the place, of a network that is `OnProducts`, also in a `ScaledInput`; else None."""
    inner = unscaled(network)
    return inner.place_columns if isinstance(inner, OnProducts) else None
