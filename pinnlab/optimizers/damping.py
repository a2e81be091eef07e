"""How much a Gauss-Newton step is damped: mu in (J'J + mu I) d = -J'r.

Damping is a part of its own, given to any optimizer of `gauss_newton`. Small values trust the model of the loss, large
ones turn the step towards the gradient. The residual is scaled so that r'r is the loss, so mu is comparable
between problems whose residuals are of order one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import final

from pinnlab.errors import ConfigurationError, check_list, check_positive, check_real
from pinnlab.optimizers.step_rules import Candidate, Memory, StepRule, Trials


class Damping(StepRule):
    """Chooses mu, and damps more until the line search finds a decrease."""

    def find(self, memory: Memory, trials: Trials) -> Candidate | None:
        """The step with the lowest loss among those for `values`; damps more until there is one."""
        while True:
            found = [trials.damped(value) for value in self.values(memory)]
            candidates = [candidate for candidate in found if candidate is not None]
            if candidates:
                best = min(candidates, key=lambda candidate: candidate.loss)
                self.accepted(memory, best.damping, trials.gain_ratio(best), best.length)
                return best
            if not self.rejected(memory):
                return None
            trials.forget_momentum()

    @abstractmethod
    def values(self, memory: Memory) -> Sequence[float]:
        """The values to try in this iteration; the step with the lowest loss is taken."""

    @abstractmethod
    def accepted(self, memory: Memory, value: float, gain_ratio: float, step: float) -> None:
        """Learns from a step that was made.

        Args:
            memory: what is remembered.
            value: mu of that step.
            gain_ratio: actual over predicted decrease of the loss.
            step: the step length that the line search found, 1 without one.
        """

    @abstractmethod
    def rejected(self, memory: Memory) -> bool:
        """Learns that no value gave a decrease; False when there is nothing left to try."""


@final
class FixedDamping(Damping):
    """The same mu in every iteration; ten times as much, again and again, only while there is no descent.

    Args:
        value: mu. 1e-6 suits fresh points: larger is slow, smaller follows the noise of the points. Smooth problems
            on fixed points gain from 1e-8.

    Raises:
        ConfigurationError: it is not positive.
    """

    def __init__(self, value: float = 1e-6) -> None:
        check_positive("damping", value=value)
        self.value = self.lowest = float(value)

    def initial(self) -> Memory:
        """The factor of this iteration."""
        return {"factor": 1.0}

    def values(self, memory: Memory) -> Sequence[float]:
        """Mu, times the factor of this iteration."""
        return [self.value * memory["factor"]]

    def accepted(self, memory: Memory, value: float, gain_ratio: float, step: float) -> None:
        """Back to the fixed value."""
        memory["factor"] = 1.0

    def rejected(self, memory: Memory) -> bool:
        """Ten times as much."""
        memory["factor"] *= 10.0
        if self.value * memory["factor"] <= 1e6:
            return True
        memory["factor"] = 1.0
        return False


@final
class GainRatio(Damping):
    """Levenberg and Marquardt's rule: less damping where the model predicts well, more where it does not.

    The gain ratio is the actual over the predicted decrease (Nocedal & Wright, section 4.1, in terms of mu). For fixed
    points: fresh ones make the ratio noise.

    Args:
        initial: mu of the first iteration. With a line search 1e-6 is safe from the start; with full steps it would
            be refused a few times and grow by itself.
        shrink: factor after a full step with a gain ratio above 0.75; a step that had to be shortened does not count,
            or mu falls until steps are tiny.
        grow: factor below a gain ratio of 0.25, or after a step of a quarter or less.
        reject: factor after a step without decrease.
        lowest: never less; 1e-14 is round-off for residuals of order one.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    def __init__(
        self,
        initial: float = 1e-6,
        shrink: float = 1 / 3,
        grow: float = 3.0,
        reject: float = 10.0,
        lowest: float = 1e-14,
    ) -> None:
        check_real("damping", shrink=shrink, grow=grow, reject=reject)
        check_positive("damping", initial=initial, lowest=lowest, shrink=shrink)
        self._initial, self.lowest = float(initial), float(lowest)
        self._shrink, self._grow, self._reject = float(shrink), grow, reject
        if not (shrink <= 1 <= grow and reject > 1):
            raise ConfigurationError(
                f"damping: need shrink <= 1 <= grow and reject > 1, not {shrink:g}, {grow:g}, {reject:g}"
            )

    def initial(self) -> Memory:
        """The present mu."""
        return {"value": self._initial}

    def values(self, memory: Memory) -> Sequence[float]:
        """The present mu."""
        return [memory["value"]]

    def accepted(self, memory: Memory, value: float, gain_ratio: float, step: float) -> None:
        """Less, the same, or more."""
        factor = 1.0
        if gain_ratio > 0.75 and step >= 1:
            factor = self._shrink
        elif gain_ratio < 0.25 or step <= 0.25:
            factor = self._grow
        memory["value"] = max(self.lowest, value * factor)

    def rejected(self, memory: Memory) -> bool:
        """More, up to 1e10."""
        memory["value"] *= self._reject
        if memory["value"] <= 1e10:
            return True
        memory["value"] = self._initial
        return False


