"""Residual-based adaptive points: more collocation points where the residual is large."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab import distributed
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.points import PointStore
from pinnlab.problems.base import Problem
from pinnlab.samplers import UniformRandom


def density(residual: Tensor, exponent: float, floor: float) -> Tensor:
    """The unnormalised density of points p ~ |r|^k / mean|r|^k + c (Wu et al., arXiv 2207.10289, eq. 2).

    Args:
        residual: `(n,)` size of the residual at candidate points.
        exponent: k; 0 is uniform, larger values concentrate more.
        floor: c; how much of the uniform density stays.
    """
    powers = residual.abs() ** exponent
    return powers / powers.mean().clamp_min(torch.finfo(powers.dtype).tiny) + floor


class _Redraw(L.Callback):
    """Gives conditions new points from time to time; subclasses say which points."""

    def __init__(self, every: int, conditions: Sequence[str] | None, start: int) -> None:
        for key, value, least in (("every", every, 1), ("start", start, 0)):
            if value < least:
                raise ConfigurationError(f"{type(self).__name__}.{key}: must be at least {least}, got {value}")
        self.every, self.conditions, self.start = every, conditions, start
        self._last = 0

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the names, and starts counting."""
        self._last = self.start
        known = _drawable(pl_module.problem)
        for name in self.conditions or ():
            if name not in known:
                raise unknown(f"condition in {type(self).__name__}.conditions", name, known)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Draws new points when enough evaluations have passed."""
        if pl_module.evaluations - self._last < self.every:
            return
        self._last = pl_module.evaluations
        store: PointStore = trainer.datamodule.store  # type: ignore[attr-defined]
        names = self.conditions or self._default(pl_module.problem)
        store.replace({name: self._draw(store, pl_module, name) for name in names})

    def state_dict(self) -> dict[str, Any]:
        """When points were last drawn."""
        return {"last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues counting."""
        self._last = state_dict["last"]

    @abstractmethod
    def _default(self, problem: Problem) -> Sequence[str]:
        """The conditions that get new points when none are named."""

    @abstractmethod
    def _draw(self, store: PointStore, pl_module: Any, name: str) -> Tensor:
        """New points `(n, d)` of one condition."""


def _drawable(problem: Problem) -> list[str]:
    return [name for name, c in problem.conditions.items() if c.region is not None and c.region.unit_dim]


class FreshPoints(_Redraw):
    """Draws all points anew from the data module's designs: what Gauss-Newton methods on smooth solutions want.

    With fixed points they fit those and nothing between them; new ones at every step show them the whole domain.

    Args:
        every: loss evaluations between two draws; 1 draws after every step.
        conditions: whose points are drawn; default: all that have points to draw.
        start: evaluations before the first draw.

    Raises:
        ConfigurationError: a number is out of its range or a name is not a condition with points to draw.
    """

    def __init__(self, every: int = 1, conditions: Sequence[str] | None = None, start: int = 0) -> None:
        super().__init__(every, conditions, start)

    def _default(self, problem: Problem) -> Sequence[str]:
        return _drawable(problem)

    def _draw(self, store: PointStore, pl_module: Any, name: str) -> Tensor:
        return store.draw(name, len(store.rows[name]))


class ResidualResampling(_Redraw):
    """Residual-based adaptive distribution (RAD): draws all points of a condition anew from time to time.

    Candidates are drawn uniformly; points are chosen among them in proportion to `density`. Every rank scores
    its share of the candidates; all choose the same points.

    Args:
        every: loss evaluations between two draws. 500 lets a quasi-Newton method converge in between; 1 draws after
            every step, for Gauss-Newton methods.
        pool: candidates, 10 to 100 times the number of points.
        exponent: k in `density`; 1 as in the paper.
        floor: c in `density`; 1 as in the paper.
        conditions: whose points are drawn; default: the differential equations (conditions of kind `Residual`).
        start: evaluations before the first draw.

    Raises:
        ConfigurationError: a number is out of its range or a name is not a condition with points to draw.
    """

    def __init__(
        self,
        every: int = 500,
        pool: int = 50_000,
        exponent: float = 1.0,
        floor: float = 1.0,
        conditions: Sequence[str] | None = None,
        start: int = 0,
    ) -> None:
        super().__init__(every, conditions, start)
        if pool < 1:
            raise ConfigurationError(f"ResidualResampling.pool: must be at least 1, got {pool}")
        if exponent < 0 or floor < 0 or exponent + floor == 0:
            raise ConfigurationError("ResidualResampling: exponent and floor must not be negative, nor both 0")
        self.pool, self.exponent, self.floor = pool, exponent, floor

    def _default(self, problem: Problem) -> Sequence[str]:
        return problem.differential_equations()

    def _draw(self, store: PointStore, pl_module: Any, name: str) -> Tensor:
        count = len(store.rows[name])
        if self.pool < count:
            raise ConfigurationError(f"ResidualResampling.pool: {self.pool} candidates for {count} points of {name!r}")
        candidates = store.draw(name, self.pool, UniformRandom())
        with torch.no_grad():
            score = pl_module.system.score(name, distributed.shard(store.as_rows(name, candidates)))
        weights = density(distributed.unshard(score, self.pool), self.exponent, self.floor)
        # Chosen on the CPU with the store's generator, so that the kind of device does not change the points.
        chosen = torch.multinomial(weights.cpu(), count, generator=store.generator("resampling"))
        return candidates[chosen]
