"""When a phase of training is over: criteria on the series of losses and gradient norms.

A new criterion is a pure function of a sequence and a small `Criterion` around it that keeps the series it
needs. All of them are scale-free: multiplying the loss by a constant does not change the decision. Ranks
agree by themselves, because every rank sees the same global loss.
"""

from __future__ import annotations

import copy
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from pinnlab.errors import ConfigurationError


@dataclass(frozen=True)
class Progress:
    """What one optimizer step did.

    Attributes:
        step: steps made in this phase, this one included.
        evaluations: closure calls made in this phase.
        loss: the global loss after the step.
        gradient_norm: the 2-norm of the loss's gradient there.
    """

    step: int
    evaluations: int
    loss: float
    gradient_norm: float


class Criterion(ABC):
    """Decides when a phase is over; is given one `Progress` per optimizer step.

    A subclass says how its state looks before the first step (`initial`, primitives and lists of them only,
    because checkpoints hold it), how a step changes it (`update`, working on `self._state`), and why the
    phase ended (`reason`).
    """

    def __init__(self) -> None:
        self._state = self.initial()

    @abstractmethod
    def initial(self) -> dict[str, Any]:
        """The state before the first step."""

    @abstractmethod
    def update(self, progress: Progress) -> bool:
        """Takes in one step; True when the phase should end."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """One line with the value that the last decision rests on."""

    def reset(self) -> None:
        """Forgets all steps."""
        self._state = self.initial()

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that later decisions depend on."""
        return copy.deepcopy(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a `state_dict` of the same criterion.

        Raises:
            ConfigurationError: when the state belongs to another kind of criterion.
        """
        if state.keys() != self.initial().keys():
            expected, found = sorted(self.initial()), sorted(state)
            name = type(self).__name__
            raise ConfigurationError(f"criterion state: {name} needs {expected}, the checkpoint has {found}")
        self._state = copy.deepcopy(dict(state))


def plateau(losses: Sequence[float]) -> float:
    """Relative improvement of the median loss from the first half of a series to the second.

    Medians ignore the spikes of Adam; for positive losses this is what the median of the logarithm gives.

    Args:
        losses: at least two finite values, of any sign; the middle one of an odd number is left out.

    Returns:
        1 - (median of the second half) / (median of the first): 0 on a plateau, 0.5 when the loss halves,
        negative when it grows.
    """
    first, second = (statistics.median(half) for half in _halves(losses))
    drop = first - second
    return drop / abs(first) if first != 0 else math.copysign(math.inf, drop) if drop else 0.0


def drift(norms: Sequence[float]) -> float:
    """Relative change of the median of positive values from the first half of a series to the second.

    Args:
        norms: at least two finite values, none negative.

    Returns:
        exp(|difference of the median logarithms|) - 1: 0 when settled, 1 for a factor two, up or down.
    """
    first, second = (statistics.median(half) for half in _halves(_logarithms(norms)))
    return _expm1(abs(second - first))


def spread(norms: Sequence[float]) -> float:
    """How far the middle half of positive values reaches, relative to themselves.

    Args:
        norms: at least two finite values, none negative.

    Returns:
        (third quartile) / (first quartile) - 1: 0 for constant values, 1 when they are a factor two apart.
    """
    low, _, high = statistics.quantiles(_logarithms(norms), n=4)
    return _expm1(high - low)


def _halves(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    half = len(values) // 2
    return values[:half], values[len(values) - half :]


def _logarithms(norms: Sequence[float]) -> list[float]:
    # A gradient that is exactly zero is as settled as it gets: give it the smallest logarithm there is.
    return [math.log(max(norm, 5e-324)) for norm in norms]


def _expm1(exponent: float) -> float:
    return math.expm1(exponent) if exponent < 700 else math.inf


@final
class FixedSteps(Criterion):
    """Ends a phase after a number of steps.

    Args:
        steps: how many.

    Raises:
        ConfigurationError: when it is not positive.
    """

    def __init__(self, steps: int) -> None:
        _check_at_least("steps", steps, 1)
        self.steps = steps
        super().__init__()

    def initial(self) -> dict[str, Any]:
        """The number of steps made."""
        return {"step": 0}

    def update(self, progress: Progress) -> bool:
        """True from step `steps` on, if the loss is finite there."""
        self._state["step"] = progress.step
        return progress.step >= self.steps and math.isfinite(progress.loss)

    @property
    def reason(self) -> str:
        """The number of steps."""
        return f"fixed steps: {self._state['step']} of {self.steps} steps made"


@final
class LossPlateau(Criterion):
    """Ends a phase when the loss has stopped to improve.

    The relative improvement of the median loss between the two halves of a window (`plateau`) must stay below
    the tolerance for half a window. By then the halves have moved on by their whole length, so one lucky draw
    of a noisy series is not enough: with noise of 10 % a gain of 4 % from half to half is still seen. Noisier
    series need a longer window. A loss that is not finite starts all over.

    Args:
        window: steps to look at. 200 averages the oscillations of Adam over 100 steps on each side; an L-BFGS
            step does ten iterations, so 20 looks equally far there.
        tolerance: relative improvement from half to half that is too small to go on for. 1e-2 in 100 steps of
            Adam is a factor three in 10,000 steps, which a second-order method does in a few.
        minimum_steps: steps to make in any case. 0, because the window has to be full anyway; set it where
            the loss is known to be flat at first.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, window: int = 200, tolerance: float = 1e-2, minimum_steps: int = 0) -> None:
        _check_at_least("window", window, 4)
        _check_at_least("minimum_steps", minimum_steps, 0)
        _check_positive("tolerance", tolerance)
        self.window, self.tolerance, self.minimum_steps = window, tolerance, minimum_steps
        super().__init__()

    def initial(self) -> dict[str, Any]:
        """An empty window; `held` counts the steps for which the improvement has been too small."""
        return {"losses": [], "improvement": None, "held": 0}

    def update(self, progress: Progress) -> bool:
        """True when the improvement has been too small for half a window."""
        if not math.isfinite(progress.loss):
            self.reset()
            return False
        state = self._state
        losses = _push(state["losses"], progress.loss, self.window)
        if len(losses) < self.window:
            return False
        state["improvement"] = plateau(losses)
        state["held"] = state["held"] + 1 if state["improvement"] < self.tolerance else 0
        return state["held"] >= self.window // 2 and progress.step >= self.minimum_steps

    @property
    def reason(self) -> str:
        """The relative improvement beside the tolerance."""
        improvement = self._state["improvement"]
        if improvement is None:
            return f"loss plateau: fewer than {self.window} finite losses yet"
        sign = "<" if improvement < self.tolerance else ">="
        values = f"relative improvement {improvement:.2g} {sign} {self.tolerance:.2g}"
        return f"loss plateau: {values} over {self.window} steps"


