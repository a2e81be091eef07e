"""Where a run stands: how far it is, how fast the present phase is, and what it has come to, in words."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Timer
from tqdm import tqdm

from pinnlab.criteria import TimeBudget
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import callbacks_of


class Course:
    """The course of a run in phases, for whoever shows it.

    The clock starts anew with every phase, after its first step: compilation and another optimizer's pace are no
    measure of what is to come.
    """

    def __init__(self) -> None:
        self._record, self._step, self._begun = 0, 0, time.monotonic()

    def step(self, trainer: L.Trainer) -> None:
        """A step was made, or a phase begun."""
        record = len(phases_of(trainer).records)
        if record != self._record:
            self._record, self._step, self._begun = record, trainer.global_step, time.monotonic()

    def total(self, trainer: L.Trainer, module: Any) -> int | None:
        """The steps of the run, those already made included; None where a phase does not say how long it is."""
        phases = phases_of(trainer)
        if phases.finished:
            return trainer.global_step
        left = [phase.steps for phase in module.phases[module.phase :]]
        ends = [trainer.max_steps] if trainer.max_steps >= 0 else []
        if None not in left:
            ends.append(trainer.global_step + sum(left) - phases.history.steps_made(trainer.global_step))
        return min(ends, default=None)

    def phase(self, module: Any) -> str:
        """The optimizer's name, and the number of the phase."""
        return f"{type(module.current_optimizer()).__name__} ({module.phase + 1}/{len(module.phases)})"

    def numbers(self, module: Any, metrics: Mapping[str, Any]) -> list[str]:
        """Loss, error of each unknown, held-out loss: those that are known.

        Args:
            module: the `PINN`.
            metrics: what was measured last, by tag.
        """
        loss, held_out = module.current_loss(), held_out_loss(module, metrics)
        known = [] if math.isnan(loss) else [f"loss {loss:.2e}"]
        for name in module.problem.unknowns:
            if (error := metrics.get(f"relative_l2/{name}")) is not None:
                known.append(f"error {name} {float(error):.2e}")
        return known if held_out is None else [*known, f"held-out {held_out:.2e}"]

    def pace(self, trainer: L.Trainer, module: Any) -> list[str]:
        """The time that is left of the present phase, if it is known; its steps per second; what is being compiled."""
        made, seconds = trainer.global_step - self._step, time.monotonic() - self._begun
        rate = made / seconds if made > 0 and seconds > 0 else None
        phases, phase = phases_of(trainer), module.phases[module.phase]
        left = [timer.time_remaining() for timer in callbacks_of(trainer, Timer)]
        if isinstance(phase.until, TimeBudget):
            left.append(phase.until.seconds - phases.history.present.seconds)
        if phase.steps is not None and rate is not None:
            left.append((phase.steps - phases.history.steps_made(trainer.global_step)) / rate)
        known = [seconds for seconds in left if seconds is not None]
        words = [f"{tqdm.format_interval(max(0, math.ceil(min(known))))} left"] if known and not phases.finished else []
        if rate is not None:
            words.append(f"{rate:.3g} steps/s" if rate >= 1 else f"{1 / rate:.3g} s/step")
        compiler = module.objective.compiler
        if compiler is not None and compiler.waiting is not None:
            title, waited = compiler.waiting
            words.append(f"compiling {title}: {waited:.0f} s")
        return words


def held_out_loss(module: Any, metrics: Mapping[str, Any]) -> float | None:
    """The loss on points that are never trained: weighted as in the loss, over the conditions that have such points.

    Args:
        module: the `PINN`.
        metrics: mean squared residuals, as `held_out/<condition>`.

    Returns:
        None where nothing was measured.
    """
    weights = zip(module.problem.conditions, module.loss_weights.tolist(), strict=True)
    terms = [weight * float(metrics[f"held_out/{name}"]) for name, weight in weights if f"held_out/{name}" in metrics]
    return sum(terms) if terms else None
