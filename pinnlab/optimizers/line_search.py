"""What a line search is, and the strong-Wolfe one, which quasi-Newton methods have by default.

Bracketing and zoom of Nocedal & Wright (Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6) with the
interpolation safeguards of Moré & Thuente (ACM TOMS 20, 1994) and the behaviour at round-off of
Hager & Zhang (SIAM J. Optim. 16, 2005).
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum

from torch import Tensor, stack

from pinnlab.errors import ConfigurationError, check_real, check_whole

Evaluate = Callable[[float], tuple["Tensor | float", Tensor]]
"""Maps a step length to the loss there (a number or a 0-dimensional tensor) and the flat gradient `(n,)`."""

# Hager & Zhang's delta: stricter than any sensible c2, so an approximate Wolfe point always satisfies the
# strong curvature condition and only the test of the loss itself is relaxed.
_DELTA = 0.1


class SearchStatus(str, Enum):
    """How a line search ended; the value is the message.

    Checkpoints hold the position of a member, so new members go to the end.
    """

    WOLFE = "the step satisfies the Wolfe conditions"
    APPROXIMATE_WOLFE = "the loss hardly differs and the step satisfies the approximate Wolfe conditions"
    DECREASE = "no Wolfe point was found; the step is the best one with a decrease"
    NO_DECREASE = "no step with a decrease was found"
    NOT_DESCENT = "the direction is not a descent direction"
    NOT_FINITE = "the loss or its slope is not finite"

    @property
    def moved(self) -> bool:
        """True when the search found a step to take."""
        return self in (SearchStatus.WOLFE, SearchStatus.APPROXIMATE_WOLFE, SearchStatus.DECREASE)


@dataclass(frozen=True)
class SearchResult:
    """What a line search returns.

    Attributes:
        step: the accepted step length; 0 when nothing acceptable was found.
        loss: the loss at that step.
        gradient: `(n,)` the gradient at that step.
        evaluations: how often `evaluate` was called.
        status: how the search ended.
    """

    step: float
    loss: float
    gradient: Tensor
    evaluations: int
    status: SearchStatus


@dataclass(frozen=True)
class Trial:
    """A point of the line that was evaluated.

    Attributes:
        step: its step length.
        loss: the loss there.
        slope: the derivative of the loss along the direction.
        gradient: `(n,)` the gradient there.
    """

    step: float
    loss: float
    slope: float
    gradient: Tensor

    @property
    def finite(self) -> bool:
        """True when loss and slope are finite."""
        return math.isfinite(self.loss) and math.isfinite(self.slope)

    def result(self, evaluations: int, status: SearchStatus) -> SearchResult:
        """The outcome of a search that ends at this point."""
        return SearchResult(self.step, self.loss, self.gradient, evaluations, status)


def trial_at(step: float, loss: Tensor | float, gradient: Tensor, direction: Tensor) -> Trial:
    """The trial at a step length from what `evaluate` returned there."""
    slope = gradient @ direction
    if isinstance(loss, Tensor):
        # One transfer for both numbers: on an accelerator each one waits for all the work queued before it.
        loss, slope = stack((loss.detach().reshape(()), slope)).tolist()
    return Trial(step, float(loss), float(slope), gradient)


Steps = Generator[float, Trial, None]
"""Yields step lengths, is sent the trials there, and ends when the interval has shrunk to round-off."""


class LineSearch(ABC):
    """A search along a descent direction: a subclass says where to look, and which trials it accepts.

    Attributes:
        max_evaluations: how often one search may evaluate.
    """

    max_evaluations: int

    def search(
        self,
        evaluate: Evaluate,
        direction: Tensor,
        loss: float,
        gradient: Tensor,
        step: float = 1.0,
    ) -> SearchResult:
        """Searches along `direction` from the point where the loss is `loss`.

        Step lengths are tried until one is accepted, they end, or the budget is spent; then the best decrease is taken.

        Args:
            evaluate: loss and gradient at a step length; one synchronisation with the device per call.
            direction: `(n,)` where to go.
            loss: the loss at step 0.
            gradient: `(n,)` the gradient at step 0.
            step: the first trial.

        Returns:
            The accepted step, or step 0 with the values given when there is none; the status says which.
        """
        start = trial_at(0.0, loss, gradient, direction)
        if not start.finite:
            return start.result(0, SearchStatus.NOT_FINITE)
        if start.slope >= 0:
            return start.result(0, SearchStatus.NOT_DESCENT)
        best, evaluations, finite = start, 0, False
        steps = self._steps(start, step)
        step = next(steps)
        while evaluations < self.max_evaluations:
            trial = trial_at(step, *evaluate(step), direction)
            evaluations += 1
            accepted = self._verdict(start, trial)
            if accepted is not None:
                return trial.result(evaluations, accepted)
            finite = finite or trial.finite
            if trial.finite and trial.loss < best.loss:
                best = trial
            try:
                step = steps.send(trial)
            except StopIteration:  # the interval has shrunk to round-off
                break
        if best is not start:
            return best.result(evaluations, SearchStatus.DECREASE)
        return start.result(evaluations, SearchStatus.NO_DECREASE if finite else SearchStatus.NOT_FINITE)

    @abstractmethod
    def _steps(self, start: Trial, step: float) -> Steps:
        """Where to look, given how the trials came out."""

    @abstractmethod
    def _verdict(self, start: Trial, trial: Trial) -> SearchStatus | None:
        """The status of a trial that is accepted, None for others."""


@dataclass(frozen=True)
class StrongWolfe(LineSearch):
    """Finds a step t with f(t) <= f(0) + c1 t f'(0) and |f'(t)| <= c2 |f'(0)|.

    A trial with a loss or slope that is not finite counts as too long a step. When the loss can no longer
    tell two points apart, slopes decide and Hager & Zhang's approximate Wolfe conditions
    `(2 delta - 1) f'(0) >= f'(t) >= c2 f'(0)`, `|f(t) - f(0)| <= round_off |f(0)|` accept. When the budget is
    spent, the best point with an actual decrease is taken.

    Args:
        c1: share of the linear decrease that a step must reach. 1e-4, the textbook value, rejects almost
            nothing but real increases.
        c2: factor by which the slope must shrink. 0.9 is the textbook value for directions that come with a
            good natural length: the first trial nearly always passes.
        max_evaluations: budget of one search. 25 is several times what a hard search needs.
        round_off: relative change of the loss below which it is not trusted; Hager & Zhang's 1e-6.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    c1: float = 1e-4
    c2: float = 0.9
    max_evaluations: int = 25
    round_off: float = 1e-6

    def __post_init__(self) -> None:
        check_whole("", least=1, max_evaluations=self.max_evaluations)
        check_real("", c1=self.c1, c2=self.c2, round_off=self.round_off)
        if not 0 < self.c1 < self.c2 < 1:
            raise ConfigurationError(f"c1, c2: need 0 < c1 < c2 < 1, not c1={self.c1}, c2={self.c2}")
        if not 0 <= self.round_off < 1:
            raise ConfigurationError(f"round_off: must be in [0, 1), not {self.round_off}")

    def _steps(self, start: Trial, step: float) -> Steps:
        bracket = _Bracket(start, self.c1, self.round_off * abs(start.loss))
        trial_step: float | None = step
        while trial_step is not None:
            bracket.narrow((yield trial_step))
            trial_step = bracket.next_step()

    def _verdict(self, start: Trial, trial: Trial) -> SearchStatus | None:
        if not trial.finite:
            return None
        decrease = trial.loss <= start.loss + self.c1 * trial.step * start.slope
        if decrease and abs(trial.slope) <= -self.c2 * start.slope:
            return SearchStatus.WOLFE
        same = abs(trial.loss - start.loss) <= self.round_off * abs(start.loss)
        if same and (2 * _DELTA - 1) * start.slope >= trial.slope >= self.c2 * start.slope:
            return SearchStatus.APPROXIMATE_WOLFE
        return None


