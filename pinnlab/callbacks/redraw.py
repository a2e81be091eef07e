"""What callbacks that change or weigh points share: whose points, how they are replaced, and how they are scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor

from pinnlab.callbacks.occasions import Occasions
from pinnlab.derivatives.fields import TIME
from pinnlab.errors import ConfigurationError, check_names, unknown
from pinnlab.numerics import distributed
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.scores import Score, residual
from pinnlab.problems.base import Problem
from pinnlab.problems.window import absent, present
from pinnlab.samplers import UniformRandom
from pinnlab.training.point_store import PointStore
from pinnlab.training.trainer_parts import needed_store


class Change(NamedTuple):
    """Other points for one condition.

    Attributes:
        new: `(n, d)` the points to come, at least one.
        kept: numbers of the present rows that stay; None for none of them.
    """

    new: Tensor
    kept: Tensor | None = None


class ConditionsCallback(L.Callback):
    """Acts on the points of some conditions now and then; a run may have several of one kind, for different ones.

    Args:
        occasions: when.
        conditions: whose points; default: those of `_default`.

    Raises:
        ConfigurationError: `conditions` is no list.
    """

    def __init__(self, occasions: Occasions, conditions: Sequence[str] | None) -> None:
        if conditions is not None:
            check_names(f"{type(self).__name__}.conditions", conditions, "pde")
        self.occasions, self.conditions = occasions, conditions

    @property
    def state_key(self) -> str:
        """Tells two callbacks of one kind, for different conditions, apart in a checkpoint."""
        return self._generate_state_key(conditions=self.conditions) if self.conditions else super().state_key

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Counts from a checkpoint on, unless that has a state of this callback, which is loaded after this."""
        self.occasions.begin(pl_module.evaluations)

    def state_dict(self) -> dict[str, Any]:
        """When it was last due; points and their weights are the point store's to keep."""
        return {"last": self.occasions.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting."""
        self.occasions.last = state_dict["last"]

    def _store(self, pl_module: Any) -> PointStore:
        return needed_store(pl_module, type(self).__name__)

    def _names(self, pl_module: Any) -> Sequence[str]:
        """The conditions whose points are meant; in a window of time those of which it has something."""
        problem = pl_module.problem
        return present(self.conditions, problem) if self.conditions else self._default(problem)

    def _default(self, problem: Problem) -> Sequence[str]:
        """Those that are meant when none are named: the differential equations."""
        return problem.differential_equations()

    def _check_names(self, problem: Problem, known: Collection[str]) -> None:
        """Refuses names that are not among the known ones, nor those of conditions of another window of time."""
        elsewhere = absent(problem)
        for name in self.conditions or ():
            if name not in known and name not in elsewhere:
                raise unknown(f"condition in {type(self).__name__}.conditions", name, known)


class AbstractRedraw(ConditionsCallback):
    """Changes the points of conditions between steps; a subclass says how, in `_change`.

    Every change raises the store's version, which tells optimizers, criteria and `Rollback` that the objective is
    another one. All ranks change alike.

    Raises:
        ConfigurationError: at the start of training when a name is not a condition with points to draw, or there is
            none to change.
    """

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks that there are points to change and the names are right, and starts counting."""
        if stage != "fit":
            return
        self._store(pl_module)
        self.occasions.begin(pl_module.counted_before.evaluations)
        known = drawable(pl_module.problem)
        self._check_names(pl_module.problem, known)
        if not self._names(pl_module) and not absent(pl_module.problem):
            reason = (
                "there is no differential equation; name conditions" if known else "no condition has points to draw"
            )
            raise ConfigurationError(f"{type(self).__name__}.conditions: {reason}, or leave the callback out")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Changes points when enough evaluations have passed and they need it."""
        if not self.occasions.due(pl_module.evaluations):
            return
        names, store = self._names(pl_module), self._store(pl_module)
        if self.occasions.ratio is not None:
            names = [name for name in names if self._outgrown(store, pl_module.system, name, self.occasions.ratio)]
        self._apply(pl_module, names)

    def after_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Changes points for the phase that begins, if asked for."""
        if self.occasions.at_switch:
            self._apply(pl_module, self._names(pl_module))

    def _apply(self, pl_module: Any, names: Sequence[str]) -> None:
        store, passed = self._store(pl_module), self.occasions.pass_to(pl_module.evaluations)
        proposed = {name: self._change(store, pl_module.system, name, passed) for name in names}
        changes = {name: change for name, change in proposed.items() if change is not None}
        if changes:
            kept = {name: change.kept for name, change in changes.items() if change.kept is not None}
            store.replace({name: change.new for name, change in changes.items()}, kept)

    def _outgrown(self, store: PointStore, system: ResidualSystem, name: str, ratio: float) -> bool:
        """Whether the residual has become much larger between a condition's points than at them."""
        own = store.rows[name]
        fresh = store.as_rows(name, store.draw(name, len(own), UniformRandom()))
        return mean_square(system, name, fresh) > ratio * mean_square(system, name, own)

    @abstractmethod
    def _change(self, store: PointStore, system: ResidualSystem, name: str, passed: int) -> Change | None:
        """Other points of one condition, `passed` evaluations after the last time; None to leave them as they are."""


def time_axis(problem: Problem) -> tuple[int, float, float]:
    """Which coordinate is the time, and where its interval begins and ends; the problem must have one."""
    column = problem.coordinates.index(TIME)
    return column, problem.domain.low[column], problem.domain.high[column]


def drawable(problem: Problem) -> list[str]:
    """The conditions whose points can be drawn in other places: not data, and not the two ends of an interval."""
    return [name for name, c in problem.conditions.items() if c.region is not None and c.region.unit_dim]


def refuse_energies(owner: str, problem: Problem, names: Iterable[str]) -> None:
    """Refuses energies to a callback that takes residuals for what must vanish.

    Args:
        owner: the callback, for the message.
        problem: its conditions.
        names: those that the callback looks at.

    Raises:
        ConfigurationError: one of them is an energy.
    """
    found = [name for name in problem.energies() if name in names]
    if found:
        raise ConfigurationError(f"{owner}: condition {found[0]!r} is an Energy, not a residual; leave {owner} out")


def shared_scores(system: ResidualSystem, name: str, rows: Tensor, score: Score = residual) -> Tensor:
    """The scores `(n,)` of a condition's rows `(n, d + k)`, in float64 on the CPU; a collective.

    Every rank scores its share; all get the same numbers. Without weights of single points, in the module's dtype.

    Raises:
        ConfigurationError: the score is not one number for each row, or is negative somewhere.
    """
    share = distributed.shard(rows)
    with torch.no_grad():
        own = score(system, name, share)
    if own.shape != (len(share),):
        raise ConfigurationError(f"score: must have shape ({len(share)},) for so many rows, not {tuple(own.shape)}")
    scores = distributed.unshard(own, len(rows)).to("cpu", torch.float64)
    if (scores < 0).any():
        raise ConfigurationError(f"score: must not be negative, but is {float(scores.min()):.3g} in {name!r}")
    return scores


def mean_square(system: ResidualSystem, name: str, rows: Tensor) -> float:
    """The mean square of a condition's residual on rows `(n, d + k)`, summed over its equations; a collective."""
    return float(shared_scores(system, name, rows).square().mean())
