"""Mini-batches that grow: cheap steps first, all points at last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

from pinnlab.errors import ConfigurationError, check_whole, in_short
from pinnlab.training.batch_growth import CHUNKS, GrowthRule, gradient_noise, rung
from pinnlab.training.point_store import PointStore
from pinnlab.training.trainer_parts import needed_store


class BatchGrowth(L.Callback):
    """Lets mini-batches grow between steps, from `rule.first` up to the full set.

    For phases with first-order optimizers and `MultiBatchLBFGS`; other closure optimizers get all points anyway, and
    their steps do not count. A new size begins a new pass over the points. It is no change of the objective, so the
    optimizer keeps its moments. The size is saved with the points: a resumed run goes on with it, and a return to the
    phase before takes it back.

    Progress is then better read from `training/points_seen` than from steps; see also `EvaluationBudget`.

    Args:
        rule: the sizes: `Geometric`, `Linear` or `NormTest`; see `pinnlab.training.batch_growth`.
        every: optimizer steps between two changes, or tests. 100 is several passes over the points while batches are
            small, and makes tests cheap.
        until: the size at which growth ends; default: all points of the largest condition.

    Raises:
        ConfigurationError: `rule` is none, `every` is below 1, `until` is below the first size, `data.batch_size` is
            given as well, or there is no point store.
    """

    def __init__(self, rule: GrowthRule, every: int = 100, until: int | None = None) -> None:
        if not isinstance(rule, GrowthRule):
            raise ConfigurationError(f"BatchGrowth.rule: must be a rule such as Geometric(128), got {in_short(rule)}")
        check_whole("BatchGrowth", least=1, every=every, **({} if until is None else {"until": until}))
        if until is not None and until < rule.first:
            raise ConfigurationError(f"BatchGrowth.until: must be at least rule.first ({rule.first}), got {until}")
        self.rule, self.every, self.until = rule, every, until
        self._start_over()

    def _start_over(self) -> None:
        self._begun, self._last, self._asked = False, 0, 0
        self._sampled: dict[str, int] = {}

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks the data module, and starts with nothing."""
        if stage != "fit":
            return
        self._store(pl_module)
        given: int | None = trainer.datamodule.batch_size  # type: ignore[attr-defined]
        if given is not None:
            raise ConfigurationError(
                f"data.batch_size: {given} is given; leave it out, BatchGrowth begins at rule.first"
            )
        self._start_over()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """The first size, unless a checkpoint has brought a later one."""
        if not self._begun:
            self._begun, self._last = True, trainer.global_step
            self._store(pl_module).resize_batches(self.rule.first)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Notes of which conditions the step's batch has a part only: points may change before it is judged."""
        store = self._store(pl_module)
        self._sampled = {name: size for name, size in store.batch_sizes().items() if size < len(store.rows[name])}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Asks the rule when enough steps on mini-batches have passed."""
        store = self._store(pl_module)
        size = store.batches.size
        if size is None or (self.until is not None and size >= self.until):
            return
        if store.batches.full:
            self._last = trainer.global_step
        if trainer.global_step - self._last < self.every:
            return
        self._last, self._asked = trainer.global_step, self._asked + 1
        wanted = self.rule.wanted(size, self._asked, lambda: _noise(pl_module, batch, self._sampled))
        most = self.until or max(map(len, store.rows.values()))
        new = rung(self.rule.first, wanted, most)
        if new > size:
            store.resize_batches(new)

    def state_dict(self) -> dict[str, Any]:
        """When and how often the rule was asked; the size is in the point store's state."""
        return {"last": self._last, "asked": self._asked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self._begun, self._last, self._asked = True, state_dict["last"], state_dict["asked"]

    def _store(self, pl_module: Any) -> PointStore:
        return needed_store(pl_module, type(self).__name__)


def _noise(module: Any, batch: Any, sampled: Mapping[str, int]) -> float:
    """The noise of the last step's batch at the present parameters; counts as an evaluation.

    Args:
        module: the `PINN`.
        batch: this rank's rows.
        sampled: the conditions of which it has a part only, and how many rows of each, of all ranks.
    """
    if not sampled:
        return 0.0
    module.evaluations += 1
    chunks = min(CHUNKS, *sampled.values())
    system, tensors = module.system, module.trial.tensors()
    return gradient_noise(system.weighted_loss, tensors, module.loss_weights, batch, sampled, chunks)
