"""Criteria that look at the damping of a Gauss-Newton method."""

from __future__ import annotations

import math
from typing import Any, final

from pinnlab.criteria.base import Progress, Series
from pinnlab.criteria.series import passed_minimum, push
from pinnlab.errors import ConfigurationError, check_whole

RISING = 0.1
"""The correlation of log mu with the step from which on it is rising (arXiv 2607.02194)."""
WINDOW, PATIENCE = 30, 80


@final
class DampingMinimum(Series):
    """Ends a phase when the damping has passed its minimum: the model of the loss has become as good as it gets.

    While a Gauss-Newton method still finds its way, the damping that it chooses falls; when it rises again, the valley
    is found, and what follows is the descent in it. It is the moment at which `TargetRatio` changes its target, and one
    at which points may be fixed or weights be set. For phases with a damping rule that adapts.

    Args:
        window: steps to look at.
        minimum_steps: steps to make in any case.

    Raises:
        ConfigurationError: when a value is out of its range, or, in training, the optimizer has no damping.
    """

    def __init__(self, window: int = WINDOW, minimum_steps: int = PATIENCE) -> None:
        check_whole("", least=3, window=window)
        check_whole("", least=0, minimum_steps=minimum_steps)
        self.window, self.minimum_steps = window, minimum_steps
        super().__init__()

    @property
    def needed(self) -> int:
        """The window."""
        return self.window

    def initial(self) -> dict[str, Any]:
        """No damping seen; `value` is how clearly it rises."""
        return {**super().initial(), "dampings": [], "value": None}

    def look(self, progress: Progress) -> bool:
        """True when the damping rises."""
        if progress.damping is None:
            raise ConfigurationError(
                "until: DampingMinimum needs an optimizer with a damping, such as LevenbergMarquardt"
            )
        if not 0 < progress.damping < math.inf:
            return False
        dampings = push(self._state["dampings"], progress.damping, self.window)
        if len(dampings) == self.window:
            self._state["value"] = passed_minimum(dampings)
        return progress.step >= self.minimum_steps and (self._state["value"] or 0.0) > RISING

    @property
    def reason(self) -> str:
        """The correlation beside its threshold."""
        value = self._state["value"]
        if value is None:
            return f"damping minimum: fewer than {self.window} steps yet"
        sign = ">" if value > RISING else "<="
        return f"damping minimum: correlation of damping and step {value:.2g} {sign} {RISING} over {self.window} steps"