@final
class SeveralValues(Damping):
    """Tries several values around the last one and takes the step with the lowest loss.

    Greedy: it tends to large values, that is, short-sighted steps. Worth a try on fixed points.

    Args:
        initial: mu of the first iteration.
        factors: what the last value is multiplied with.
        lowest: never less.

    Raises:
        ConfigurationError: a value is not positive, or there is no factor.
    """

    def __init__(
        self, initial: float = 1e-6, factors: Sequence[float] = (0.1, 1.0, 10.0), lowest: float = 1e-14
    ) -> None:
        check_list("damping", factors=factors)
        if not factors:
            raise ConfigurationError("damping.factors: is empty; name at least one factor, such as 1.0")
        check_positive("damping", initial=initial, lowest=lowest, **{f"factors[{k}]": f for k, f in enumerate(factors)})
        self._initial, self._factors, self.lowest = float(initial), [*map(float, factors)], float(lowest)

    def initial(self) -> Memory:
        """The last value."""
        return {"value": self._initial}

    def values(self, memory: Memory) -> Sequence[float]:
        """The last value times each factor."""
        return [max(self.lowest, memory["value"] * factor) for factor in self._factors]

    def accepted(self, memory: Memory, value: float, gain_ratio: float, step: float) -> None:
        """Goes on from the best."""
        memory["value"] = value

    def rejected(self, memory: Memory) -> bool:
        """A hundred times as much, up to 1e10."""
        memory["value"] *= 100.0
        if memory["value"] <= 1e10:
            return True
        memory["value"] = self._initial
        return False


@final
class StepLength(Damping):
    """Follows the line search: less damping while full steps are accepted, more when they must be shortened.

    Unlike a gain ratio the step length says little about the noise of fresh points, so this rule works on them too.

    Args:
        initial: mu of the first iteration.
        lowest: never less; it is what the run ends with when all goes well.
        highest: never more, but for an iteration without descent.
        shrink: factor after a full step.
        grow: factor after a step of a quarter or less.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    def __init__(
        self,
        initial: float = 1e-5,
        lowest: float = 1e-8,
        highest: float = 1e-3,
        shrink: float = 0.95,
        grow: float = 2.0,
    ) -> None:
        check_real("damping", shrink=shrink, grow=grow)
        check_positive("damping", initial=initial, lowest=lowest, highest=highest)
        self._initial, self.lowest, self._highest = float(initial), float(lowest), float(highest)
        self._shrink, self._grow = shrink, grow
        if not lowest <= initial <= highest:
            raise ConfigurationError(
                f"damping: need lowest <= initial <= highest, not {lowest:g}, {initial:g}, {highest:g}"
            )
        if not 0 < shrink <= 1 <= grow:
            raise ConfigurationError(f"damping: need 0 < shrink <= 1 <= grow, not {shrink:g}, {grow:g}")

    def initial(self) -> Memory:
        """The present mu and the factor of this iteration."""
        return {"value": self._initial, "factor": 1.0}

    def values(self, memory: Memory) -> Sequence[float]:
        """The present mu, times the factor of this iteration."""
        return [memory["value"] * memory["factor"]]

    def accepted(self, memory: Memory, value: float, gain_ratio: float, step: float) -> None:
        """Less after a full step, more after a short one."""
        memory["factor"] = 1.0
        factor = self._shrink if step >= 1 else self._grow if step <= 0.25 else 1.0
        memory["value"] = min(max(memory["value"] * factor, self.lowest), self._highest)

    def rejected(self, memory: Memory) -> bool:
        """Ten times as much in this iteration, and twice as much for good."""
        memory["factor"] *= 10.0
        memory["value"] = min(memory["value"] * self._grow, self._highest)
        if memory["value"] * memory["factor"] <= 1e6:
            return True
        memory["factor"] = 1.0
        return False
