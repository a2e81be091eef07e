"""Collocation points as a `LightningDataModule`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_by_name, check_real, check_seed, check_whole
from pinnlab.numerics import distributed
from pinnlab.numerics.memory import check_fits
from pinnlab.problems.base import Exact, Problem, check_problem, known_solution
from pinnlab.samplers import Sampler, Sobol, seed_for
from pinnlab.samplers.sequences import few_points
from pinnlab.training.description import KeepsArguments
from pinnlab.training.hparams import describe
from pinnlab.training.point_store import PointStore, sampled_conditions
from pinnlab.training.seeds import chosen_seed
from pinnlab.training.wording import counts_in_words, in_one


class PointLoader:
    """Yields the store's next batch, one dict per optimizer step.

    A sized plain iterable rather than a `DataLoader`: there is nothing to collate, and Lightning prefetches
    from loaders without a length, which would hand out new points one step late.
    """

    def __init__(self, store: PointStore, steps: int) -> None:
        self._store, self._steps = store, steps

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(self._steps):
            yield self._store.batch()


Placement = tuple[torch.dtype, torch.device]


class _OneBatch:
    """A loader of a single batch, built anew when it would be another one: Lightning keeps loaders.

    Args:
        build: makes the batch in a dtype on a device.
        placement: the module's dtype and device at the moment.
        edition: of the problem; another number means that it was changed.
    """

    def __init__(
        self,
        build: Callable[[Placement], dict[str, Any]],
        placement: Callable[[], Placement],
        edition: Callable[[], int],
    ) -> None:
        self._build, self._placement, self._edition = build, placement, edition
        self._built: tuple[tuple[Placement, int], dict[str, Any]] | None = None

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        key = self._placement(), self._edition()
        if self._built is None or self._built[0] != key:
            self._built = key, self._build(key[0])
        yield self._built[1]


class CollocationDataModule(KeepsArguments, L.LightningDataModule):
    """Collocation points for a problem, sampled when training starts.

    Args:
        problem: gives conditions and regions.
        points: points per condition: one number for all, or one for each by name.
        sampler: the design of all conditions without one of their own. Sobol' by default: more even than random
            points at the same cost.
        samplers: designs of single conditions by name.
        batch_size: points of a condition per step; None (the default) takes all, as quasi-Newton methods need.
        held_out: points per condition on which the residual is checked at validation but never trained; a
            residual much larger there than on the training points means that there are too few of those.
        evaluation_points: size of the grid on which errors are measured.
        steps_per_epoch: how many optimizer steps Lightning calls an epoch; it has no other meaning here.
        seed: of all draws of points. Default: that of `lightning.seed_everything`, or else 0.
        overlap: the share of a mini-batch's rows that the next one has too. Only in phases whose optimizer asks for it
            (`MultiBatchLBFGS`); elsewhere mini-batches of a pass have no row in common. A quarter is enough for the
            curvature pairs; more makes every step advance over fewer new rows.

    Raises:
        ConfigurationError: at set-up, when a count does not fit the problem.
    """

    def __init__(
        self,
        problem: Problem,
        points: int | dict[str, int] = 1000,
        sampler: Sampler | None = None,
        samplers: dict[str, Sampler] | None = None,
        batch_size: int | None = None,
        held_out: int = 1000,
        evaluation_points: int = 20_000,
        steps_per_epoch: int = 1000,
        seed: int | None = None,
        overlap: float = 0.25,
    ) -> None:
        super().__init__()
        seed = chosen_seed(seed)
        check_whole("data", least=0, held_out=held_out)
        check_whole("data", least=1, evaluation_points=evaluation_points, steps_per_epoch=steps_per_epoch)
        check_by_name("data.samplers", samplers or {}, "{'pde': Sobol()}")
        _check_arguments(problem, points, {"sampler": sampler or Sobol(), **(samplers or {})}, seed)
        if batch_size is not None:
            check_whole("data", batch_size=batch_size)
        check_real("data", overlap=overlap)
        self.problem = problem
        self.held_out, self.evaluation_points, self.seed = held_out, evaluation_points, seed
        self.steps_per_epoch = steps_per_epoch
        self.batch_size, self.overlap = batch_size, overlap
        names = sampled_conditions(problem)
        self.counts = dict.fromkeys(names, points) if isinstance(points, int) else dict(points)
        self.samplers = {**dict.fromkeys(names, sampler or Sobol()), **(samplers or {})}
        designs = {name: repr(design) for name, design in self.samplers.items()}
        words = {"points": counts_in_words(self.counts), "batch_size": batch_size or "all", "sampler": in_one(designs)}
        describe(self, words)
        self._store: PointStore | None = None
        self._evaluation: tuple[Tensor, Tensor | None] | None = None
        self._edition = 0  # of the problem, see `forget_reference`

    def __str__(self) -> str:
        """The problem and the points of each condition; Lightning's own text needs `DataLoader`s."""
        counts = ", ".join(f"{name}: {count}" for name, count in self.counts.items())
        return f"{type(self).__name__}({self.problem.name}, points={{{counts}}}, batch_size={self.batch_size})"

    __repr__ = __str__

    @property
    def store(self) -> PointStore:
        """The points as they stand; there once `setup` ran.

        Raises:
            ConfigurationError: before `setup`.
        """
        if self._store is None:
            raise ConfigurationError("data: the points exist once training or validation has started")
        return self._store

    def setup(self, stage: str | None = None) -> None:
        """Draws the points, in the module's dtype on its device; another run has those that are there, on its own.

        A reference that is a formula is tried at once: what is wrong with it should not come out after hours.
        """
        if isinstance(self.problem.reference(), Exact):
            self.evaluation_set()
        if self._store is None:
            dtype, device = self._placement()
            self._store = PointStore(
                self.problem, self.counts, self.samplers, self.seed, self.batch_size, dtype, device, self.overlap
            )
        elif stage == "fit":
            self._store.to(*self._placement())
            self._store.start_over(self.batch_size)

    def train_dataloader(self) -> PointLoader:
        """One dict per step: for each condition its rows."""
        return PointLoader(self.store, self.steps_per_epoch)

    def val_dataloader(self) -> _OneBatch:
        """One batch: this rank's share of the evaluation points, the reference there, and held-out rows."""
        return self._one_batch(self._validation_batch)

    def test_dataloader(self) -> _OneBatch:
        """The same as for validation."""
        return self.val_dataloader()

    def predict_dataloader(self) -> _OneBatch:
        """One batch: the evaluation points, all of them on every rank."""
        return self._one_batch(self._prediction_batch)

    def state_dict(self) -> dict[str, Any]:
        """The points, for a checkpoint."""
        return self.store.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues with a checkpoint's points."""
        self.store.load_state_dict(state_dict)

    def _one_batch(self, build: Callable[[Placement], dict[str, Any]]) -> _OneBatch:
        return _OneBatch(build, self._placement, lambda: self._edition)

    def _placement(self) -> Placement:
        if self.trainer is None:
            return torch.float64, torch.device("cpu")
        module = self.trainer.lightning_module
        dtype = module.dtype if isinstance(module.dtype, torch.dtype) else torch.float64
        return dtype, self.trainer.strategy.root_device

    def forget_reference(self) -> None:
        """The problem has changed: the reference is computed anew when it is asked for next."""
        self._evaluation = None
        self._edition += 1

    def evaluation_set(self) -> tuple[Tensor, Tensor | None]:
        """The evaluation points `(n, d)` and the reference there `(n, m)`, if any; all of them, on the CPU.

        With a reference only those points at which it is known.

        Raises:
            ConfigurationError: it is known at none of them, or is not finite at one.
        """
        if self._evaluation is None:
            numbers = 4 * (len(self.problem.coordinates) + len(self.problem.unknowns))  # twice, and errors of both
            count = self.problem.evaluation_count(self.evaluation_points)
            key = f"data.evaluation_points: a grid of {self.evaluation_points} points"
            check_fits(key, 8 * numbers * count, "cpu", "use fewer")
            self._evaluation = known_solution(self.problem, self.problem.evaluation_points(self.evaluation_points))
        return self._evaluation

    def held_out_rows(self, placement: Placement | None = None) -> dict[str, Tensor]:
        """This rank's share of the rows of each condition that are never trained.

        Args:
            placement: dtype and device; default: the module's.
        """
        dtype, device = placement or self._placement()
        rows = {}
        for name, condition in self.problem.conditions.items():
            if condition.region is not None and self.held_out:
                seed = seed_for(self.seed, "held out", name)
                points = few_points(condition.region, self.held_out, seed)
                rows[name] = distributed.shard(condition.rows(points)).to(device, dtype)
        return rows

    def _validation_batch(self, placement: Placement) -> dict[str, Any]:
        return {**self._evaluation_share(placement), "held_out": self.held_out_rows(placement)}

    def _prediction_batch(self, placement: Placement) -> dict[str, Any]:
        dtype, device = placement
        return {"points": self.problem.evaluation_points(self.evaluation_points).to(device, dtype)}

    def _evaluation_share(self, placement: Placement) -> dict[str, Tensor]:
        dtype, device = placement
        points, reference = self.evaluation_set()
        rows = distributed.shard(torch.arange(len(points)))
        batch = {"points": distributed.shard(points).to(device, dtype), "rows": rows.to(device)}
        return batch if reference is None else {**batch, "reference": distributed.shard(reference).to(device)}


def _check_arguments(problem: Any, points: Any, samplers: Mapping[str, Any], seed: Any) -> None:
    """Refuses what is of another kind, before it is asked for anything."""
    check_problem("data.problem", problem)
    counts = {f"points.{name}": n for name, n in points.items()} if isinstance(points, Mapping) else {"points": points}
    check_whole("data", **counts)
    check_seed("data", seed)
    for name, sampler in samplers.items():
        if not isinstance(sampler, Sampler):
            key = name if name == "sampler" else f"samplers.{name}"
            raise ConfigurationError(f"data.{key}: must be a Sampler such as Sobol(), got {type(sampler).__name__}")
