"""Weights of single points that adapt: how much each point's squared residual counts in its condition's mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.redraw import (
    ConditionsCallback,
    mean_square,
    refuse_energies,
    shared_scores,
    time_axis,
)
from pinnlab.derivatives.fields import TIME
from pinnlab.errors import ConfigurationError, check_list, check_positive, check_real, check_whole, unknown
from pinnlab.objective.balancing import ascended, attention, causal, time_chunks
from pinnlab.optimizers import is_multi_eval
from pinnlab.problems.base import Problem
from pinnlab.training.point_store import PointStore
from pinnlab.training.trainer_parts import callbacks_of

HELD_BACK = 0.1
"""Below this share of the weight that it needs, or may have, a time is as good as not trained yet."""


class AbstractPointWeights(ConditionsCallback):
    """Weighs the points of conditions anew from time to time, between steps; a subclass says how, in `_weights`.

    A condition's term becomes the mean of w r^2 over its points, for every optimizer alike; no gradient passes through
    w. A weight belongs to its point: it survives shuffling, resampling and a resume. `loss/<condition>` is then the
    weighted mean, while the residual on held-out points, and scores for resampling, stay without weights.

    Every update takes the residuals of all points of these conditions, without a gradient: 0.4 to 0.8 of the time of an
    evaluation of all points, both compiled. It counts as one; with mini-batches as so many as have as many points, and
    updates are so many times rarer. It changes the objective, so L-BFGS forgets its curvature: closure optimizers have
    a number of their own. All ranks weigh alike.

    Args:
        every: loss evaluations between two updates, with an optimizer that makes one a step and takes all points.
        conditions: whose points; default: the differential equations (conditions of kind `Residual`).
        closure_every: `every`, with an optimizer that makes several, such as L-BFGS.

    Raises:
        ConfigurationError: `every` or `closure_every` is below 1, or at the start of training when a name is not a
            condition or another callback weighs the same points.
    """

    def __init__(self, every: int, conditions: Sequence[str] | None, closure_every: int) -> None:
        super().__init__(Occasions(type(self).__name__, every, closure_every=closure_every), conditions)

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the names, and starts counting."""
        if stage != "fit":
            return
        self._store(pl_module)
        self._check_names(pl_module.problem, pl_module.problem.conditions)
        name, own = type(self).__name__, self._names(pl_module)
        refuse_energies(name, pl_module.problem, list(own))
        if not own and not self.conditions:
            raise ConfigurationError(f"{name}.conditions: there is no differential equation; name conditions")
        for other in callbacks_of(trainer, L.Callback):
            if other is not self and isinstance(other, AbstractPointWeights):
                for condition in set(own) & set(other._names(pl_module)):
                    raise ConfigurationError(
                        f"{name}.conditions: {type(other).__name__} weighs the points of {condition!r}, too; keep one"
                    )
        self.occasions.begin(pl_module.counted_before.evaluations)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Gives the points weights, unless a checkpoint brought them."""
        for name in self._names(pl_module):
            self._store(pl_module).weigh(name, self._first_weights(pl_module, name))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Weighs the points when enough evaluations have passed."""
        store, names = self._store(pl_module), self._names(pl_module)
        cost = _evaluations(store, names)
        if not self.occasions.due(pl_module.evaluations, is_multi_eval(pl_module.current_optimizer()), cost):
            return
        passed = self.occasions.pass_to(pl_module.evaluations)
        pl_module.evaluations += cost
        self.occasions.pass_to(pl_module.evaluations)  # its own cost does not bring the next update nearer
        for name in names:
            residual = shared_scores(pl_module.system, name, store.rows[name])
            if residual.isfinite().all():  # else the loss has blown up; that is for `Rollback`
                weights = self._weights(pl_module, store, name, residual, passed)
                store.set_point_weights(name, weights)

    def _first_weights(self, pl_module: Any, name: str) -> Callable[[Tensor], Tensor] | None:
        """The weights of a condition's new points until the next update, see `PointStore.weigh`."""
        return None

    @abstractmethod
    def _weights(self, pl_module: Any, store: PointStore, name: str, residual: Tensor, passed: int) -> Tensor:
        """The new weights `(n,)` of a condition's points, `passed` evaluations after the last ones."""


def _evaluations(store: PointStore, names: Sequence[str]) -> int:
    """How many evaluations of the present batches have as many points as these conditions."""
    points = sum(len(store.rows[name]) for name in names)
    return max(1, round(points / sum(store.batch_sizes().values())))


