"""The beginning of a run in four lines; its end in a short table, and in `summary.json` in the run's folder."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from pinnlab.errors import RankError, reason_of
from pinnlab.numerics import distributed
from pinnlab.problems.coefficients import by_number
from pinnlab.reporting.files import free_path, write_json
from pinnlab.reporting.histories import errors_in_words, how_far
from pinnlab.reporting.loggers import run_folder
from pinnlab.training.coefficient_errors import coefficient_errors
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import any_says, callbacks_of, data_of, point_store, warnings_of
from pinnlab.training.wording import start_lines

LISTED = 12
"""Phases or windows that the table has rows for; of more it has those of both ends, and the others in one."""


class RunSummary(L.Callback):
    """Prints what a run is about when it begins, and what it reached; writes that to `summary.json` beside the logs.

    Without a logger there is no run folder, and nothing is written. Nothing is said either while a callback says that
    the run `goes_on` behind the end of this training, as in windows of time. One with a method
    `add_to_summary(summary)` may change what is written.

    Args:
        recipe: the name to give the run; default: the problem's.

    Attributes:
        result: what was written, once training has ended.
        failed: the file, if it could not be written; on rank zero.
        warnings: what could not be measured, and why.
    """

    def __init__(self, recipe: str | None = None) -> None:
        self.recipe = recipe
        self.result: dict[str, Any] = {}
        self.failed: Path | None = None
        self.warnings: list[str] = []

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Goes behind all others, wherever it was listed: what they say at the end belongs in the summary."""
        trainer.callbacks = [*(c for c in trainer.callbacks if c is not self), self]  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Says what is about to be trained, before anything is compiled; once in a run of several windows of time."""
        store = point_store(pl_module)
        if trainer.is_global_zero and pl_module.counted_before.steps == 0:
            points = {} if store is None else store.counts()
            print(*start_lines(pl_module, points), sep="\n", flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures the error of the final weights, prints and writes."""
        self.result = summary = self.summarise(trainer, pl_module)
        folder = run_folder(trainer)  # a collective, so not in the rank-zero part
        if not any_says(trainer, "goes_on"):
            self._report(summary, folder)

    def summarise(self, trainer: L.Trainer, pl_module: Any) -> dict[str, Any]:
        """Everything about the run in primitives. A collective: all ranks call it."""
        phases = phases_of(trainer)
        records = phases.summary()
        store = point_store(pl_module)
        self.warnings = []
        errors = self._measured("± for the coefficients", lambda: coefficient_errors(pl_module))
        summary: dict[str, Any] = {
            "recipe": self.recipe or pl_module.problem.name,
            "problem": pl_module.problem.name,
            "relative_l2": pl_module.measure_errors(data_of(pl_module)),
            "reference_accuracy": getattr(pl_module.problem.reference(), "accuracy", None),
            "loss": pl_module.current_loss(),
            "seconds": sum(record["seconds"] for record in records),
            "steps": trainer.global_step - phases.history.first_step + pl_module.counted_before.steps,
            "evaluations": pl_module.evaluations,
            "points_seen": pl_module.points_seen,
            "compilation": pl_module.objective.compilation(),
            "phases": records,
            "decisions": [asdict(decision) for decision in phases.decisions],
            "warnings": warnings_of(trainer),
            "points": {} if store is None else store.counts(),
            "coefficients": by_number(pl_module.system.coefficient_values()),
            "standard_errors": errors,
            "parameters": sum(p.numel() for p in pl_module.trial.parameters()),
            "dtype": str(pl_module.dtype).removeprefix("torch."),
            "processes": distributed.world_size(),
            "device": str(pl_module.device),
            "torch": torch.__version__,
        }
        for callback in callbacks_of(trainer, L.Callback):
            if hasattr(callback, "add_to_summary"):
                callback.add_to_summary(summary)
        return summary

    def _measured(self, what: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What a run can do without: if it fails, that is told in one line, and the run ends as it would."""
        try:
            return measure()
        except RankError:
            raise
        except Exception as error:  # whatever a user's function raises when it is differentiated
            self.warnings.append(f"no {what}: {reason_of(error)}")
            warnings.warn(self.warnings[-1], stacklevel=2)
            return {}

    @rank_zero_only
    def _report(self, summary: dict[str, Any], folder: str | None) -> None:
        Console().print(_table(summary))
        if folder is not None:
            path = free_path(Path(folder) / "summary.json")
            try:
                write_json(path, summary)
            except OSError as error:
                self.failed = path
                warnings.warn(f"{path} was not written: {reason_of(error)}", stacklevel=2)
            else:
                print(f"wrote {path}")


def _table(summary: dict[str, Any]) -> Table:
    errors, scatter = errors_in_words(summary["relative_l2"]), summary["standard_errors"]
    found = ", ".join(
        f"{name} = {value:.6g}{_more_or_less(scatter.get(name))}" for name, value in summary["coefficients"].items()
    )
    accuracy = summary["reference_accuracy"]
    if accuracy is not None and any(value < 2 * accuracy for value in summary["relative_l2"].values()):
        errors += f" (the reference itself is good to {accuracy:.0e})"
    table = Table(title=f"{summary['recipe']}: relative L2 error {errors}{how_far(summary)}", title_justify="left")
    first = "window" if "windows" in summary else "phase"
    for heading in (first, "steps", "evaluations", "seconds", "loss"):
        table.add_column(heading, justify="left" if heading == first else "right")
    table.add_column("ended because", overflow="fold")
    records = summary.get("windows", summary["phases"])
    ends = LISTED // 2 if len(records) > LISTED else len(records)
    between = records[ends:-ends]
    for record in records[:ends]:
        table.add_row(*_row([record]))
    if between:
        table.add_row(*_row(between))
        for record in records[-ends:]:
            table.add_row(*_row([record]))
    points = ", ".join(f"{name} {count}" for name, count in summary["points"].items())
    waited = summary["compilation"]["seconds"]
    table.caption = (
        f"{summary['parameters']} parameters, {summary['dtype']}, points: {points}"
        + (f"; waited {waited:.1f} s for compilation" if waited else "")
        + (f"; found {found}" if found else "")
    )
    return table


def _more_or_less(error: float | None) -> str:
    """What stands behind a coefficient."""
    if error is None:
        return ""
    return f" ± {error:.2g}" if math.isfinite(error) else " (not determined by the data)"


def _row(records: list[dict[str, Any]]) -> tuple[str, ...]:
    """The cells of one phase or window, or of several together."""
    last = records[-1]
    name, stopped = last.get("optimizer") or f"{last['low']:g} to {last['high']:g}", last["stopped"]
    if not last.get("kept", True):
        stopped = "halved: its held-out residual was above the tolerance"
    if len(records) > 1:
        name, stopped = f"{len(records)} more", "see summary.json"
    steps, evaluations = (sum(record[key] for record in records) for key in ("steps", "evaluations"))
    seconds = sum(record["seconds"] for record in records)
    loss = max((record["loss"] for record in records), key=lambda value: (value != value, value))  # NaN is the worst
    return name, str(steps), str(evaluations), f"{seconds:.1f}", f"{loss:.2e}", stopped
