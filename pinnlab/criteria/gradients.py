"""Criteria that look at gradients of the loss."""

from __future__ import annotations

import math
import statistics
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, final

from pinnlab.criteria.base import Gradients, Progress, Series, gradients_of
from pinnlab.criteria.series import alignment, drift, held_for, logarithms, push, signal_to_noise, spread
from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole

SAMPLES = 50
"""Norms in a window of `GradientNormStabilisation`.

A norm costs as much as 50 microseconds and, on an accelerator, a wait for it; successive norms of Adam hardly differ.
50 give each half 25, whose median is certain to a quarter of their scatter.
"""


@final
class GradientNormStabilisation(Series):
    """Ends a phase when the gradient norm has settled: it neither drifts nor scatters much.

    With first-order methods that is the regime in which they only circle around a valley. The drift is that
    of the median between the two halves of a window, the spread that between the quartiles; both are
    relative and must stay small for half a window. A loss or norm that is not finite starts all over. The norm is
    asked for fifty times per window.

    Args:
        window: steps to look at; 200 for the same reason as in `LossPlateau`.
        tolerance: largest drift. 0.5, because Adam with a constant rate seldom settles further; by 0.05, with a
            scatter of 1, it was left in 6 of 24 runs, by this in 22, with errors nine times smaller (docs/phases.md).
        scatter: largest spread; 3, the quartiles a factor four apart, for the same reason.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, window: int = 200, tolerance: float = 0.5, scatter: float = 3.0) -> None:
        check_whole("", least=4, window=window)
        check_positive("", tolerance=tolerance, scatter=scatter)
        self.window, self.tolerance, self.scatter = window, tolerance, scatter
        super().__init__()

    @property
    def needed(self) -> int:
        """The window, and half of it for which drift and spread are small."""
        return self.window + self.window // 2

    def initial(self) -> dict[str, Any]:
        """An empty window; `value` is the drift, `held` counts the steps for which both have been small."""
        return {**super().initial(), "norms": [], "value": None, "spread": None, "held": 0}

    def look(self, progress: Progress) -> bool:
        """True when drift and spread have been small enough for half a window."""
        if progress.step % self._every == 0:
            self._measure(gradients_of(progress, type(self).__name__).norm())
        return self._state["held"] >= self.window // 2

    def _measure(self, norm: float) -> None:
        if not math.isfinite(norm):
            self.reset()
            return
        state, count = self._state, self.window // self._every
        norms = push(state["norms"], norm, count)
        if len(norms) == count:
            state["value"], state["spread"] = drift(norms), spread(norms)
            settled = state["value"] < self.tolerance and state["spread"] < self.scatter
            state["held"] = held_for(state["held"], self._every, settled)

    @property
    def _every(self) -> int:
        return max(self.window // SAMPLES, 1)

    @property
    def reason(self) -> str:
        """Drift and spread beside their tolerances."""
        change, scatter = self._state["value"], self._state["spread"]
        if change is None:
            return f"gradient norm: finite norms of fewer than {self.window} steps yet"
        signs = ["<" if change < self.tolerance else ">=", "<" if scatter < self.scatter else ">="]
        drifted = f"relative drift {change:.2g} {signs[0]} {self.tolerance:.2g}"
        scattered = f"spread {scatter:.2g} {signs[1]} {self.scatter:.2g}"
        return f"gradient norm: {drifted} and {scattered} over {self.window} steps"


class AveragedMeasurements(Series):
    """Ends a phase when something measured now and then is, on average, below a threshold.

    A subclass says what is measured. A loss or a measurement that is not finite starts all over.

    Args:
        threshold: of the mean.
        every: steps between measurements.
        average: how many of them the mean is taken of.
        chunks: parts of the points, where gradients on parts are measured.

    Raises:
        ConfigurationError: when a number is out of its range.
    """

    label: str

    def __init__(self, threshold: float, every: int, average: int, chunks: int) -> None:
        check_whole("", least=1, every=every, average=average)
        check_whole("", least=2, chunks=chunks)
        self.threshold, self.every, self.average, self.chunks = threshold, every, average, chunks
        super().__init__()

    @abstractmethod
    def measure(self, gradients: Gradients) -> float:
        """One measurement; NaN when it makes no sense."""

    @abstractmethod
    def mean(self, measured: Sequence[float]) -> float:
        """The mean of the last measurements."""

    @property
    def needed(self) -> int:
        """The measurements of a mean."""
        return self.every * self.average

    def initial(self) -> dict[str, Any]:
        """No measurements; `value` is the mean of the last ones once there are enough."""
        return {**super().initial(), "measured": [], "value": None}

    def look(self, progress: Progress) -> bool:
        """True when the mean, when last measured, was below the threshold."""
        if progress.step % self.every == 0:
            self._take(self.measure(gradients_of(progress, type(self).__name__)))
        return self._state["value"] is not None and self._state["value"] < self.threshold

    def _take(self, measured: float) -> None:
        if math.isnan(measured):
            self.reset()
            return
        last = push(self._state["measured"], measured, self.average)
        if len(last) == self.average:
            self._state["value"] = self.mean(last)

    @property
    def reason(self) -> str:
        """The mean beside the threshold."""
        if self.value is None:
            return f"{self.label}: fewer than {self.average} measurements yet"
        sign = "<" if self.value < self.threshold else ">="
        return f"{self.label}: mean {self.value:.2g} {sign} {self.threshold:.2g} over {self.average} measurements"


@final
class GradientAlignment(AveragedMeasurements):
    """Ends a phase when the conditions' gradients no longer agree: every step for one is against another.

    The measure is `alignment` (arXiv 2502.00604) between the gradients of the weighted terms of the loss, or between
    those on equal parts of the points where the loss has a single condition. A loss or gradient that is not finite
    starts all over.

    Costs one evaluation per condition, or one in all with a single condition, every `every` steps: 6 % of the
    evaluations of Adam with three conditions.

    Args:
        threshold: mean alignment below which the phase ends. 0, where the mean of the unit gradients is as large as
            what cancels; k orthogonal gradients have 2 / k - 1.
        every: steps between measurements; 50 keeps the cost small, and the alignment changes slowly.
        average: measurements to take the mean of; 4, because single ones scatter.
        chunks: parts of the points with a single condition; 8 still have enough points each.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    label = "gradient alignment"

    def __init__(self, threshold: float = 0.0, every: int = 50, average: int = 4, chunks: int = 8) -> None:
        check_real("", threshold=threshold)
        if not -1 < threshold <= 1:
            raise ConfigurationError(f"threshold: must be above -1 and at most 1, not {threshold}")
        super().__init__(threshold, every, average, chunks)

    def measure(self, gradients: Gradients) -> float:
        """The alignment of conditions, or of parts of the only one."""
        return alignment(gradients.by_condition() if gradients.conditions > 1 else gradients.by_chunk(self.chunks))

    def mean(self, measured: Sequence[float]) -> float:
        """The arithmetic mean."""
        return statistics.fmean(measured)


