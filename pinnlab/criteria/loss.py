"""Criteria that look at the loss alone."""

from __future__ import annotations

from typing import Any, final

from pinnlab.criteria.base import Progress, Series
from pinnlab.criteria.series import flatness, held_for, log_change, plateau, push
from pinnlab.errors import check_positive, check_whole


@final
class LossPlateau(Series):
    """Ends a phase when the loss falls slowly; with the default values, when the first fast descent is over.

    The relative improvement of the median loss between the two halves of a window (`plateau`) must stay below
    the tolerance for half a window. By then the halves have moved on by their whole length, so one lucky draw
    of a noisy series is not enough. New points, or a loss that is not finite, start all over; points that never
    stand for three windows are noise (see `Series`). The medians are computed twenty times per window.

    Args:
        window: steps to look at. 100 averages the oscillations of Adam over 50 steps on each side; an L-BFGS
            step does ten iterations, so 10 looks equally far there.
        tolerance: relative improvement from half to half that is too small to go on for. 0.2 in 50 steps of Adam
            is what the comparison of criteria recommends for leaving it (docs/studies/switching.md). To wait for a
            real plateau take a window of 200 and 1e-2: with noise of 10 % a gain of 4 % is still seen.
        minimum_steps: steps to make in any case. 0, because the window has to be full anyway; set it where
            the loss is known to be flat at first.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, window: int = 100, tolerance: float = 0.2, minimum_steps: int = 0) -> None:
        check_whole("", least=4, window=window)
        check_whole("", least=0, minimum_steps=minimum_steps)
        check_positive("", tolerance=tolerance)
        self.window, self.tolerance, self.minimum_steps = window, tolerance, minimum_steps
        super().__init__()

    @property
    def needed(self) -> int:
        """The window, and half of it for which the improvement is too small."""
        return self.window + self.window // 2

    def initial(self) -> dict[str, Any]:
        """An empty window; `held` counts the steps for which the improvement, `value`, has been too small."""
        return {**super().initial(), "losses": [], "value": None, "held": 0}

    def look(self, progress: Progress) -> bool:
        """True when the improvement has been too small for half a window."""
        state, every = self._state, max(self.window // 20, 1)
        losses = push(state["losses"], progress.loss, self.window)
        if len(losses) == self.window and progress.step % every == 0:
            state["value"] = plateau(losses)
            state["held"] = held_for(state["held"], every, state["value"] < self.tolerance)
        return state["held"] >= self.window // 2 and progress.step >= self.minimum_steps

    @property
    def reason(self) -> str:
        """The relative improvement beside the tolerance."""
        improvement = self._state["value"]
        if improvement is None:
            return f"loss plateau: fewer than {self.window} finite losses yet"
        sign = "<" if improvement < self.tolerance else ">="
        values = f"relative improvement {improvement:.2g} {sign} {self.tolerance:.2g}"
        return f"loss plateau: {values} over {self.window} steps"


@final
class PercentileFlatness(Series):
    """Ends a phase when the losses of a window are all alike and a line through their logarithms is level.

    Alike means that (p95 - p5) / p95 is small, so neither a trend nor noise is left; level means that the fitted
    line falls by little over the window (a rising one counts as level). One window is enough. New points, or
    a loss that is not finite, start all over. Percentiles and line are computed twenty times per window.

    Args:
        window: steps to look at; 200 for the same reason as in `LossPlateau`.
        flatness: largest (p95 - p5) / p95. 0.5 (percentiles a factor two apart), because the loss of full-batch
            Adam scatters by 10 to 50 % when it has settled.
        slope: largest fall of log(loss) over the window. 0.05, because the fitted fall of 200 losses that scatter
            by 20 % is itself only certain to about that.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, window: int = 200, flatness: float = 0.5, slope: float = 0.05) -> None:
        check_whole("", least=4, window=window)
        check_positive("", flatness=flatness, slope=slope)
        self.window, self.flatness, self.slope = window, flatness, slope
        super().__init__()

    @property
    def needed(self) -> int:
        """The window."""
        return self.window

    def initial(self) -> dict[str, Any]:
        """An empty window; `value` is the flatness, `change` that of the logarithm over the window."""
        return {**super().initial(), "losses": [], "value": None, "change": None}

    def look(self, progress: Progress) -> bool:
        """True when the last window measured was flat and level."""
        state = self._state
        losses = push(state["losses"], progress.loss, self.window)
        if len(losses) == self.window and progress.step % max(self.window // 20, 1) == 0:
            state["value"], state["change"] = flatness(losses), log_change(losses)
        return state["value"] is not None and state["value"] < self.flatness and state["change"] > -self.slope

    @property
    def reason(self) -> str:
        """Flatness and change beside their thresholds."""
        flat, change = self._state["value"], self._state["change"]
        if flat is None:
            return f"percentile flatness: fewer than {self.window} finite losses yet"
        signs = ["<" if flat < self.flatness else ">=", ">" if change > -self.slope else "<="]
        flat_values = f"(p95 - p5) / p95 {flat:.2g} {signs[0]} {self.flatness:.2g}"
        change_values = f"change of log(loss) {change:.2g} {signs[1]} {-self.slope:.2g}"
        return f"percentile flatness: {flat_values} and {change_values} over {self.window} steps"


@final
class RelativeImprovement(Series):
    """Ends a phase when the best loss has hardly improved for some time: the rule of early stopping.

    The best loss is compared with a reference, which moves to the best loss whenever that is better by the fraction
    `tolerance`; the phase ends `patience` steps after the reference moved last. Since only the best loss counts,
    neither noise nor spikes end a phase early, but one lucky loss makes the rest look flat. A loss that is not finite
    starts all over.

    Args:
        patience: steps to wait for an improvement; 200, as the window in `LossPlateau`.
        tolerance: relative improvement that counts as one; 1e-2 for the same reason as in `LossPlateau`.

    Raises:
        ConfigurationError: when a value is out of its range.
    """

    def __init__(self, patience: int = 200, tolerance: float = 1e-2) -> None:
        check_whole("", least=1, patience=patience)
        check_positive("", tolerance=tolerance)
        self.patience, self.tolerance = patience, tolerance
        super().__init__()

    @property
    def needed(self) -> int:
        """The patience."""
        return self.patience

    def initial(self) -> dict[str, Any]:
        """No reference yet; `value` is the improvement of the best loss on it, `waited` the steps since it moved."""
        return {**super().initial(), "reference": None, "value": None, "waited": 0}

    def look(self, progress: Progress) -> bool:
        """True when the reference has stood for `patience` steps."""
        state, loss = self._state, progress.loss
        if state["reference"] is None:
            state["reference"], state["value"] = loss, 0.0
            return False
        state["value"] = max(state["value"], plateau([state["reference"], loss]))
        state["waited"] += 1
        if state["value"] >= self.tolerance:
            state.update(reference=loss, value=0.0, waited=0)
        return state["waited"] >= self.patience

    @property
    def reason(self) -> str:
        """The improvement of the best loss beside the tolerance."""
        improvement, waited = self._state["value"], self._state["waited"]
        if improvement is None:
            return "relative improvement: no finite loss yet"
        return f"relative improvement: best loss {improvement:.2g} < {self.tolerance:.2g} better in {waited} steps"
