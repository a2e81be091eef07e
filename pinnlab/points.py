"""The point store: which collocation points every condition has at the moment, the same on all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab import distributed
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.problems.base import Problem
from pinnlab.samplers import Sampler, seed_for


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
        overlap: the share of a mini-batch's rows that the next one has too, while `overlapping` is set.

    Attributes:
        rows: `(n, d + k)` points and extras of each condition, in `dtype` on `device`.
        full_batch: every step takes all points, whatever `batch_size` says.
        overlapping: successive mini-batches share rows, as multi-batch quasi-Newton methods need.

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
        _check(problem, counts, samplers, batch_size)
        if not 0 < overlap < 1:
            raise ConfigurationError(f"data.overlap: must be above 0 and below 1, got {overlap}")
        self.problem, self.samplers, self.seed = problem, dict(samplers), seed
        self.batch_size, self.dtype, self.device = batch_size, dtype, torch.device(device)
        self.overlap, self.overlapping, self.full_batch = overlap, False, False
        self.version, self.counter, self.cursor = 0, 0, 0
        self.rows: dict[str, Tensor] = {}
        self._exact: dict[str, Tensor] = {}  # the rows in float64 on the CPU, whatever dtype they are handed out in
        self._cache: tuple[Any, dict[str, Tensor]] = (None, {})
        for name, condition in problem.conditions.items():
            own = condition.fixed_points()
            self._put(name, own if own is not None else self.draw(name, counts[name]))

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
        self.counter += 1
        return (sampler or self.samplers[name]).sample(region, count, seed_for(self.seed, name, self.counter))

    def generator(self, purpose: str) -> torch.Generator:
        """A generator for one random decision, the same on all ranks and after a resume."""
        self.counter += 1
        return torch.Generator().manual_seed(seed_for(self.seed, purpose, self.counter))

    def points(self, name: str) -> Tensor:
        """The points `(n, d)` of a condition, of all ranks."""
        return self.rows[name][:, : len(self.problem.coordinates)]

    def replace(self, points: Mapping[str, Tensor]) -> None:
        """Gives conditions new points `(n, d)`: a change of the objective."""
        for name, new in points.items():
            self._put(name, new)
        self.version += 1

    def redraw(self, counts: int | Mapping[str, int]) -> None:
        """Gives conditions other numbers of points, drawn anew from their designs: a change of the objective.

        Args:
            counts: how many each condition gets; one number is for all that do not bring their own.
        """
        wanted = dict.fromkeys(sampled_conditions(self.problem), counts) if isinstance(counts, int) else counts
        self.replace({name: self.draw(name, count) for name, count in wanted.items()})

    def to(self, dtype: torch.dtype) -> None:
        """Hands out the same points in another precision: rounded to float32, and exactly as drawn in float64."""
        self.dtype = dtype
        self.rows = {name: rows.to(self.device, dtype) for name, rows in self._exact.items()}
        self._cache = (None, {})

    def batch(self) -> dict[str, Tensor]:
        """This rank's share of the next step's rows, by condition."""
        if self.batch_size is None or self.full_batch:
            if self._cache[0] != self.version:
                shares = {name: distributed.shard(rows).contiguous() for name, rows in self.rows.items()}
                self._cache = (self.version, shares)
            return dict(self._cache[1])
        self.cursor += 1
        return {name: distributed.shard(self._mini_batch(name, rows)) for name, rows in self.rows.items()}

    def shared(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
        """The rows of the present batch that its neighbours have too.

        Args:
            batch: what the last call of `batch` returned: this rank's share.

        Returns:
            This rank's share of the rows shared with the batch before, and of those shared with the batch after;
            None when all batches are alike, because none of the conditions has more rows than `batch_size`.
        """
        sizes = {name: self._size(rows) for name, rows in self.rows.items()}
        if not self.overlapping or all(size == len(self.rows[name]) for name, size in sizes.items()):
            return None
        before, after = {}, {}
        for name, part in batch.items():
            size = sizes[name]
            common = size if size == len(self.rows[name]) else self._common(size)
            before[name] = part[: distributed.shard_size(common)]
            after[name] = part[distributed.shard_size(size - common) :]
        return before, after

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on; tensors and primitives."""
        return {
            "problem": self.problem.name,
            "rows": {name: rows.clone() for name, rows in self._exact.items()},
            "version": self.version,
            "counter": self.counter,
            "cursor": self.cursor,
            "seed": self.seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from `state_dict`.

        Raises:
            ConfigurationError: the points belong to another problem.
        """
        shapes = {name: rows.shape[-1] for name, rows in state["rows"].items()}
        if state["problem"] != self.problem.name or shapes != {n: r.shape[-1] for n, r in self.rows.items()}:
            raise ConfigurationError(
                f"ckpt_path: the checkpoint holds points of problem {state['problem']} with conditions "
                f"{', '.join(shapes)}; this run's problem is {self.problem.name} with {', '.join(self.rows)}"
            )
        self._exact = {name: rows.to("cpu", torch.float64, copy=True) for name, rows in state["rows"].items()}
        self.to(self.dtype)
        self.version, self.counter, self.cursor = state["version"], state["counter"], state["cursor"]
        self.seed = state["seed"]

    def as_rows(self, name: str, points: Tensor) -> Tensor:
        """Points `(n, d)` with a condition's extras, in the store's dtype on its device."""
        return self._exact_rows(name, points).to(self.device, self.dtype)

    def _exact_rows(self, name: str, points: Tensor) -> Tensor:
        return self.problem.conditions[name].rows(points.to("cpu", torch.float64))

    def _put(self, name: str, points: Tensor) -> None:
        self._exact[name] = self._exact_rows(name, points)
        self.rows[name] = self._exact[name].to(self.device, self.dtype)

    def _size(self, rows: Tensor) -> int:
        """How many rows of a condition a batch takes."""
        return len(rows) if self.batch_size is None or self.full_batch else min(self.batch_size, len(rows))

    def _common(self, size: int) -> int:
        """How many of a mini-batch's rows the next one has too: at least one, and not all."""
        return min(max(round(self.overlap * size), 1), size - 1)

    def _mini_batch(self, name: str, rows: Tensor) -> Tensor:
        """The next slice of a pass over shuffled rows; every pass has its own permutation."""
        size = self._size(rows)
        if size == len(rows):
            return rows
        if self.overlapping:
            return rows[self._window(name, len(rows), size).to(rows.device)]
        number, slot = divmod(self.cursor - 1, len(rows) // size)
        return rows[self._permutation(name, number)[slot * size : (slot + 1) * size].to(rows.device)]

    def _window(self, name: str, total: int, size: int) -> Tensor:
        """The next window over the endless stream of one permutation of all rows after the other.

        Every window begins with the last rows of the one before, also where a pass ends and the next one begins:
        there is no step without an overlap. A window across that border may have a row twice.
        """
        start = (self.cursor - 1) * (size - self._common(size))
        passes = range(start // total, (start + size - 1) // total + 1)
        stream = torch.cat([self._permutation(name, number) for number in passes])
        return stream[start % total :][:size]

    def _permutation(self, name: str, number: int) -> Tensor:
        seed = seed_for(self.seed, "pass", name, self.version, number)
        return torch.randperm(len(self.rows[name]), generator=torch.Generator().manual_seed(seed))


def sampled_conditions(problem: Problem) -> list[str]:
    """The names of the conditions whose points are drawn; the others bring their own."""
    return [name for name, condition in problem.conditions.items() if condition.fixed_points() is None]


def _check(
    problem: Problem, counts: Mapping[str, int], samplers: Mapping[str, Sampler], batch_size: int | None
) -> None:
    for key, names in (("data.points", counts), ("data.samplers", samplers)):
        for name in names:
            if name not in problem.conditions:
                raise unknown(f"condition in {key}", name, problem.conditions)
    for name in sampled_conditions(problem):
        if counts.get(name, 0) < 1:
            raise ConfigurationError(
                f"data.points.{name}: condition {name!r} needs at least one point, got {counts.get(name, 0)}"
            )
    if batch_size is not None and batch_size < 1:
        raise ConfigurationError(f"data.batch_size: must be at least 1, got {batch_size}; leave it out for all points")
