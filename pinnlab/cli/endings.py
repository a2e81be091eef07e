"""What a command says and writes when it is over: how to go on with a run, and what was measured of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.callbacks.checkpoint import RunCheckpoint
from pinnlab.cli.runs import folder_of
from pinnlab.errors import StopReason
from pinnlab.reporting.files import free_path, write_json
from pinnlab.reporting.loggers import run_folder
from pinnlab.training.run_summary import RunSummary
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import callbacks_of

_NEXT: Mapping[str, str] = MappingProxyType(
    {
        StopReason.INTERRUPTED.value: "go on with: pinnlab fit {run}",
        StopReason.DIVERGED.value: "see why with: pinnlab diagnose {run}",
        StopReason.BUDGET.value: "go on, with a larger budget, with: pinnlab fit {run}",
        StopReason.POINTS.value: "go on, with a larger budget, with: pinnlab fit {run}",
        StopReason.TRAINER.value: "go on with: pinnlab fit {run}{limit}",
        StopReason.CALLBACK.value: "go on with: pinnlab fit {run}",
    }
)
"""What to do after a run that ended before its phases did, by the reason."""


def ending(trainer: L.Trainer) -> str | None:
    """The line after a run that ended before its phases did: what is saved, and the command that goes on.

    Returns:
        None where all phases came to their ends.
    """
    phases = phases_of(trainer)
    if not phases.history.began:
        return "no step was made: a limit of the trainer (max_steps, max_epochs, max_time, limit_train_batches) is over"
    record = phases.records[-1]
    stopped = record.stopped
    if stopped not in _NEXT and any("up_to" in summary.result for summary in callbacks_of(trainer, RunSummary)):
        stopped = (StopReason.TRAINER if _is_limited(trainer) else StopReason.INTERRUPTED).value  # between two windows
    if stopped not in _NEXT:
        return None
    where = f"step {trainer.global_step}, phase {record.phase}: {stopped}"
    run = _run(trainer)
    if run is None:
        return f"{where}; nothing was saved, as no checkpoints were asked for"
    then = _NEXT[stopped].format(run=run, limit=_limit(trainer))
    return f"{where}; saved in {run}; {then}"


def cut_off(trainer: L.Trainer) -> str | None:
    """The line after a run that was ended in the middle of a step; None where nothing of it was saved before."""
    run = _run(trainer)
    return None if run is None else f"ended at once; what was saved last is in {run}; go on with: pinnlab fit {run}"


def why_lost(trainer: L.Trainer) -> str | None:
    """Why training failed, although it came to an end with good weights; None if it did not."""
    phases = phases_of(trainer)
    return phases.decisions[-1].reason if phases.records[-1].stopped == StopReason.DIVERGED.value else None


def write_measured(trainer: L.Trainer, command: str, checkpoint: str) -> None:
    """Writes what `validate` or `test` measured to `validate.json` or `test.json` in the run's folder.

    A collective; without a logger there is no folder, and nothing is written. Existing files stay: a number is added to
    the name.
    """
    folder = run_folder(trainer)
    if folder is not None:
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        _write(Path(folder) / f"{command}.json", {"checkpoint": checkpoint, **measured})


@rank_zero_only
def _write(path: Path, content: dict[str, Any]) -> None:
    path = free_path(path)
    write_json(path, content)
    print(f"wrote {path}")


def _run(trainer: L.Trainer) -> str | None:
    """The run as one names it on the command line, once it has a checkpoint."""
    path = next((saver.path for saver in callbacks_of(trainer, RunCheckpoint)), None)
    if path is None or not path.is_file():
        return None
    return shlex.quote(str(folder_of(path) or path))


def _limit(trainer: L.Trainer) -> str:
    """The option to raise after a run that the trainer ended; nothing where something else ended it."""
    if _is_limited(trainer):
        return f" --trainer.max_steps {2 * trainer.max_steps}"
    return " --trainer.max_time DAYS:HOURS:MINUTES:SECONDS" if callbacks_of(trainer, Timer) else ""


def _is_limited(trainer: L.Trainer) -> bool:
    return 0 <= trainer.max_steps <= trainer.global_step