class ResidualAttention(AbstractPointWeights):
    """Residual-based attention (RBA): points whose residual stays among the largest weigh more and more, up to a bound.

    See `pinnlab.objective.balancing.attention`. lambda is 1 at first, so that a run begins as it would without weights
    (the authors' code begins with 0). It moves by as much as if it were updated after every evaluation with the present
    residual, whatever `every` is.

    Args:
        every: loss evaluations between two updates. 20 costs at most 5 % of a step on average.
        gamma: the share of lambda that stays, for each evaluation; 0.999 as in the paper.
        eta: what the point with the largest residual gains, for each evaluation. The weight lambda^2 comes to at most
            (eta / (1 - gamma))^2: 100 with 0.01, which the authors use together with a weight of 100 for initial
            values, as our problems have it; 1 with 0.001, their choice where all conditions weigh 1.
        conditions: whose points; default: the differential equations (conditions of kind `Residual`).
        closure_every: the same with closure optimizers, which an update costs their curvature; 500.

    Raises:
        ConfigurationError: a number is out of its range; see `AbstractPointWeights` for the rest.
    """

    def __init__(
        self,
        every: int = 20,
        gamma: float = 0.999,
        eta: float = 0.01,
        conditions: Sequence[str] | None = None,
        closure_every: int = 500,
    ) -> None:
        check_real("ResidualAttention", gamma=gamma)
        check_positive("ResidualAttention", eta=eta)
        super().__init__(every, conditions, closure_every)
        if not 0 <= gamma <= 1:
            raise ConfigurationError(f"ResidualAttention.gamma: must be in [0, 1], got {gamma}")
        self.gamma, self.eta = gamma, eta

    def _weights(self, pl_module: Any, store: PointStore, name: str, residual: Tensor, passed: int) -> Tensor:
        return attention(store.point_weights(name), residual, self.gamma, self.eta, passed)


class SelfAdaptive(AbstractPointWeights):
    """Self-adaptive weights: raised by gradient ascent on the loss that the network descends.

    See `pinnlab.objective.balancing.ascended`. A step of the ascent is as long as those of all evaluations since the
    last.

    Args:
        every: loss evaluations between two updates. 20 costs at most 5 % of a step on average.
        rate: of the ascent, for each evaluation, with squared residuals divided by their mean. With 1e-3 weights change
            within about a thousand evaluations.
        mask: the weight as a function of the variable that ascends: `linear` or `square`.
        normalized: whether the mean weight stays 1, so that points only compete with each other. Else the condition as
            a whole gains weight, as in the paper, where an initial condition is masked for that.
        conditions: whose points; default: the differential equations (conditions of kind `Residual`).
        closure_every: the same with closure optimizers, which an update costs their curvature; 500.

    Raises:
        ConfigurationError: `rate` is not above 0, or there is no such mask; see `AbstractPointWeights` for the rest.
    """

    def __init__(
        self,
        every: int = 20,
        rate: float = 1e-3,
        mask: Literal["linear", "square"] = "linear",
        normalized: bool = True,
        conditions: Sequence[str] | None = None,
        closure_every: int = 500,
    ) -> None:
        check_positive("SelfAdaptive", rate=rate)
        super().__init__(every, conditions, closure_every)
        powers = {"linear": 1, "square": 2}
        if mask not in powers:
            raise unknown("SelfAdaptive.mask", mask, powers)
        self.rate, self.normalized = rate, normalized
        self._power = powers[mask]

    def _weights(self, pl_module: Any, store: PointStore, name: str, residual: Tensor, passed: int) -> Tensor:
        rate = self.rate * passed
        return ascended(store.point_weights(name), residual, rate, self._power, self.normalized)


