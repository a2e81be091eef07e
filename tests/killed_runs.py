"""Runs with everything in them, in processes that are killed at a random moment or in the middle of a save."""

import io
import os
import signal
import time
import warnings
from pathlib import Path

import lightning as L
import torch
from training import (
    BATCH_SIZES,
    BOARD_CALLBACKS,
    GROWTH_CALLBACKS,
    PHASES,
    POINT_CALLBACKS,
    PROBLEM_CALLBACKS,
    WATCHING_CALLBACKS,
    WEIGHT_CALLBACKS,
    quiet_trainer,
    small_data,
    small_module,
)

from pinnlab.callbacks import Rollback, RunCheckpoint, RunSummary
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger

RUN_PHASES = {"Adam, LBFGS, Adam": lambda: None, **PHASES}
RUN_CALLBACKS = {
    "none": list,
    **POINT_CALLBACKS,
    **WEIGHT_CALLBACKS,
    **GROWTH_CALLBACKS,
    **PROBLEM_CALLBACKS,
    **WATCHING_CALLBACKS,
    **BOARD_CALLBACKS,
}

SAVES = ("half of the bytes written", "before the rename", "before the second name", "after the rename")
"""The moments of a save at which a run can end."""


class EverySteps(RunCheckpoint):
    """Saves by steps instead of seconds, and at phase changes and at the end as ever."""

    def __init__(self, every, folder):
        super().__init__(folder=folder)
        self.every, self.saves = every, 0

    def _save(self, trainer):
        self.saves += 1
        super()._save(trainer)

    def _due(self, module):
        return module.global_step % self.every == 0


class Begun(L.Callback):
    """Tells another process when the first step begins."""

    def __init__(self, sender):
        self.sender = sender

    def on_train_start(self, trainer, pl_module):
        if self.sender is not None:
            self.sender.send(time.monotonic())


def train(folder, phases, callbacks, ckpt_path=None, dies=None, sender=None):
    """Trains; what the run came to is written to `result.pt`.

    Args:
        folder: of the run.
        phases: a name of RUN_PHASES.
        callbacks: a name of RUN_CALLBACKS.
        ckpt_path: to go on from.
        dies: one of SAVES and the number of the save in which the process is killed.
        sender: is sent a word when training begins.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with (folder / "output.txt").open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        if dies is not None:
            die_in_a_save(*dies)
        saver, summary = EverySteps(3, str(folder)), RunSummary()
        module = small_module(phases=RUN_PHASES[phases]())
        trainer = quiet_trainer(
            callbacks=[*RUN_CALLBACKS[callbacks](), Rollback(every=4), saver, summary, Begun(sender)],
            enable_checkpointing=True,
            logger=LogScaleTensorBoardLogger(folder / "board") if callbacks == "board" else False,
        )
        data = small_data(module.problem, batch_size=BATCH_SIZES.get(phases))
        trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
        torch.save({**outcome(module, data, summary.result), "saves": saver.saves}, folder / "result.pt")


def outcome(module, data, summary):
    """All that has to be the same in bits: parameters, points, error, counters, decisions."""
    phases = [{key: value for key, value in record.items() if key != "seconds"} for record in summary["phases"]]
    kept = ("relative_l2", "loss", "steps", "evaluations", "points_seen", "decisions", "coefficients")
    return {
        "parameters": {name: p.detach() for name, p in module.trial.named_parameters()},
        "points": dict(data.store.rows),
        "summary": {"phases": phases, **{key: summary[key] for key in kept}},
    }


def die_in_a_save(moment, count):
    """Has this process kill itself at one of SAVES, in the save of this number."""
    saves = 0
    save, replace = torch.save, os.replace

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def torch_save(checkpoint, file):
        nonlocal saves
        saves += 1
        if saves == count and moment == SAVES[0]:
            whole = io.BytesIO()
            save(checkpoint, whole)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            die()
        save(checkpoint, file)

    def os_replace(source, target):
        name = Path(target).name
        if name == "previous.ckpt" and saves == count - 1 and moment == SAVES[2]:
            die()
        if name == "last.ckpt" and saves == count and moment == SAVES[1]:
            die()
        replace(source, target)
        if name == "last.ckpt" and saves == count and moment == SAVES[3]:
            die()

    torch.save, os.replace = torch_save, os_replace