class _Bracket:
    """The interval that holds a Wolfe point: from `low`, the best admissible trial, towards `high`.

    The slope at `low` always points towards `high`; `high` may lie on either side of `low`, and is None
    until a trial went too far.
    """

    def __init__(self, start: Trial, c1: float, noise: float) -> None:
        self._start, self._c1, self._noise = start, c1, noise
        self._low = self._before = start
        self._high: Trial | None = None
        self._widths: list[float] = []

    def narrow(self, trial: Trial) -> None:
        """Takes a trial that was not accepted as a new end of the interval."""
        if self._too_far(trial):
            self._high = trial
            return
        ahead = 1.0 if self._high is None else self._high.step - self._low.step
        if trial.slope * ahead >= 0:
            self._high = self._low
        self._before, self._low = self._low, trial

    def _too_far(self, trial: Trial) -> bool:
        start, low = self._start, self._low
        if not trial.finite:
            return True
        if abs(trial.loss - low.loss) <= self._noise and trial.loss <= start.loss + self._noise:
            return trial.slope * (trial.step - low.step) > 0
        return trial.loss > start.loss + self._c1 * trial.step * start.slope or trial.loss >= low.loss

    def next_step(self) -> float | None:
        """Where to look next; None when the interval has shrunk to round-off."""
        low, high = self._low, self._high
        if high is None:
            return self._extrapolated()
        width = high.step - low.step
        if abs(width) <= 4 * sys.float_info.epsilon * max(abs(low.step), abs(high.step)):
            return None
        if not high.finite:
            # From the start the right length is unknown by orders of magnitude, from a good trial it is not.
            return low.step + (0.1 if low is self._start else 0.5) * width
        self._widths.append(abs(width))
        slow = len(self._widths) > 2 and self._widths[-1] > 0.66 * self._widths[-3]
        guess = None if slow else self._minimiser(low, high)
        share = 0.5 if guess is None else (guess - low.step) / width
        return low.step + min(max(share, 0.01), 0.9) * width

    def _extrapolated(self) -> float:
        advance = self._low.step - self._before.step
        guess = self._minimiser(self._before, self._low)
        if guess is None:
            guess = math.inf
        return min(max(guess, self._low.step + 1.1 * advance), self._low.step + 9 * advance)

    def _minimiser(self, a: Trial, b: Trial) -> float | None:
        """Where a model through two trials is smallest; None when the model has no minimiser."""
        if abs(a.loss - b.loss) > self._noise:
            return _cubic_minimiser(a, b)
        curvature = (b.slope - a.slope) / (b.step - a.step)
        return a.step - a.slope / curvature if curvature > 0 else None


def _cubic_minimiser(a: Trial, b: Trial) -> float | None:
    """The minimiser of the cubic through two values and slopes (Nocedal & Wright, eq. 3.59), if any."""
    width = b.step - a.step
    d1 = a.slope + b.slope + 3 * (b.loss - a.loss) / -width
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return None
    d2 = math.copysign(math.sqrt(square), width)
    denominator = b.slope - a.slope + 2 * d2
    return b.step - width * (b.slope + d2 - d1) / denominator if denominator != 0 else None