class CausalWeights(AbstractPointWeights):
    """Causal training: a time counts only as far as the problem is solved at all times before it.

    That is the equation, and the conditions all of whose points are at the first time, with their weights in the loss
    relative to the equation's. See `pinnlab.objective.balancing.causal`. The tolerance eps goes on to its next value
    when even the last time has almost its whole weight, as in the paper, so that all times count alike in the end. With
    `last_weight` eps goes on growing as the residual falls, so that early times always count more: it serves where
    their errors grow later on.

    Args:
        every: loss evaluations between two updates. 20 costs at most 5 % of a step on average.
        tolerances: the values of eps, increasing; those of the paper.
        chunks: equal parts of the time interval; 32 as in the paper.
        threshold: the last time's weight above which the next tolerance begins; 0.99 as in the paper.
        last_weight: the most that the last time weighs under the last tolerance; default: 1, the paper's weights.
            0.001 is like a `discount` of 3.5 in `AllenCahn`, but goes by where the residual is.
        initial: whether all times wait for the initial conditions, too, as in the paper's code. Where they hold exactly
            there are none.
        conditions: whose points; default: the differential equations (conditions of kind `Residual`).
        closure_every: the same with closure optimizers, which an update costs their curvature; 500.

    Raises:
        ConfigurationError: a number is out of its range, or the problem has no coordinate t; see `AbstractPointWeights`
            for the rest.
    """

    def __init__(
        self,
        every: int = 20,
        tolerances: Sequence[float] = (1e-2, 1e-1, 1.0, 10.0, 100.0),
        chunks: int = 32,
        threshold: float = 0.99,
        last_weight: float = 1.0,
        initial: bool = True,
        conditions: Sequence[str] | None = None,
        closure_every: int = 500,
    ) -> None:
        check_whole("CausalWeights", least=2, chunks=chunks)
        check_real("CausalWeights", threshold=threshold, last_weight=last_weight)
        super().__init__(every, conditions, closure_every)
        check_list("CausalWeights", tolerances=tolerances)
        values = list(tolerances)
        if not values or values[0] <= 0 or values != sorted(values):
            raise ConfigurationError(f"CausalWeights.tolerances: must be above 0 and increase, got {values}")
        if not 0 < threshold < 1:
            raise ConfigurationError(f"CausalWeights.threshold: must be between 0 and 1, got {threshold}")
        if not 0 < last_weight <= 1:
            raise ConfigurationError(f"CausalWeights.last_weight: must be above 0 and at most 1, got {last_weight}")
        self.tolerances, self.chunks, self.threshold, self.last_weight = values, chunks, threshold, last_weight
        self.initial = initial
        self._stages: dict[str, int] = {}
        self._of_chunks: dict[str, Tensor] = {}

    @property
    def held_back(self) -> float:
        """The share of the time interval that is as good as not trained yet; of several conditions, the largest.

        From the second tolerance on all times have counted.
        """
        least = HELD_BACK * min(self.threshold, self.last_weight)
        first = (weights for name, weights in self._of_chunks.items() if self._stages[name] == 0)
        shares = (float((weights < least).double().mean()) for weights in first)
        return max(shares, default=0.0)

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks that there is a time, and starts with the first tolerance."""
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        problem, names = pl_module.problem, self._names(pl_module)
        if TIME not in problem.coordinates:
            raise ConfigurationError(
                f"CausalWeights: problem {problem.name} has no coordinate t; use ResidualAttention, or leave it out"
            )
        self._stages = dict.fromkeys(names, 0)
        self._of_chunks = {name: torch.ones(self.chunks, dtype=torch.float64) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """When points were last weighed, each chunk's weight, and which tolerance each condition has come to."""
        return {**super().state_dict(), "stages": dict(self._stages), "of_chunks": dict(self._of_chunks)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off, in the last stage if there are fewer by now."""
        super().load_state_dict(state_dict)
        self._stages = {name: min(stage, len(self.tolerances) - 1) for name, stage in state_dict["stages"].items()}
        self._of_chunks = {name: self._rechunked(weights) for name, weights in state_dict["of_chunks"].items()}

    def _first_weights(self, pl_module: Any, name: str) -> Callable[[Tensor], Tensor]:
        """Those of their chunks: with any others a late time would count before its turn, and learn what is wrong."""
        return lambda points: self._of_chunks[name][self._chunk(pl_module.problem, points)]

    def _weights(self, pl_module: Any, store: PointStore, name: str, residual: Tensor, passed: int) -> Tensor:
        chunk, stage = self._chunk(store.problem, store.points(name).to(residual)), self._stages[name]
        final = stage + 1 == len(self.tolerances)
        most = self.last_weight if final else 1.0
        first = self._initial_loss(pl_module, store, name) if self.initial else 0.0
        weights = self._of_chunks[name] = causal(residual, chunk, self.chunks, self.tolerances[stage], most, first)
        if weights.min() > self.threshold and not final:
            self._stages[name] = stage + 1  # from the next update on
        return weights[chunk]

    def _initial_loss(self, pl_module: Any, store: PointStore, name: str) -> float:
        """The loss of all conditions at the first time, over the weight of one condition; 0 without them."""
        column, low, high = time_axis(store.problem)
        weights = dict(zip(store.problem.conditions, pl_module.loss_weights.tolist(), strict=True))
        if not weights[name] > 0:
            return 0.0
        total = 0.0
        for other, rows in store.rows.items():
            times, is_energy = store.points(other)[:, column], store.problem.conditions[other].is_energy
            if other != name and not is_energy and bool((times - low <= 1e-6 * (high - low)).all()):
                total += weights[other] / weights[name] * mean_square(pl_module.system, other, rows)
        return total

    def _rechunked(self, weights: Tensor) -> Tensor:
        """The weights of our chunks by those of another number of chunks: each has that of the one it begins in."""
        return weights[torch.arange(self.chunks) * len(weights) // self.chunks]

    def _chunk(self, problem: Problem, points: Tensor) -> Tensor:
        """In which chunk of the time interval each point `(n, d)` is, `(n,)`."""
        column, low, high = time_axis(problem)
        return time_chunks(points[:, column], low, high, self.chunks)
