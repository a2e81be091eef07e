"""Points that change in mid-run: drawn anew, or more of them where they are needed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.redraw import AbstractRedraw, Change, drawable, shared_scores
from pinnlab.errors import ConfigurationError, check_real, check_whole
from pinnlab.numerics.memory import check_fits
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.scores import Score, ScoreName, find_score
from pinnlab.problems.base import Problem
from pinnlab.samplers import UniformRandom
from pinnlab.samplers.adaptive import density, draw_by_weight, largest
from pinnlab.training.point_store import PointStore


class FreshPoints(AbstractRedraw):
    """Draws all points anew from the data module's designs: what Gauss-Newton methods on smooth solutions want.

    With fixed points they fit those and nothing between them; new ones at every step show them the whole domain.

    Args:
        every: loss evaluations between two draws; 1 draws after every step, None only at phase changes.
        conditions: whose points are drawn; default: all that have points to draw.
        start: evaluations before the first draw.
        at_switch: whether points are also drawn when a phase begins.
        ratio: draw only where the mean-square residual on fresh points exceeds that on the present ones by this
            factor; measured every `every` evaluations. Default: draw in any case.

    Raises:
        ConfigurationError: a number is out of its range or a name is not a condition with points to draw.
    """

    def __init__(
        self,
        every: int | None = 1,
        conditions: Sequence[str] | None = None,
        start: int = 0,
        at_switch: bool = False,
        ratio: float | None = None,
    ) -> None:
        super().__init__(Occasions(type(self).__name__, every, start, at_switch, ratio), conditions)

    def _default(self, problem: Problem) -> Sequence[str]:
        return drawable(problem)

    def _change(self, store: PointStore, system: ResidualSystem, name: str, passed: int) -> Change:
        return Change(store.draw(name, len(store.rows[name])))


class _FromPool(AbstractRedraw):
    """Takes points from a pool of scored candidates; subclasses say how many, and what becomes of the present ones."""

    def __init__(
        self,
        occasions: Occasions,
        conditions: Sequence[str] | None,
        pool: int,
        exponent: float,
        floor: float,
        score: ScoreName | Score,
        cap: float | None,
    ) -> None:
        super().__init__(occasions, conditions)
        owner = type(self).__name__
        check_whole(owner, least=1, pool=pool)
        check_real(owner, exponent=exponent, floor=floor)
        if exponent < 0 or floor < 0 or exponent + floor == 0:
            raise ConfigurationError(f"{owner}: exponent and floor must not be negative, nor both 0")
        if cap is not None:
            check_real(owner, cap=cap)
            if cap <= 1:
                raise ConfigurationError(f"{owner}.cap: must be above 1, the uniform density, got {cap:g}")
        self.pool, self.exponent, self.floor, self.cap = pool, exponent, floor, cap
        self._score = find_score(score)

    def _choose(
        self, store: PointStore, system: ResidualSystem, name: str, count: int, greedy: bool = False
    ) -> Tensor | None:
        """Points `(count, d)` out of uniform candidates; None while the residual is not finite."""
        if self.pool < count:
            raise ConfigurationError(
                f"{type(self).__name__}.pool: {self.pool} candidates for {count} points of {name!r}"
            )
        columns = 2 * store.rows[name].shape[1] + 4  # drawn, as rows, and scores with what is computed of them
        check_fits(f"{type(self).__name__}.pool: {self.pool} candidates", 8 * columns * self.pool, "cpu", "lower it")
        candidates = store.draw(name, self.pool, UniformRandom())
        scores = shared_scores(system, name, store.as_rows(name, candidates), self._score)
        generator = store.generator("resampling")
        if not scores.isfinite().all():
            return None  # the run has blown up; it is not for the points to end it
        if greedy:
            return candidates[largest(scores, count)]
        return candidates[draw_by_weight(density(scores, self.exponent, self.floor, self.cap), count, generator)]


class ResidualResampling(_FromPool):
    """Residual-based adaptive distribution (RAD): draws all points of a condition anew from time to time.

    Candidates are drawn uniformly; points are chosen among them in proportion to `density` of their scores. Every
    rank scores its share of the candidates; all choose the same points.

    Args:
        every: loss evaluations between two draws. 500 lets a quasi-Newton method converge in between; 1 draws after
            every step, for Gauss-Newton methods; None draws only at phase changes.
        pool: candidates, 10 to 100 times the number of points. 3,000 points out of 50,000 take as long as 5 to 6
            evaluations of the loss, both compiled.
        exponent: k in `density`; 1 as in the paper.
        floor: c in `density`; 1 as in the paper.
        conditions: whose points are drawn; default: the differential equations (conditions of kind `Residual`).
        start: evaluations before the first draw.
        at_switch: whether points are also drawn when a phase begins.
        ratio: draw only where the mean-square residual on fresh points exceeds that on the present ones by this
            factor; measured every `every` evaluations. Default: draw in any case.
        score: what points are drawn by: `residual`, `residual_gradient`, `solution_gradient` (see
            `pinnlab.objective.scores`), or a function of your own by its import path.
        cap: the largest density of points, in multiples of the uniform one. Give 3 to 10 where the solution is
            singular in a corner: the residual there is unbounded, and so would be the part of the points that it
            takes. Default: no limit, as in the paper.

    Raises:
        ConfigurationError: a number is out of its range or a name is not a condition with points to draw.
    """

    def __init__(
        self,
        every: int | None = 500,
        pool: int = 50_000,
        exponent: float = 1.0,
        floor: float = 1.0,
        conditions: Sequence[str] | None = None,
        start: int = 0,
        at_switch: bool = False,
        ratio: float | None = None,
        score: ScoreName | Score = "residual",
        cap: float | None = None,
    ) -> None:
        occasions = Occasions(type(self).__name__, every, start, at_switch, ratio)
        super().__init__(occasions, conditions, pool, exponent, floor, score, cap)

    def _change(self, store: PointStore, system: ResidualSystem, name: str, passed: int) -> Change | None:
        chosen = self._choose(store, system, name, len(store.rows[name]))
        return None if chosen is None else Change(chosen)


class ResidualAddition(_FromPool):
    """Residual-based adaptive refinement (RAR-D, RAR-G): adds points from time to time; those that are there stay.

    Candidates are drawn uniformly and scored as for `ResidualResampling`.

    Args:
        every: loss evaluations between two additions; None adds only at phase changes.
        count: points to add to each condition at a time.
        most: points of a condition at last; from then on nothing is added. Each costs memory and time for good.
        greedy: RAR-G, the candidates with the largest scores (arXiv 1907.04502); these may all lie in one spot. Else
            RAR-D (arXiv 2207.10289), a draw in proportion to `density`.
        pool: candidates at a time.
        exponent: k in `density` of RAR-D; 2 as in the paper.
        floor: c in `density` of RAR-D; 0 as in the paper.
        conditions: who gets points; default: the differential equations.
        start: evaluations before the first addition.
        at_switch: whether points are also added when a phase begins.
        ratio: add only where the mean-square residual on fresh points exceeds that on the present ones by this
            factor; measured every `every` evaluations. Default: add in any case.
        score: what points are chosen by, as for `ResidualResampling`.
        cap: the largest density, as for `ResidualResampling`; not for RAR-G.

    Raises:
        ConfigurationError: a number is out of its range or a name is not a condition with points to draw.
    """

    def __init__(
        self,
        every: int | None = 500,
        count: int = 100,
        most: int = 10_000,
        greedy: bool = False,
        pool: int = 50_000,
        exponent: float = 2.0,
        floor: float = 0.0,
        conditions: Sequence[str] | None = None,
        start: int = 0,
        at_switch: bool = False,
        ratio: float | None = None,
        score: ScoreName | Score = "residual",
        cap: float | None = None,
    ) -> None:
        check_whole("ResidualAddition", least=1, count=count, most=most)
        occasions = Occasions(type(self).__name__, every, start, at_switch, ratio)
        super().__init__(occasions, conditions, pool, exponent, floor, score, cap)
        if greedy and cap is not None:
            raise ConfigurationError("ResidualAddition.cap: RAR-G takes the largest scores; leave cap out, or greedy")
        self.count, self.most, self.greedy = count, most, greedy

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks names and numbers of points, and starts counting."""
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        for name in self._names(pl_module):
            present = len(self._store(pl_module).rows[name])
            if present >= self.most:
                warnings.warn(
                    f"ResidualAddition.most: {name!r} has {present:,} points already, so none are added; raise it",
                    stacklevel=2,
                )

    def _change(self, store: PointStore, system: ResidualSystem, name: str, passed: int) -> Change | None:
        present = len(store.rows[name])
        count = min(self.count, self.most - present)
        chosen = self._choose(store, system, name, count, self.greedy) if count > 0 else None
        return None if chosen is None else Change(chosen, torch.arange(present))
