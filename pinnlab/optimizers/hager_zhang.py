"""The line search of Hager & Zhang, whose decisions rest on slopes rather than on losses.

Hager & Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line search" (SIAM J.
Optim. 16, 2005) and "Algorithm 851: CG_DESCENT" (ACM TOMS 32, 2006); the labels L, B, S, U and T are the papers'.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from torch import finfo

from pinnlab.errors import ConfigurationError, check_real, check_whole
from pinnlab.optimizers.line_search import LineSearch, SearchStatus, Steps, Trial

# A loss is a sum of many squares; its last few digits are round-off of that sum.
_ULPS = 8

_Interval = tuple[Trial, Trial]
_Steps = Generator[float, Trial, _Interval]
"""Yields where to look, is sent the trial there, and returns the new interval."""


@dataclass(frozen=True)
class HagerZhang(LineSearch):
    """Finds a step t with f(t) <= f(0) + delta t f'(0) and f'(t) >= sigma f'(0), or one as good up to round-off.

    These are the Wolfe conditions (T1, status `WOLFE`) in their weak form: f may already rise steeply at t. The
    approximate Wolfe conditions (T2, status `APPROXIMATE_WOLFE`) `(2 delta - 1) f'(0) >= f'(t) >= sigma f'(0)`,
    `f(t) <= f(0) + epsilon |f(0)|` are the same for a quadratic, but free of the cancellation in f(t) - f(0); elsewhere
    they also accept a real decrease that is smaller than T1 asks for. Both give y's > 0 for the pair (s, y) of a
    quasi-Newton method.

    An interval [a, b] with f'(a) < 0 <= f'(b) and f(a) <= f(0) + epsilon |f(0)| shrinks by a double secant step on f'
    (secant^2), and by bisection when that is slow. Losses are only compared with f(0) + epsilon |f(0)|, so the search
    works unchanged where f is constant to the last digit; where the decrease that T1 asks for is below round-off, T1 is
    not consulted. A trial with a loss or slope that is not finite counts as too long a step. When the budget is spent,
    or the interval has shrunk to round-off, the best point with an actual decrease is taken.

    `StrongWolfe` differs in that it interpolates losses where it can tell them apart and asks for a small |f'(t)|.

    Args:
        delta: share of the linear decrease that T1 asks for, and the upper bound on the slope in T2. The papers' 0.1.
        sigma: factor by which the slope must rise. The papers' 0.9: a quasi-Newton step of length 1 mostly passes.
        epsilon: rise of the loss, relative to |f(0)|, that is put down to round-off. The papers' 1e-6.
        theta: where an interval that ends too high is divided (U3); 0.5 is bisection, the papers' value.
        gamma: secant^2 must shrink the interval to this share, or bisection follows (L2). The papers' 0.66.
        rho: factor by which the step grows until it is bracketed (B3). The papers' 5.
        max_evaluations: budget of one search. 25 is several times what a hard search needs.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    delta: float = 0.1
    sigma: float = 0.9
    epsilon: float = 1e-6
    theta: float = 0.5
    gamma: float = 0.66
    rho: float = 5.0
    max_evaluations: int = 25

    def __post_init__(self) -> None:
        check_whole("", least=1, max_evaluations=self.max_evaluations)
        check_real("", delta=self.delta, sigma=self.sigma, epsilon=self.epsilon)
        check_real("", theta=self.theta, gamma=self.gamma, rho=self.rho)
        if not 0 < self.delta < 0.5:
            raise ConfigurationError(f"delta: must be in (0, 0.5), not {self.delta}")
        if not self.delta <= self.sigma < 1:
            raise ConfigurationError(f"sigma: must be in [delta, 1) with delta={self.delta}, not {self.sigma}")
        if not 0 <= self.epsilon < 1:
            raise ConfigurationError(f"epsilon: must be in [0, 1), not {self.epsilon}")
        for key, share in (("theta", self.theta), ("gamma", self.gamma)):
            if not 0 < share < 1:
                raise ConfigurationError(f"{key}: must be in (0, 1), not {share}")
        if not 1 < self.rho < float("inf"):
            raise ConfigurationError(f"rho: must be a finite number above 1, not {self.rho}")

    def _verdict(self, start: Trial, trial: Trial) -> SearchStatus | None:
        """T1 or T2."""
        if not trial.finite or trial.slope < self.sigma * start.slope:
            return None
        required = -self.delta * trial.step * start.slope
        resolved = required > _ULPS * finfo(trial.gradient.dtype).eps * abs(start.loss)
        if resolved and start.loss - trial.loss >= required:
            return SearchStatus.WOLFE
        if trial.loss <= self._limit(start) and trial.slope <= (2 * self.delta - 1) * start.slope:
            return SearchStatus.APPROXIMATE_WOLFE
        return None

    def _limit(self, start: Trial) -> float:
        """The loss up to which a trial counts as no higher than the start."""
        return start.loss + self.epsilon * abs(start.loss)

    def _steps(self, start: Trial, step: float) -> Steps:
        """L0 to L3: where to look, until the interval has shrunk to round-off."""
        limit = self._limit(start)
        low, high = yield from self._bracket(start, step, limit)
        while not _collapsed(low, high):
            width = high.step - low.step
            low, high = yield from self._secant2(low, high, limit)
            if high.step - low.step > self.gamma * width:
                low, high = yield from self._update(low, high, _middle(low, high), limit)

    def _bracket(self, start: Trial, step: float, limit: float) -> _Steps:
        """B0 to B3."""
        low = start
        while True:
            trial = yield step
            if _too_far(trial, limit):
                # The papers restart at 0. The last trial satisfies all that U3 asks of its lower end, and is closer.
                return (yield from self._divide(low, trial, limit))
            if trial.slope >= 0:
                return low, trial
            low, step = trial, self.rho * step

    def _secant2(self, low: Trial, high: Trial, limit: float) -> _Steps:
        """S1 to S4."""
        step = _secant(low, high)
        new_low, new_high = yield from self._update(low, high, step, limit)
        if new_high is not high and new_high.step == step:
            second = _secant(high, new_high)
        elif new_low is not low and new_low.step == step:
            second = _secant(low, new_low)
        else:
            return new_low, new_high
        return (yield from self._update(new_low, new_high, second, limit))

    def _update(self, low: Trial, high: Trial, step: float | None, limit: float) -> _Steps:
        """U0 to U3."""
        if step is None or not low.step < step < high.step:
            return low, high
        trial = yield step
        if _too_far(trial, limit):
            return (yield from self._divide(low, trial, limit))
        return (low, trial) if trial.slope >= 0 else (trial, high)

    def _divide(self, low: Trial, high: Trial, limit: float) -> _Steps:
        """U3 a to c: closes in on a rising slope between `low` and a `high` that is too far."""
        while not _collapsed(low, high):
            # From the start the right length is unknown by orders of magnitude, from a good trial it is not.
            share = 0.1 if low.step == 0 and not high.finite else self.theta
            trial = yield low.step + share * (high.step - low.step)
            if _too_far(trial, limit):
                high = trial
            elif trial.slope >= 0:
                return low, trial
            else:
                low = trial
        return low, high


def _too_far(trial: Trial, limit: float) -> bool:
    """True beyond a maximum, or where nothing is finite: then a rising slope lies before the trial."""
    return not trial.finite or (trial.slope < 0 and trial.loss > limit)


def _secant(a: Trial, b: Trial) -> float | None:
    """Where the line through two slopes vanishes; None when they are equal."""
    rise = b.slope - a.slope
    return a.step - a.slope * ((b.step - a.step) / rise) if rise != 0 else None


def _middle(low: Trial, high: Trial) -> float:
    return low.step + 0.5 * (high.step - low.step)


def _collapsed(low: Trial, high: Trial) -> bool:
    """True when no number worth a trial is left between the ends."""
    round_off = high.step - low.step <= 4 * finfo(low.gradient.dtype).eps * high.step
    return round_off or not low.step < _middle(low, high) < high.step
