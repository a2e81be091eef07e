"""Trains a problem in windows of time, one after the other, as one run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from pinnlab.analysis.metrics import mean_ratio_of_norms
from pinnlab.errors import ConfigurationError, StopReason, unknown
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.problems.window import check_later
from pinnlab.reporting.log_steps import draws
from pinnlab.solution import Solution
from pinnlab.training.checkpoint_io import read_checkpoint, refusal
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.evaluation import measure_errors, measure_squares
from pinnlab.training.history import Counts
from pinnlab.training.march import March
from pinnlab.training.module import PINN
from pinnlab.training.phase_end import FROM_OUTSIDE
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import any_says, callbacks_of, warnings_of
from pinnlab.training.windows import (
    chain,
    data_in,
    edges_in,
    go_on_from,
    in_last,
    march_state,
    may_halve,
    module_in,
    own_state,
    pieced,
    pieced_of,
)

OF_THE_RUN = (
    *FROM_OUTSIDE,
    *(reason.value for reason in (StopReason.DIVERGED, StopReason.NOT_FINITE, StopReason.INTERRUPTED)),
)
"""What ends not only a window, but the run."""


class Marching(L.Callback):
    """Where a run in windows stands: what its checkpoints and its summary hold beside those of one training.

    Ends a window's training when its held-out residual is within the tolerance. The look at it is a part of training,
    not of a validation, so that a resumed run ends where the uninterrupted one does.

    Args:
        plan: the windows.
        module: on the whole problem.
        edges: where windows begin and end, as they stand.

    Attributes:
        window: the number of the present one, from 0.
        records: of the windows that were trained: low, high, steps, evaluations, seconds, loss, residual, errors up to
            its end, why it ended, and whether it was kept.
        done: the frozen solutions of the windows before the present one.
        residual: the held-out residual at the end of the last training; NaN where nothing is held out.
        goes_on: whether the run goes on behind the training that has just ended.
    """

    def __init__(self, plan: March, module: PINN, edges: Sequence[float]) -> None:
        self.plan, self.edges, self.window = plan, list(edges), 0
        self.records: list[dict[str, Any]] = []
        self.done: list[Trial] = []
        self.residual, self.goes_on, self.halves = float("nan"), False, False
        self._whole, self._begun = module, Counts()
        self._held_out: dict[str, Tensor] = {}
        self._errors: dict[str, float] = {}
        self._view: tuple[PINN, CollocationDataModule] | None = None

    def begin(self, window: int, counted: Counts) -> None:
        """A window's training begins."""
        self.window, self._begun = window, counted
        self.goes_on = self.halves = False
        self._view = None

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws the held-out points, once for each window."""
        self._held_out = trainer.datamodule.held_out_rows()  # type: ignore[attr-defined]
        low, high = self.edges[self.window : self.window + 2]
        coordinate = self.plan.coordinate
        pl_module.print(f"window {self.window + 1} of {len(self.edges) - 1}: {coordinate} from {low:g} to {high:g}")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Ends the window's training when the residual is small; a collective."""
        tolerance, made = self.plan.tolerance, trainer.global_step - self._begun.steps
        phases = phases_of(trainer)
        if tolerance is None or phases.finished or made % self.plan.every or pl_module.fault is not None:
            return
        residual = self._measured(pl_module)
        if residual <= tolerance:
            phases.stop(trainer, StopReason.TOLERANCE, f"{residual:.2e}")

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures the window, and decides what comes next; a collective."""
        phases = phases_of(trainer)
        over = phases.finished and phases.history.present.stopped not in OF_THE_RUN and not _cut_short(trainer)
        self.residual, low, high = self._measured(pl_module), *self.edges[self.window : self.window + 2]
        missed = self.plan.tolerance is not None and not self.residual <= self.plan.tolerance
        self.halves = over and missed and may_halve(self.plan, self._whole.problem, low, high)
        self.goes_on = over and (self.halves or self.window + 2 < len(self.edges))
        self._record(trainer, pl_module, low, high)
        self._errors = self.records[-1]["relative_l2"]
        if not self.goes_on:
            whole, data = self.whole(trainer, pl_module)
            self._errors = measure_errors(whole, data)
        errors = ", ".join(f"{name} {error:.2e}" for name, error in self.records[-1]["relative_l2"].items())
        pl_module.print(
            f"window {self.window + 1}: held-out residual {self.residual:.2e}"
            + (f"; relative L2 error up to {high:g}: {errors}" if errors else "")
            + ("; it is halved" if self.halves else "")
        )
        if over and missed and not self.halves:
            warnings.warn(
                f"window {low:g} to {high:g}: the held-out residual is {self.residual:.2e}, above the tolerance; what "
                "follows goes on from it",
                stacklevel=2,
            )

    def add_to_summary(self, summary: dict[str, Any]) -> None:
        """What all windows were and came to, in place of the last one alone."""
        kept = [record for record in self.records if record["kept"]]
        own = ("phases", "decisions", "warnings", "begun", "squares")
        summary |= {
            "relative_l2": self._errors if kept else {},
            "seconds": sum(record["seconds"] for record in self.records),
            "phases": [phase for record in self.records for phase in record["phases"]],
            "decisions": [decision for record in self.records for decision in record["decisions"]],
            "warnings": [line for record in self.records for line in record["warnings"]],
            "windows": [{key: value for key, value in r.items() if key not in own} for r in self.records],
        }
        if self.window + 2 < len(self.edges) or self.halves:
            summary["up_to"] = {self.plan.coordinate: self.edges[self.window + 1]}

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the windows, with the states of those before the present one. Tensors and primitives only."""
        checkpoint["pinnlab_march"] = {
            "coordinate": self.plan.coordinate,
            "edges": list(self.edges),
            "planned": edges_in(self.plan, self._whole.problem),
            "window": self.window,
            "counted": asdict(self._begun),
            "records": [dict(record) for record in self.records],
            "before": [own_state(trial) for trial in self.done],
            "recipe": self._whole.recipe,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continues where a checkpoint left off.

        Raises:
            ConfigurationError: its windows are cut along another coordinate, or elsewhere.
        """
        state, planned = march_state(saved), edges_in(self.plan, self._whole.problem)
        before = state.get("planned", planned)
        if (state["coordinate"], before) != (self.plan.coordinate, planned) or not set(planned) <= set(state["edges"]):
            raise refusal(
                saved,
                f"has windows of {state['coordinate']} at {state['edges']}, this run has them at {planned}; use the "
                "same march",
            )
        self.edges[:], self.records = state["edges"], [dict(record) for record in state["records"]]
        self.begin(state["window"], Counts(**state["counted"]))

    def whole(self, trainer: Any, module: PINN) -> tuple[PINN, CollocationDataModule]:
        """All windows up to the present one, at the end of its training, as one module, and points to look at it."""
        if self._view is None:
            found = pieced(self._whole, [*self.done, module.trial], self.plan.coordinate, self.edges)
            self._view = found, data_in(trainer.datamodule, found.problem)
        return self._view

    def _measured(self, module: Any) -> float:
        """The root of the held-out mean square in the worst condition; NaN where nothing is held out. A collective."""
        with torch.no_grad():
            squares = module.mean_squares(self._held_out)
        return float(torch.stack(list(squares.values())).amax().sqrt()) if squares else float("nan")

    def _record(self, trainer: L.Trainer, module: Any, low: float, high: float) -> None:
        phases = phases_of(trainer)
        if self.records and self.records[-1]["begun"] == self._begun.steps:
            self.records.pop()  # the run was resumed at its end
        self.records.append(
            {
                "low": low,
                "high": high,
                "steps": trainer.global_step - self._begun.steps,
                "evaluations": module.evaluations - self._begun.evaluations,
                "seconds": sum(phase["seconds"] for phase in phases.summary()),
                "loss": phases.history.present.loss,
                "stopped": phases.history.present.stopped,
                "residual": self.residual,
                "squares": measure_squares(module, trainer.datamodule),  # type: ignore[attr-defined]
                "kept": not self.halves,
                "begun": self._begun.steps,
                "phases": phases.summary(),
                "decisions": [asdict(decision) for decision in phases.decisions],
                "warnings": [f"window {low:g} to {high:g}: {line}" for line in warnings_of(trainer)],
            }
        )
        before = [record for record in self.records[:-1] if record["kept"]]
        self.records[-1]["relative_l2"] = error_over([*before, self.records[-1]])


def _cut_short(trainer: Any) -> bool:
    """Whether a signal came, or the trainer's limit is reached, at the very end of a window."""
    return any_says(trainer, "interrupted") or 0 <= trainer.max_steps <= trainer.global_step


def windows_left(trainer: L.Trainer) -> int:
    """How many windows come behind the present one; 0 in a run without windows."""
    marching = _marching(trainer)
    return 0 if marching is None else len(marching.edges) - 2 - marching.window


def draws_window(trainer: L.Trainer) -> bool:
    """Whether figures are drawn of the present window: not of all, which may take longer than to solve for them."""
    marching = _marching(trainer)
    return marching is None or windows_left(trainer) == 0 or draws(marching.window + 1)


def all_windows(trainer: L.Trainer, module: PINN) -> tuple[PINN, CollocationDataModule] | None:
    """At the end of a run in windows all of them as one module, and its points; None in a run without windows."""
    marching = _marching(trainer)
    return None if marching is None else marching.whole(trainer, module)


def _marching(trainer: L.Trainer) -> Marching | None:
    return next(iter(callbacks_of(trainer, Marching)), None)


def error_over(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The relative L2 error of each unknown over some windows, from their mean squares; of an operator the mean error.

    Each window is measured once, at as many points as the others, and counts by its length.
    """
    found = {}
    for name in {name: None for record in records for name in record["squares"]}:
        own = [
            (r["high"] - r["low"]) * torch.tensor(r["squares"][name], dtype=torch.float64).reshape(2, -1)
            for r in records
            if name in r["squares"]
        ]
        error, size = torch.stack(own).sum(0)
        length = sum(r["high"] - r["low"] for r in records if name in r["squares"])
        found[name] = float(mean_ratio_of_norms(error, size, torch.where((error > 0) | (size > 0), length, 0.0)))
    return found


def train_windows(
    module: PINN,
    data: CollocationDataModule,
    trainer: L.Trainer,
    plan: March,
    ckpt_path: str | None = None,
) -> PINN:
    """Trains window after window, with one trainer: one folder, one count of steps, one checkpoint.

    Args:
        module: on the whole problem; each window gets one that is built like it.
        data: its points, likewise.
        trainer: of all windows.
        plan: the windows.
        ckpt_path: of a run in windows that is to go on.

    Returns:
        All that was trained, as one module; its problem ends where the last trained window does.

    Raises:
        ConfigurationError: the problem cannot be cut into these windows, or the checkpoint is of others.
    """
    marching = Marching(plan, module, edges_in(plan, module.problem))
    _check(plan, module, data)
    check_later(module.problem, plan.coordinate, marching.edges, module.trial.frozen())
    others = [callback for callback in trainer.callbacks if not isinstance(callback, Checkpoint)]  # type: ignore[attr-defined]
    trainer.callbacks.insert(len(others), marching)  # type: ignore[attr-defined]
    before, counted, k = None, Counts(), 0
    if ckpt_path is not None:
        saved = read_checkpoint(ckpt_path)
        marching.restore(saved)
        state = march_state(saved)
        k, counted = state["window"], Counts(**state["counted"])
        *marching.done, _ = chain(module, saved)
        before = marching.done[-1] if k else None
    try:
        while True:
            current = module_in(module, plan.coordinate, marching.edges, k, before)
            current.counted_before = counted
            if before is not None and plan.start == "previous":
                go_on_from(current, before, plan.noise)
            marching.begin(k, counted)
            trainer.fit(current, datamodule=data_in(data, current.problem), ckpt_path=ckpt_path)
            ckpt_path = None
            if not marching.goes_on:
                return pieced(module, [*marching.done, current.trial], plan.coordinate, marching.edges)
            seconds = sum(record["seconds"] for record in marching.records)
            counted = Counts(trainer.global_step, current.evaluations, current.points_seen, seconds)
            if marching.halves:
                low, high = marching.edges[k : k + 2]
                marching.edges.insert(k + 1, (low + high) / 2)
            else:
                before, k = current.trial.frozen(), k + 1
                marching.done.append(before)
    finally:
        trainer.callbacks.remove(marching)  # type: ignore[attr-defined]


def restored(module: PINN, data: CollocationDataModule, path: str) -> tuple[PINN, CollocationDataModule]:
    """What a run in windows has come to, and points to measure it at.

    Args:
        module: on the whole problem, as the run was begun with.
        data: likewise.
        path: of the run's checkpoint.
    """
    saved = read_checkpoint(path)
    whole = pieced_of(module, saved)
    return whole, data_in(data, whole.problem)


def last_window(module: PINN, data: CollocationDataModule, path: str) -> tuple[PINN, CollocationDataModule]:
    """Module and points of the window that a run was in when it wrote a checkpoint, which is still to be loaded."""
    saved = read_checkpoint(path)
    window = in_last(module, march_state(saved), chain(module, saved))
    return window, data_in(data, window.problem)


def _check(plan: March, module: PINN, data: CollocationDataModule) -> None:
    if plan.tolerance is not None and data.held_out == 0:
        raise ConfigurationError("march.tolerance: needs points to look at; set data.held_out")
    if plan.start == "fresh" and isinstance(module.constructed_with.get("network"), torch.nn.Module):
        raise ConfigurationError("march.start: a network given as an object cannot begin anew; give what builds one")


def _is_list(windows: Any) -> bool:
    return isinstance(windows, (Sequence, np.ndarray, torch.Tensor)) and not isinstance(windows, str)


def march(
    problem: Problem,
    windows: int | Sequence[float] | None = None,
    edges: Sequence[float] | None = None,
    coordinate: str = "t",
    *,
    model: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    trainer: L.Trainer | None = None,
    ckpt_path: str | None = None,
    **options: Any,
) -> Solution:
    """Solves a problem in windows of time, one after the other, each by a network of its own.

    Initial values of a window, and velocities where the equation is of second order in time, come from the network of
    the window before. Inputs are scaled to each window.

    Args:
        problem: what to solve.
        windows: how many of equal length, or their edges. Default: 6, unless there are edges.
        edges: in their place, where windows begin and end: a list, or an array of NumPy or torch.
        coordinate: that is cut.
        model: arguments of `PINN` beside the problem: network, phases and so on.
        data: arguments of `CollocationDataModule` beside the problem.
        trainer: of all windows. Default: a plain one, without files.
        ckpt_path: of a run in windows that is to go on.
        **options: further ones of `March`: tolerance, every, halvings, start, noise.

    Returns:
        One solution for all windows.

    Raises:
        ConfigurationError: an option is out of its range, or the problem cannot be cut into these windows.
    """
    for name in options:
        if name not in March.__dataclass_fields__:
            raise unknown("option of march", name, March.__dataclass_fields__)
    count, given = (None, windows) if _is_list(windows) and edges is None else (windows, edges)
    listed: Any = given.tolist() if isinstance(given, (torch.Tensor, np.ndarray)) else given
    plan = March(cast("int | None", count), list(listed) if _is_list(listed) else listed, coordinate, **options)
    module, points = PINN(problem, **(model or {})), CollocationDataModule(problem, **(data or {}))
    if trainer is None:  # made after the module, which keeps its advertisements away
        trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    return train_windows(module, points, trainer, plan, ckpt_path).solution()
