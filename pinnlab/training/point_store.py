"""The point store: which collocation points every condition has at the moment, the same on all ranks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics import distributed
from pinnlab.numerics.memory import check_fits
from pinnlab.problems.base import Problem
from pinnlab.samplers import Focused, Sampler, seed_for
from pinnlab.training.mini_batches import MiniBatches

_SAME = 1e-9
"""Of the largest number of a column: what two machines compute alike."""

DRAW_POINTS = "write trainer.fit(module, CollocationDataModule(problem, points=...)), which draws them"
"""What to do where a trainer has other data, or none."""


class PointStore:
    """The GLOBAL set of points of each condition; every rank keeps all of it and trains on its share.

    Points change only between optimizer steps, by `replace`; every change counts `version` up, which tells
    optimizers that they face another objective. Random draws are numbered by `counter`, so that a resumed run
    draws what the uninterrupted one would have drawn, and all ranks draw alike.

    Args:
        problem: gives conditions and regions.
        counts: how many points each condition gets; conditions that bring their own need none.
        samplers: the design for each condition.
        seed: of all draws.
        batch_size: points of a condition per step, or None for all of them; a smaller set is taken whole.
        dtype: of the rows that are handed out; the module's.
        device: where they live.
        overlap: the share of a mini-batch's rows that the next one has too, see `MiniBatches`.

    Attributes:
        rows: `(n, d + k)` points and extras of each condition, in `dtype` on `device`; with one more column, the
            points' weights, for the conditions in `weighed`.
        weighed: the conditions whose points have weights; see `weigh`.
        reweighed: counts changes of the points' weights. They change the objective, but not the passes over the points.
        batches: which of the rows a step takes.

    Raises:
        ConfigurationError: a name is not a condition, a condition has no count, a count is below 1, or `overlap`
            is not between 0 and 1.
    """

    def __init__(
        self,
        problem: Problem,
        counts: Mapping[str, int],
        samplers: Mapping[str, Sampler],
        seed: int,
        batch_size: int | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        overlap: float = 0.25,
    ) -> None:
        _check(problem, counts, samplers)
        self.problem, self.samplers, self.seed = problem, dict(samplers), seed
        self.batches = MiniBatches(seed, batch_size, overlap)
        self.dtype, self.device = dtype, torch.device(device)
        self.version, self.counter = 0, 0
        self.weighed: set[str] = set()
        self._first_weights: dict[str, Callable[[Tensor], Tensor]] = {}
        self.reweighed = 0
        self.rows: dict[str, Tensor] = {}
        self._exact: dict[str, Tensor] = {}  # the rows in float64 on the CPU, whatever dtype they are handed out in
        self._cache: tuple[Any, dict[str, Tensor]] = (None, {})
        for name, condition in problem.conditions.items():
            own = condition.fixed_points()
            self._put(name, self._exact_rows(name, own if own is not None else self.draw(name, counts[name])))

    def draw(self, name: str, count: int, sampler: Sampler | None = None) -> Tensor:
        """Fresh points `(count, d)` in a condition's region, in float64 on the CPU; the same on all ranks.

        Args:
            name: the condition.
            count: how many.
            sampler: the design; default: the condition's own.
        """
        region = self.problem.conditions[name].region
        if region is None:
            raise ConfigurationError(f"condition {name!r} brings its own points; nothing can be drawn for it")
        _check_size(name, count, region.dim)
        self.counter += 1
        return (sampler or self.samplers[name]).sample(region, count, seed_for(self.seed, name, self.counter))

    def generator(self, purpose: str) -> torch.Generator:
        """A generator for one random decision, the same on all ranks and after a resume."""
        self.counter += 1
        return torch.Generator().manual_seed(seed_for(self.seed, purpose, self.counter))

    def points(self, name: str) -> Tensor:
        """The points `(n, d)` of a condition, of all ranks."""
        return self.rows[name][:, : len(self.problem.coordinates)]

    def replace(self, points: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None) -> None:
        """Gives conditions new points `(n, d)`: a change of the objective.

        Args:
            points: the new points.
            kept: for a condition the numbers of those of its rows that stay, before the new ones, just as they are;
                default: none.
        """
        for name, new in points.items():
            before, rows = self._exact[name], self._exact_rows(name, new)
            stay = (kept or {}).get(name, torch.empty(0, dtype=torch.long))
            if name in self.weighed:
                first = self._first_weights.get(name)
                weights = _mean_weight(before, stay).expand(len(rows)) if first is None else first(new).to(rows)
                rows = torch.cat([rows, weights[:, None]], 1)
            self._put(name, torch.cat([before[stay], rows]))
        self.version += 1

    def weigh(self, name: str, first: Callable[[Tensor], Tensor] | None = None) -> None:
        """Gives the points of a condition weights, at first all 1; those that have weights already keep them.

        A weight is a column of its point's row, so it goes where the point goes: to a rank, into a shuffled mini-batch,
        into a checkpoint. Points that stay when others are replaced keep theirs.

        Args:
            name: the condition.
            first: the weights `(n,)` with which new points `(n, d)`, in float64 on the CPU, begin when they replace
                others. Default: the mean weight of those that they replace, which keeps the scale of the loss (of all
                where none goes). It is not saved: say it again after a resume.
        """
        if first is not None:
            self._first_weights[name] = first
        if name not in self.weighed:
            self.weighed.add(name)
            rows = self._exact[name]
            self._put(name, torch.cat([rows, rows.new_ones(len(rows), 1)], 1))

    def start_over(self, batch_size: int | None) -> None:
        """A new run begins with the points as they are, without weights, in batches of this size."""
        for name in self.weighed:
            self._put(name, self._exact[name][:, :-1])
        self.weighed, self._first_weights = set(), {}
        if batch_size != self.batches.size:
            self.resize_batches(batch_size)

    def point_weights(self, name: str) -> Tensor:
        """The weights `(n,)` of a condition's points, of all ranks, in float64 on the CPU; 1 where it has none."""
        rows = self._exact[name]
        return rows[:, -1].clone() if name in self.weighed else rows.new_ones(len(rows))

    def set_point_weights(self, name: str, weights: Tensor) -> None:
        """Changes the weights of a condition's points: a change of the objective.

        Args:
            name: the condition, one with weights.
            weights: `(n,)`, in the order of the rows.

        Raises:
            ConfigurationError: the condition's points have no weights.
        """
        if name not in self.weighed:
            raise ConfigurationError(f"condition {name!r}: its points have no weights; call weigh first")
        rows = self._exact[name].clone()
        rows[:, -1] = weights
        if not torch.equal(rows, self._exact[name]):
            self._put(name, rows)
            self.reweighed += 1

    def redraw(self, counts: int | Mapping[str, int]) -> None:
        """Gives conditions other numbers of points, drawn anew from their designs: a change of the objective.

        Args:
            counts: how many each condition gets; one number is for all that do not bring their own.
        """
        wanted = dict.fromkeys(sampled_conditions(self.problem), counts) if isinstance(counts, int) else counts
        self.replace({name: self.draw(name, count) for name, count in wanted.items()})

    def resize_batches(self, size: int | None) -> None:
        """Gives batches another size from the next step on, which begins a new pass; no change of the objective.

        Args:
            size: points of a condition per step; None, or as many as the largest condition has, for all of them.

        Raises:
            ConfigurationError: it is below 1.
        """
        self.batches.resize(size, max(map(len, self.rows.values())))

    def counts(self) -> dict[str, int]:
        """How many rows each condition has, of all ranks."""
        return {name: len(rows) for name, rows in self.rows.items()}

    def batch_sizes(self) -> dict[str, int]:
        """How many rows of each condition the batches have at the moment, of all ranks."""
        return {name: self.batches.size_of(len(rows)) for name, rows in self.rows.items()}

    def to(self, dtype: torch.dtype, device: torch.device | None = None) -> None:
        """Hands out the same points in a precision, rounded to float32, exactly as drawn in float64; or elsewhere."""
        self.dtype, self.device = dtype, self.device if device is None else device
        self.rows = {name: rows.to(self.device, dtype) for name, rows in self._exact.items()}
        self._cache = (None, {})

    def batch(self) -> dict[str, Tensor]:
        """This rank's share of the next step's rows, by condition."""
        if self.batches.whole:
            if self._cache[0] != self.version:
                shares = {name: distributed.shard(rows).contiguous() for name, rows in self.rows.items()}
                self._cache = (self.version, shares)
            return dict(self._cache[1])
        self.batches.cursor += 1
        chosen = {name: self.batches.rows(name, rows, self.version) for name, rows in self.rows.items()}
        return {name: distributed.shard(rows) for name, rows in chosen.items()}

    def shared(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
        """The rows of the present batch that its neighbours have too.

        Args:
            batch: what the last call of `batch` returned: this rank's share.

        Returns:
            This rank's share of the rows shared with the batch before, and of those shared with the batch after;
            None when all batches are alike, because none of the conditions has more rows than `batch_size`.
        """
        return self.batches.shared(batch, self.counts())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on; tensors and primitives."""
        return {
            "problem": self.problem.name,
            "rows": {name: rows.clone() for name, rows in self._exact.items()},
            "weighed": sorted(self.weighed),
            "version": self.version,
            "reweighed": self.reweighed,
            "counter": self.counter,
            "cursor": self.batches.cursor,
            "origin": self.batches.origin,
            "batch_size": self.batches.size,
            "seed": self.seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from `state_dict`, with its size of batches; warns where its data are not those of the problem.

        Raises:
            ConfigurationError: the points belong to another problem.
        """
        weighed = set(state.get("weighed", ()))
        _check_saved(self.problem, _without_weights(self._exact, self.weighed), state, weighed)
        self._exact = {name: rows.to("cpu", torch.float64, copy=True) for name, rows in state["rows"].items()}
        self.to(self.dtype)
        self.version, self.counter, self.batches.cursor = state["version"], state["counter"], state["cursor"]
        self.weighed, self.reweighed = weighed, state.get("reweighed", 0)
        self.seed = self.batches.seed = state["seed"]
        self.batches.origin = state.get("origin", 0)
        self.batches.size = state.get("batch_size", self.batches.size)

    def as_rows(self, name: str, points: Tensor) -> Tensor:
        """Points `(n, d)` with a condition's extras, in the store's dtype on its device."""
        return self._exact_rows(name, points).to(self.device, self.dtype)

    def _exact_rows(self, name: str, points: Tensor) -> Tensor:
        return self.problem.conditions[name].rows(points.to("cpu", torch.float64))

    def _put(self, name: str, rows: Tensor) -> None:
        """Other rows of a condition, in float64 on the CPU."""
        self._exact[name] = rows
        self.rows[name] = rows.to(self.device, self.dtype)
        self._cache = (None, {})


def _check_size(name: str, count: int, dim: int) -> None:
    """Refuses more points than fit: their design, they, their rows with extras, and those that are handed out."""
    check_fits(f"data.points.{name}: {count} points", 4 * 8 * (dim + 1) * count, "cpu", "use fewer")


def _check_saved(problem: Problem, own: Mapping[str, Tensor], state: Mapping[str, Any], weighed: set[str]) -> None:
    """Refuses a checkpoint's points of another problem; warns of data that are not those of the problem by now.

    Args:
        problem: of the run.
        own: its rows without weights.
        state: the checkpoint's, `PointStore.state_dict`.
        weighed: the conditions whose points have weights there.
    """
    saved = _without_weights(state["rows"], weighed)
    widths, others = ({name: rows.shape[-1] for name, rows in every.items()} for every in (own, saved))
    if state["problem"] != problem.name or widths != others:
        raise ConfigurationError(
            f"ckpt_path: the checkpoint holds points of problem {state['problem']} with conditions "
            f"{', '.join(others)}; this run's problem is {problem.name} with {', '.join(widths)}"
        )
    for name in sorted(own.keys() - sampled_conditions(problem)):
        now, then = own[name], saved[name].to("cpu", torch.float64)
        if now.shape != then.shape or bool(((now - then).abs() > _SAME * now.abs().amax(0)).any()):
            rank_zero_warn(
                f"condition {name!r}: brings other points or values than in the checkpoint; the solution is fitted "
                "to those of the checkpoint, for the new ones begin another run"
            )


def _without_weights(rows: Mapping[str, Tensor], weighed: Collection[str]) -> dict[str, Tensor]:
    """Rows without their points' weights."""
    return {name: own[:, :-1] if name in weighed else own for name, own in rows.items()}


def _mean_weight(rows: Tensor, stay: Tensor) -> Tensor:
    """The mean weight of the rows that do not stay; of all when all stay."""
    goes = torch.ones(len(rows), dtype=torch.bool).index_fill_(0, stay, False)
    return (rows[goes] if goes.any() else rows)[:, -1].mean()


def rows_of_all_ranks(
    batch: Mapping[str, Tensor], store: PointStore | None, conditions: Collection[str]
) -> dict[str, int]:
    """How many rows each condition of a batch has over all ranks; no collective.

    Args:
        batch: this rank's rows.
        store: what the batch is from; without one, all ranks are taken to have as many rows as this one.
        conditions: the names of those that a batch must have.

    Raises:
        ConfigurationError: the batch is from a loader of other data than rows of conditions by name.
    """
    if store is not None:
        return store.batch_sizes()
    if not isinstance(batch, Mapping) or set(batch) != set(conditions):
        got = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
        raise ConfigurationError(
            f"data: a batch must hold the points of each condition by name ({', '.join(conditions)}), got {got}; "
            f"{DRAW_POINTS}"
        )
    return {name: distributed.world_size() * len(rows) for name, rows in batch.items()}


def sampled_conditions(problem: Problem) -> list[str]:
    """The names of the conditions whose points are drawn; the others bring their own."""
    return [name for name, condition in problem.conditions.items() if condition.fixed_points() is None]


def probe_rows(problem: Problem, most: int, seed: int) -> dict[str, Tensor]:
    """Rows of every condition to measure on, beside the points that are trained: they depend on nothing but the seed.

    Args:
        problem: the conditions.
        most: rows of each condition: so many of its region, or of the points that a condition brings.
        seed: of the designs.

    Returns:
        `(n, d + k)` for each condition, in float64 on the CPU; see `Condition.rows`.
    """
    found = {}
    for name, condition in problem.conditions.items():
        own = condition.fixed_points()
        if own is None:
            found[name] = condition.rows(condition.some_points(most, seed_for(seed, "probe", name)))
        else:
            rows = condition.rows(own)
            found[name] = rows[torch.linspace(0, len(rows) - 1, min(most, len(rows))).round().long()]
    return found


def _check(problem: Problem, counts: Mapping[str, int], samplers: Mapping[str, Sampler]) -> None:
    for key, names in (("data.points", counts), ("data.samplers", samplers)):
        for name in names:
            if name not in problem.conditions:
                raise unknown(f"condition in {key}", name, problem.conditions)
    for name in problem.energies():
        if isinstance(samplers.get(name), Focused):
            raise ConfigurationError(
                f"data.samplers.{name}: an energy is the mean over uniform points, and Focused gathers them; use Sobol"
            )
    for name in sampled_conditions(problem):
        if counts.get(name, 0) < 1:
            raise ConfigurationError(
                f"data.points.{name}: condition {name!r} needs at least one point, got {counts.get(name, 'none')}; "
                "give each a number, or one number for all"
            )