@final
class GradientNormStabilisation(Criterion):
    """Ends a phase when the gradient norm has settled: it neither drifts nor scatters much.

    With first-order methods that is the regime in which they only circle around a valley. The drift is that
    of the median between the two halves of a window, the spread that between the quartiles; both are
    relative and must stay small for half a window. A loss or norm that is not finite starts all over.

    Args:
        window: steps to look at; 200 for the same reason as in `LossPlateau`.
        tolerance: largest drift. 0.05, because the median of 100 norms that scatter as much as `scatter`
            allows is itself only certain to about that.
        scatter: largest spread. 1 (the quartiles a factor two apart) is what full-batch Adam shows when
            it has settled; more means that it still meets new terrain.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, window: int = 200, tolerance: float = 0.05, scatter: float = 1.0) -> None:
        _check_at_least("window", window, 4)
        _check_positive("tolerance", tolerance)
        _check_positive("scatter", scatter)
        self.window, self.tolerance, self.scatter = window, tolerance, scatter
        super().__init__()

    def initial(self) -> dict[str, Any]:
        """An empty window."""
        return {"norms": [], "drift": None, "spread": None, "held": 0}

    def update(self, progress: Progress) -> bool:
        """True when drift and spread have been small enough for half a window."""
        if not (math.isfinite(progress.loss) and math.isfinite(progress.gradient_norm)):
            self.reset()
            return False
        state = self._state
        norms = _push(state["norms"], progress.gradient_norm, self.window)
        if len(norms) < self.window:
            return False
        state["drift"], state["spread"] = drift(norms), spread(norms)
        settled = state["drift"] < self.tolerance and state["spread"] < self.scatter
        state["held"] = state["held"] + 1 if settled else 0
        return state["held"] >= self.window // 2

    @property
    def reason(self) -> str:
        """Drift and spread beside their tolerances."""
        change, scatter = self._state["drift"], self._state["spread"]
        if change is None:
            return f"gradient norm: fewer than {self.window} finite norms yet"
        signs = ["<" if change < self.tolerance else ">=", "<" if scatter < self.scatter else ">="]
        drifted = f"relative drift {change:.2g} {signs[0]} {self.tolerance:.2g}"
        scattered = f"spread {scatter:.2g} {signs[1]} {self.scatter:.2g}"
        return f"gradient norm: {drifted} and {scattered} over {self.window} steps"


def _push(values: list[float], value: float, window: int) -> list[float]:
    values.append(value)
    del values[:-window]
    return values


def _check_at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigurationError(f"{key}: must be at least {least}, not {value}")


def _check_positive(key: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigurationError(f"{key}: must be positive, not {value}")
