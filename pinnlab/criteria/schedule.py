"""Criteria that know in advance when a phase is over."""

from __future__ import annotations

import math
from typing import Any, final

from pinnlab.criteria.base import Criterion, Progress
from pinnlab.errors import check_positive, check_whole


@final
class FixedSteps(Criterion):
    """Ends a phase after a number of steps.

    Args:
        steps: how many.

    Raises:
        ConfigurationError: when it is not positive.
    """

    def __init__(self, steps: int) -> None:
        check_whole("", least=1, steps=steps)
        self.steps = steps
        super().__init__()

    def initial(self) -> dict[str, Any]:
        """No step made; `value` is their number."""
        return {"value": None}

    def update(self, progress: Progress) -> bool:
        """True from step `steps` on, if the loss is finite there."""
        self._state["value"] = progress.step
        return progress.step >= self.steps and math.isfinite(progress.loss)

    @property
    def reason(self) -> str:
        """The number of steps."""
        return f"fixed steps: {self._state['value'] or 0} of {self.steps} steps made"


@final
class TimeBudget(Criterion):
    """Ends a phase after a wall time.

    The time is that of the phase in all sessions of a resumed run. Processes have clocks of their own: the first one
    whose time is up ends the phase for all.

    Args:
        seconds: how long.

    Raises:
        ConfigurationError: when it is not positive.
    """

    def __init__(self, seconds: float) -> None:
        check_positive("", seconds=seconds)
        self.seconds = seconds
        super().__init__()

    def initial(self) -> dict[str, Any]:
        """No time spent; `value` is the time in seconds."""
        return {"value": None}

    def update(self, progress: Progress) -> bool:
        """True from the first step that ends after `seconds`, if the loss is finite there."""
        self._state["value"] = progress.seconds
        return progress.seconds >= self.seconds and math.isfinite(progress.loss)

    @property
    def reason(self) -> str:
        """The time beside the budget."""
        return f"time budget: {self._state['value'] or 0:.4g} of {self.seconds:.4g} seconds spent"
