"""How a Gauss-Newton iteration chooses its step: what a rule is, and what it may try."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Memory = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A step that was tried.

    Attributes:
        step: `(n,)` the direction.
        length: what it is multiplied with.
        loss: the loss after it.
        damping: mu of the direction.
        gain_ratio: actual over predicted decrease; nan where it was not asked for.
    """

    step: Tensor
    length: float
    loss: float
    damping: float
    gain_ratio: float = float("nan")


class Trials(ABC):
    """What a rule may try in one iteration, around the same parameters and on the same points.

    Attributes:
        loss: the loss that steps are compared with.
    """

    loss: float

    @abstractmethod
    def damped(self, damping: float) -> Candidate | None:
        """The step with a damping, after the line search; None when that finds no decrease."""

    @abstractmethod
    def of_lengths(self, lengths: Sequence[float]) -> list[Candidate]:
        """The full steps of these lengths in the 2-norm, with their gain ratios; needs `form: qr`."""

    @abstractmethod
    def gain_ratio(self, candidate: Candidate) -> float:
        """Actual over predicted decrease, the prediction being that of the undamped model for the step made."""

    @abstractmethod
    def forget_momentum(self) -> None:
        """Makes the next direction without what is carried over, which may be what leads uphill."""


class StepRule(ABC):
    """Chooses the step. Keeps nothing itself: what it remembers is in the dictionary that the optimizer hands it.

    Attributes:
        needs_lengths: whether it asks for steps of given lengths, and so for singular values.
        lowest: the smallest damping that it may come to; decides whether J'J is good enough for it.
    """

    needs_lengths: bool = False
    lowest: float = 0.0

    @abstractmethod
    def initial(self) -> Memory:
        """What is remembered before the first iteration; primitives only."""

    @abstractmethod
    def find(self, memory: Memory, trials: Trials) -> Candidate | None:
        """The step to make, which lowers the loss; None when there is none."""
