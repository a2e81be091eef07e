"""Curricula: a number of the problem goes from an easy value to the one that was asked for."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import lightning as L

from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole, unknown
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import evaluation_data

Schedule = Literal["linear", "geometric"]
_SCHEDULES = ("linear", "geometric")


class Continuation(L.Callback):
    """Trains an easy problem first: a number of it goes in stages from `start` to the value that it was built with.

    The problem at the end is the one that was posed, and so is its reference: errors are those against it all along.
    Every stage is a change of the objective. First-order methods do not mind one at every step; a quasi-Newton method
    forgets its curvature, so give it few stages. Compiled functions take the number as an argument: stages cost no
    compilation. A resumed run goes on in its stage.

    Args:
        attribute: of the problem, a float: `viscosity`, or a path to it such as `material.conductivity`.
        start: the first value.
        steps: optimizer steps until the last value; the last stage begins then.
        stages: how many values there are, both ends included. Default: 10, few enough for quasi-Newton methods.
        schedule: `geometric` (equal factors between stages; for what spans orders of magnitude, as viscosities do) or
            `linear` (equal differences).
        below: go on as soon as the loss is below this, in place of after a number of steps: each stage is solved
            before the next one begins. The last stage has no end.

    Raises:
        ConfigurationError: a number is out of its range, or the problem has no such attribute.
    """

    def __init__(
        self,
        attribute: str,
        start: float,
        steps: int | None = None,
        stages: int = 10,
        schedule: Schedule = "geometric",
        below: float | None = None,
    ) -> None:
        check_whole("Continuation", least=2, stages=stages)
        check_real("Continuation", start=start)
        check_positive("Continuation", **({} if below is None else {"below": below}))
        if (steps is None) == (below is None):
            raise ConfigurationError("Continuation: give either steps or below")
        if steps is not None:
            check_whole("Continuation", least=1, steps=steps)
        if schedule not in _SCHEDULES:
            raise unknown("Continuation.schedule", schedule, _SCHEDULES)
        self.attribute, self.start, self.steps, self.stages = attribute, float(start), steps, stages
        self.schedule, self.below = schedule, below
        self._stage, self._end = 0, math.nan
        self._made = 0  # the stage of the last step

    @property
    def state_key(self) -> str:
        """One for each attribute: a run may have several."""
        return f"Continuation({self.attribute})"

    @property
    def values(self) -> list[float]:
        """The values of all stages; known once training has begun."""
        shares = [stage / (self.stages - 1) for stage in range(self.stages)]
        if self.schedule == "linear":
            inner = [self.start + share * (self._end - self.start) for share in shares]
        else:
            inner = [self.start * (self._end / self.start) ** share for share in shares]
        return [self.start, *inner[1:-1], self._end]  # the ends to the last bit

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Notes the value that was asked for, and begins with the first one."""
        if stage != "fit":
            return
        self._end = self._asked_for(pl_module.problem)
        data = evaluation_data(pl_module)
        if data is not None:
            data.evaluation_set()  # the reference of the problem that was posed, before it is changed
        pl_module.system.readings.vary(self._path(pl_module.problem))
        self._stage = self._made = 0
        self._apply(pl_module)

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """In a run that is resumed, goes to the stage of its last step: the next one is a change of the objective."""
        self._apply(pl_module)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Goes to the present stage; the module looks at the problem after this."""
        if self.steps is not None:
            made = trainer.global_step - phases_of(trainer).history.first_step
            self._stage = min(made * (self.stages - 1) // self.steps, self.stages - 1)
        self._made = self._stage
        self._apply(pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The next stage comes when this one is solved; the loss is global, so all ranks decide alike."""
        if self.below is not None and self._stage < self.stages - 1 and pl_module.current_loss() < self.below:
            self._stage += 1

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """The problem is what was posed again, also where the run ended earlier."""
        if stage == "fit" and not math.isnan(self._end):
            owner, name = self._place(pl_module.problem)
            setattr(owner, name, self._end)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """The same after an exception."""
        self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """The stage, and that of the last step."""
        return {"stage": self._stage, "made": self._made}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues in a checkpoint's stage."""
        self._stage, self._made = (min(state_dict[key], self.stages - 1) for key in ("stage", "made"))

    def _asked_for(self, problem: Any) -> float:
        """The value that the problem was built with, checked."""
        owner, name = self._place(problem)
        value = getattr(owner, name)
        if not isinstance(value, float):
            raise ConfigurationError(f"Continuation.attribute: {self.attribute} must be a float, it is {value!r}")
        if self.schedule == "geometric" and not self.start * value > 0:
            raise ConfigurationError(
                f"Continuation.schedule: geometric needs numbers of one sign, got {self.start} and {value}; use linear"
            )
        return value

    def _apply(self, module: Any) -> None:
        owner, name = self._place(module.problem)
        setattr(owner, name, self.values[self._made])

    def _place(self, problem: Any) -> tuple[Any, str]:
        """The object that has the attribute, and its name there."""
        *path, name = self._path(problem).split(".")
        return functools.reduce(getattr, path, problem), name

    def _path(self, problem: Any) -> str:
        """The attribute as a path from a problem: that of a window of time, or of tiles, is one of the whole."""
        posed, path = problem, self.attribute
        while not _has(posed, self.attribute):
            if not hasattr(posed, "whole"):
                raise unknown(f"attribute of {problem.name} in Continuation.attribute", self.attribute, vars(posed))
            posed, path = posed.whole, f"whole.{path}"
        return path


def _has(owner: Any, path: str) -> bool:
    """Whether a path leads to an attribute."""
    for part in path.split("."):
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True
