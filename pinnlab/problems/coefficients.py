"""Trainable constants of a problem's equations: what an inverse problem is to find."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_real


@dataclass(frozen=True)
class Coefficient:
    """An unknown number of the equation that training is to find (an inverse problem).

    Args:
        initial: the first guess.
        bounds: an open interval that it stays in (by a logistic map), or None for any real number.
    """

    initial: float
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_real("coefficient", initial=self.initial)
        if not all(map(math.isfinite, (self.initial, *(self.bounds or ())))):
            raise ConfigurationError(
                f"coefficient: initial {self.initial} and bounds {self.bounds} must be finite; use bounds None for none"
            )
        if self.bounds is not None and not self.bounds[0] < self.initial < self.bounds[1]:
            raise ConfigurationError(f"coefficient: initial {self.initial} is not inside bounds {self.bounds}")

    def raw_initial(self) -> float:
        """The unconstrained parameter that stands for the first guess."""
        if self.bounds is None:
            return self.initial
        fraction = (self.initial - self.bounds[0]) / (self.bounds[1] - self.bounds[0])
        return math.log(fraction / (1 - fraction))

    def value(self, raw: Tensor) -> Tensor:
        """The coefficient that an unconstrained parameter stands for."""
        if self.bounds is None:
            return raw
        return self.bounds[0] + (self.bounds[1] - self.bounds[0]) * torch.sigmoid(raw)
