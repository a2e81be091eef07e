"""What the command does with a run in windows of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.training.march import March
from pinnlab.training.marching import last_window, restored, train_windows

if TYPE_CHECKING:
    from pinnlab.problems.window import Window


def train(trainer: L.Trainer, plan: March | None, given: dict[str, Any]) -> None:
    """Trains: in windows where there is a plan for them.

    Args:
        trainer: of the run.
        plan: its windows; None for one training.
        given: what `Trainer.fit` is to be given.
    """
    if plan is None:
        trainer.fit(**given)
    else:
        train_windows(given["model"], given["datamodule"], trainer, plan, given.get("ckpt_path"))


def looked_at(command: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a command that looks at a run in windows is to be given.

    Args:
        command: `diagnose` is about training, and looks at the last window; the others look at all of them as one.
        given: as for one training. Without a checkpoint it is the whole problem before the first step.
    """
    model, data, path = given["model"], given["datamodule"], given.get("ckpt_path")
    if path is None:
        return given
    if command == "diagnose":
        model, data = last_window(model, data, path)
        low, high = cast("Window", model.problem).edges
        _say(f"of the last window that was trained, {low:g} to {high:g}; a whole run in windows has no one loss")
        return {**given, "model": model, "datamodule": data}
    model, data = restored(model, data, path)
    return {**given, "model": model, "datamodule": data, "ckpt_path": None}


@rank_zero_only
def _say(line: str) -> None:
    print(line)
