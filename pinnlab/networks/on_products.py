"""Networks that cost less on functions times places than on as many unrelated points."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import nn

from pinnlab.networks.last_layer import unscaled

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


def on_products(network: nn.Module) -> OnProducts | None:
    """The network itself, also in a `ScaledInput`, if it is `OnProducts`; else None."""
    inner = unscaled(network)
    return inner if isinstance(inner, OnProducts) else None
