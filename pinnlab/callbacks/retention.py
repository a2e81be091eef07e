"""Retain, resample, release: points gather where the residual is, without a pool of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from torch import Tensor

from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.redraw import AbstractRedraw, Change, shared_scores, time_axis
from pinnlab.derivatives.fields import TIME
from pinnlab.errors import ConfigurationError, check_positive
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.problems.base import Problem
from pinnlab.samplers import UniformRandom
from pinnlab.samplers.adaptive import GATE_START, above_mean, advanced, causal_gate
from pinnlab.training.point_store import PointStore


class RetainResample(AbstractRedraw):
    """R3 (Daw et al., arXiv 2207.02338): keeps the points whose residual exceeds the mean, draws the others anew.

    The number of points stays. A draw costs one evaluation of the residual without its gradient, so it may come often.

    With `causal` the residual counts in so far as its time has come: it is multiplied by a gate in t that opens as the
    residual behind it falls. Later points are then released, and points gather where the solution has got to. The
    paper multiplies the loss by the gate, too; that is the business of loss weights, and this callback leaves it alone.

    Args:
        every: loss evaluations between two draws; None draws only at phase changes. The paper draws after every step of
            Adam; 100 leaves a quasi-Newton method a few steps.
        causal: whether there is a gate; the problem needs a coordinate `t`.
        conditions: whose points are drawn; default: the differential equations.
        start: evaluations before the first draw.
        at_switch: whether points are also drawn when a phase begins.
        ratio: draw only where the mean-square residual on fresh points exceeds that on the present ones by this
            factor; measured every `every` evaluations; not with `causal`. Default: draw in any case.
        steepness: alpha of the gate; 5 as in the paper.
        tolerance: eps; the gate waits as long as the mean of the gated squared residual is large compared to 1 / eps.
            20 as in the authors' code, for residuals of order one.
        speed: eta, how far the gate moves in an evaluation at most, in units of the time span; it is open after at
            least 2 / eta evaluations. 1e-3 as in the authors' code.

    Attributes:
        positions: where the gate of each condition is, gamma.

    Raises:
        ConfigurationError: a number is out of its range, a name is not a condition with points to draw, or there is
            no time.
    """

    def __init__(
        self,
        every: int | None = 100,
        causal: bool = False,
        conditions: Sequence[str] | None = None,
        start: int = 0,
        at_switch: bool = False,
        ratio: float | None = None,
        steepness: float = 5.0,
        tolerance: float = 20.0,
        speed: float = 1e-3,
    ) -> None:
        check_positive("RetainResample", steepness=steepness, tolerance=tolerance, speed=speed)
        super().__init__(Occasions(type(self).__name__, every, start, at_switch, ratio), conditions)
        if causal and ratio is not None:
            raise ConfigurationError("RetainResample.ratio: the gate of causal moves at every draw; leave ratio out")
        self.causal, self.steepness, self.tolerance, self.speed = causal, steepness, tolerance, speed
        self.positions: dict[str, float] = {}

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks names and time, and closes the gate."""
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        if self.causal and TIME not in pl_module.problem.coordinates:
            names = ", ".join(pl_module.problem.coordinates)
            raise ConfigurationError(
                f"RetainResample.causal: the problem has no coordinate {TIME!r} but {names}; leave causal out"
            )
        self.positions = {}

    def state_dict(self) -> dict[str, Any]:
        """When points were last drawn, and where the gates are."""
        return {**super().state_dict(), "positions": dict(self.positions)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting, with the gates where they were."""
        super().load_state_dict(state_dict)
        self.positions = dict(state_dict["positions"])

    def _change(self, store: PointStore, system: ResidualSystem, name: str, passed: int) -> Change | None:
        points = store.points(name)
        scores = shared_scores(system, name, store.rows[name])
        if not scores.isfinite().all():
            return None  # the run has blown up; it is not for the points to end it
        if self.causal:
            scores = scores * self._moved_gate(system.problem, name, points, scores, passed)
        kept = above_mean(scores)
        return Change(store.draw(name, len(points) - len(kept), UniformRandom()), kept)

    def _moved_gate(self, problem: Problem, name: str, points: Tensor, residual: Tensor, passed: int) -> Tensor:
        """The gate `(n,)` as the residual behind it allows, after so many evaluations."""
        column, low, high = time_axis(problem)
        time = (points[:, column].to(residual) - low) / (high - low)
        position = self.positions.get(name, GATE_START)
        gated = float((causal_gate(time, position, self.steepness) * residual.square()).mean())
        self.positions[name] = advanced(position, gated, self.tolerance, self.speed * passed)
        return causal_gate(time, self.positions[name], self.steepness)
