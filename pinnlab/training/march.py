"""The plan of a run in windows of time; without torch, since a recipe is shown before torch is there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from pinnlab.errors import ConfigurationError, check_list, check_positive, check_real, check_whole, unknown

WINDOWS = 6
"""How many there are where a plan says neither how many nor where they end."""

STARTS = ("previous", "fresh")


@dataclass
class March:
    """How a problem is solved in windows of time, one after the other.

    Args:
        windows: how many of equal length. Default: 6, unless there are edges.
        edges: in their place, where windows begin and end, both ends of the time included.
        coordinate: that is cut.
        tolerance: of the held-out residual, the root of its mean square in the worst condition, without weights. A
            window ends as soon as it is that small; one that ends above it is halved. Default: none, and windows end
            with their phases.
        every: steps between two looks at the held-out residual.
        halvings: how often a window may be halved that does not reach the tolerance. The run goes on behind one that
            cannot be halved again, with a warning.
        start: of a window's network: `previous` goes on from the weights of the window before, with a little of fresh
            ones; `fresh` begins anew.
        noise: the factor of the fresh weights that are added to the previous ones. They bring back what saturated
            neurons have lost; at 0.01 the network is still that of the window before.

    Raises:
        ConfigurationError: a number is out of its range, or edges are not increasing.
    """

    windows: int | None = None
    edges: list[float] | None = None
    coordinate: str = "t"
    tolerance: float | None = None
    every: int = 10
    halvings: int = 3
    start: Literal["previous", "fresh"] = "previous"
    noise: float = 0.01

    def __post_init__(self) -> None:
        if self.windows is not None and self.edges is not None:
            raise ConfigurationError("march: give either windows or edges")
        check_whole("march", least=1, windows=self.count, every=self.every)
        check_whole("march", least=0, halvings=self.halvings)
        check_real("march", noise=self.noise)
        check_positive("march", **({} if self.tolerance is None else {"tolerance": self.tolerance}))
        if self.noise < 0:
            raise ConfigurationError(f"march.noise: must be at least 0, got {self.noise}")
        if self.start not in STARTS:
            raise unknown("march.start", str(self.start), STARTS)
        if self.edges is not None:
            check_list("march", edges=self.edges)
            if len(self.edges) < 2 or any(a >= b for a, b in itertools.pairwise(self.edges)):
                raise ConfigurationError(f"march.edges: must be increasing, two or more, got {self.edges}")

    @property
    def count(self) -> int:
        """How many windows of equal length there are without edges."""
        return WINDOWS if self.windows is None else self.windows
