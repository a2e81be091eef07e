"""A monotone map of an interval that makes a small part of it large, and its inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real


@dataclass(frozen=True)
class LensMap:
    """Coordinates y of [-1, 1] in which what is steep in x near a place is smooth.

    Between the ends y is the inverse hyperbolic sine of the distance over the width, scaled to [-1, 1]. A periodic one
    is `tan(pi (y - at) / 2) = tan(pi (x - at) / 2) / width`, the arctan/tan map of Boyd (J. Comput. Phys. 98, 1992,
    181): y is x and a function of period 2, so that waves stay waves of a periodic function, and what is odd about the
    place, or about the point opposite to it, stays odd.

    Attributes:
        at: the place, in [-1, 1].
        width: of the layer, in the same units: about 1 / width is how steep the map is there.
        periodic: whether the map is periodic, too.
    """

    at: float
    width: float
    periodic: bool

    @classmethod
    def checked(cls, at: float, width: float, periodic: bool) -> LensMap:
        """A map by numbers that a user gave.

        Raises:
            ConfigurationError: the place is not in [-1, 1], or the width is not positive.
        """
        check_real("", at=at)
        check_positive("", width=width)
        if not -1 <= at <= 1:
            raise ConfigurationError(f"at: must be in [-1, 1], the range of the scaled coordinate, got {at}")
        return cls(float(at), float(width), periodic)

    def magnify(self, x: Any) -> Any:
        """`y(x)`, of tensors of any shape and of jets."""
        if self.periodic:
            return _arctan_tan(x, self.at, self.width)
        first, last = self._ends
        return (torch.asinh((x - self.at) / self.width) - first) * (2 / (last - first)) - 1

    def gather(self, y: Tensor) -> Tensor:
        """`x(y)`, the inverse: evenly spaced numbers of [-1, 1] come out close together near the place."""
        if self.periodic:
            moved = _arctan_tan(y, self.at, 1 / self.width)
            return torch.remainder(moved + 1, 2) - 1
        first, last = self._ends
        return (self.at + self.width * torch.sinh(first + (y + 1) * ((last - first) / 2))).clamp(-1, 1)

    @property
    def _ends(self) -> tuple[float, float]:
        return math.asinh((-1 - self.at) / self.width), math.asinh((1 - self.at) / self.width)


def _arctan_tan(x: Any, at: float, width: float) -> Any:
    """The arctan/tan map as x and what is added to it, which is finite where the tangent is not."""
    turn = math.pi * (x - at)
    added = torch.atan((1 - width) * torch.sin(turn) / ((1 + width) - (1 - width) * torch.cos(turn)))
    return x + (2 / math.pi) * added
