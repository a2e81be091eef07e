"""Trainable constants of a problem's equations: what an inverse problem is to find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_real


@dataclass(frozen=True)
class Coefficient:
    """An unknown number of the equation, or several, that training is to find (an inverse problem).

    Functions of the problem, the ansatz too, get it by name: a tensor without dimensions, or `(k,)` for several.

    Args:
        initial: the first guess; a list or an array of k of them for a vector.
        bounds: an open interval that it, or all of them, stay in (by a logistic map), or None for any real number.
    """

    initial: float | Sequence[float]
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.initial, (np.ndarray, Tensor)):  # a list prints, and goes into checkpoints
            object.__setattr__(self, "initial", self.initial.tolist())
        ends = () if self.bounds is None else self.bounds
        if not isinstance(ends, (tuple, list)) or len(ends) not in (0, 2) or not all(isinstance(e, Real) for e in ends):
            raise ConfigurationError(
                f"coefficient: bounds must be two numbers, got {self.bounds}; numbers with bounds of their own are "
                "coefficients of their own"
            )
        for guess in self._guesses():
            check_real("coefficient", initial=guess)
            if not all(map(math.isfinite, (guess, *ends))):
                raise ConfigurationError(
                    f"coefficient: initial {guess} and bounds {self.bounds} must be finite; use bounds None for none"
                )
            if self.bounds is not None and not self.bounds[0] < guess < self.bounds[1]:
                raise ConfigurationError(f"coefficient: initial {guess} is not inside bounds {self.bounds}")
        if not self._guesses():
            raise ConfigurationError("coefficient: initial is empty; give a number, or several")

    @property
    def is_vector(self) -> bool:
        """Whether it is several numbers."""
        return isinstance(self.initial, Sequence)

    def raw_initial(self) -> float | list[float]:
        """The unconstrained parameter that stands for the first guess, or several."""
        raw = [self._raw(guess) for guess in self._guesses()]
        return raw if self.is_vector else raw[0]

    def value(self, raw: Tensor) -> Tensor:
        """The coefficient that an unconstrained parameter stands for."""
        if self.bounds is None:
            return raw
        return self.bounds[0] + (self.bounds[1] - self.bounds[0]) * torch.sigmoid(raw)

    def _guesses(self) -> list[float]:
        return list(self.initial) if isinstance(self.initial, Sequence) else [self.initial]

    def _raw(self, guess: float) -> float:
        if self.bounds is None:
            return guess
        fraction = (guess - self.bounds[0]) / (self.bounds[1] - self.bounds[0])
        return math.log(fraction / (1 - fraction))


def first_guesses(coefficients: Mapping[str, Coefficient], like: Tensor) -> dict[str, Tensor]:
    """What coefficients begin with, by name, in the dtype of a tensor on its device."""
    return {name: own.value(like.new_tensor(own.raw_initial())) for name, own in coefficients.items()}


def by_number(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Coefficients as single numbers: those of a vector `k` are `k.0`, `k.1`, ..."""
    found: dict[str, float] = {}
    for name, value in values.items():
        numbers = value.detach().reshape(-1).tolist()
        found.update({name if value.ndim == 0 else f"{name}.{i}": number for i, number in enumerate(numbers)})
    return found
