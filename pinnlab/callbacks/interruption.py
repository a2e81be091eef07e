"""Ctrl-C ends a run after the current step, with everything saved."""

from __future__ import annotations

import signal
import threading
from typing import Any

import lightning as L

from pinnlab.numerics import distributed


class GracefulStop(L.Callback):
    """The first SIGINT ends the training after the current step, checkpoints and summary included; the second at once.

    Attributes:
        interrupted: whether a SIGINT came; the command line turns it into exit code 130.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes over SIGINT; only a process's main thread can."""
        self.interrupted = False
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._on_signal)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Ends the training on all ranks when one was interrupted."""
        if distributed.any_rank(self.interrupted, pl_module.device):
            self.interrupted = True
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Gives SIGINT back."""
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives SIGINT back."""
        self._restore()

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
