"""One Gauss-Newton iteration: the model of the loss, and the steps that a rule tries with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.step_models import (
    DualModel,
    OrthogonalModel,
    PrimalModel,
    SchwarzModel,
    SparseModel,
    StepModel,
)
from pinnlab.optimizers.step_rules import Candidate, Trials

SEARCHES = ("none", "backtracking", "grid")
_C1 = 1e-4  # sufficient decrease; Armijo's constant
_HALVINGS = 12  # steps down to 1/4096; a direction that needs less is better damped more


class GaussNewtonIteration(Trials):
    """What a `StepRule` may try around the present parameters.

    Args:
        linearization: around `point`.
        point: `(n,)` the present parameters.
        loss: the loss there.
        gradient: `(n,)` its gradient there.
        options: the optimizer's parameter group: `line_search`, `lr`, `momentum`, `max_norm`, `sketch`, ...
        form: `primal`, `dual`, `qr`, `sparse` or `schwarz`.
        count: the number of the iteration, from 1.
        carried: `(n,)` what momentum carries over from the last step.
    """

    def __init__(
        self,
        linearization: Linearization,
        point: Tensor,
        loss: float,
        gradient: Tensor,
        options: Mapping[str, Any],
        form: str,
        count: int,
        carried: Tensor | None,
    ) -> None:
        self.loss = loss
        self._linearization, self._point, self._gradient = linearization, point, gradient
        self._options, self._count, self._carried = options, count, carried
        self._model = self._build(form)

    def damped(self, damping: float) -> Candidate | None:
        """See `Trials`."""
        direction = self._model.direction(damping, self._carried)
        if direction is None or not bool(direction.isfinite().all()):
            return None
        found = self._search(direction, self._longest(direction))
        return None if found is None else Candidate(direction, *found, damping)

    def of_lengths(self, lengths: Sequence[float]) -> list[Candidate]:
        """See `Trials`."""
        system = cast("OrthogonalModel", self._model).system
        dampings = system.of_length(self._point.new_tensor(lengths))
        steps, predicted = system.step(dampings), system.decreases(dampings)
        losses = self._linearization.losses(self._point + steps)
        pairs = zip(steps, losses, dampings.tolist(), predicted.tolist(), strict=True)
        return [
            Candidate(step, 1.0, loss, damping, (self.loss - loss) / decrease if decrease > 0 else -math.inf)
            for step, loss, damping, decrease in pairs
        ]

    def gain_ratio(self, candidate: Candidate) -> float:
        """See `Trials`."""
        step = candidate.length * candidate.step
        if self._options["row_scaling"]:  # the model's rows are not those of the loss
            curvature = self._linearization.times(step).square().sum()
        else:
            curvature = self._model.curvature(step)
        predicted = -float(self._gradient @ step + curvature)
        return (self.loss - candidate.loss) / predicted if predicted > 0 else 0.0

    def forget_momentum(self) -> None:
        """See `Trials`."""
        self._carried = None

    def _build(self, form: str) -> StepModel:
        linearization = self._linearization.row_scaled() if self._options["row_scaling"] else self._linearization
        if form == "qr":
            return OrthogonalModel(linearization, round(self._options["sketch"] * len(self._point)), self._count)
        if form == "sparse":
            return SparseModel(linearization)
        if form == "schwarz":
            return SchwarzModel(linearization, self._options["sweeps"], self._options["mode"])
        return DualModel(linearization) if form == "dual" else PrimalModel(linearization)

    def _longest(self, direction: Tensor) -> float:
        """The first step length: corrected for the momentum's slow start, and within `max_norm`."""
        options = self._options
        correction = 1 / math.sqrt(1 - options["momentum"] ** (2 * self._count))
        length: float = options["lr"]
        if options["max_norm"]:
            length = min(length, options["max_norm"] / max(float(direction.norm()) * correction, 1e-300))
        return length * correction

    def _search(self, direction: Tensor, first: float) -> tuple[float, float] | None:
        """A step length and the loss there; None when there is no decrease."""
        kind, slope = self._options["line_search"], float(self._gradient @ direction)
        tried = []
        for k in range(1 if kind == "none" else _HALVINGS + 1):
            length = first * 0.5**k
            value = float(self._linearization.loss(torch.add(self._point, direction, alpha=length)))
            if kind == "none" and not self._options["must_decrease"] and math.isfinite(value):
                return length, value
            enough = self.loss + min(_C1 * length * slope, 0.0) if kind == "backtracking" else self.loss
            if math.isfinite(value) and value < enough:
                tried.append((length, value))
                if kind != "grid":
                    break
        return min(tried, key=lambda pair: pair[1]) if tried else None