@final
class SignalToNoise(AveragedMeasurements):
    """Ends a phase when the gradients on parts of the points differ more than they have in common.

    The measure is `signal_to_noise` (arXiv 2509.14198) between the gradients on equal parts of all points. A loss or
    gradient that is not finite starts all over.

    Costs one evaluation every `every` steps: 2 % of those of Adam.

    Args:
        threshold: geometric mean of the ratio below which the phase ends. 1, where signal and noise are equal.
        every: steps between measurements; 50 keeps the cost small, and the ratio changes slowly.
        average: measurements to take the geometric mean of; 4, because single ones scatter.
        chunks: parts of the points; 8 still have enough points each. The noise grows with the root of their number.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    label = "signal to noise"

    def __init__(self, threshold: float = 1.0, every: int = 50, average: int = 4, chunks: int = 8) -> None:
        check_positive("", threshold=threshold)
        super().__init__(threshold, every, average, chunks)

    def measure(self, gradients: Gradients) -> float:
        """The signal-to-noise ratio of parts of the points."""
        return signal_to_noise(gradients.by_chunk(self.chunks))

    def mean(self, measured: Sequence[float]) -> float:
        """The geometric mean: a ratio of 4 and one of 1/4 balance."""
        return math.exp(statistics.fmean(logarithms(measured)))
