"""A signal ends a run after the current step, with everything saved."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import lightning as L
import torch

from pinnlab.errors import check_positive
from pinnlab.numerics import distributed
from pinnlab.training.launching import launcher_of
from pinnlab.training.ranks import RankWatch, taken_signals
from pinnlab.training.switching import phases_of

ASK_EVERY = 0.1  # seconds: asking takes up to 0.2 ms, two thousandths
MOST_STEPS = 50  # between two questions: steps may grow longer in the meantime


class GracefulStop(L.Callback):
    """The first SIGINT, SIGTERM or SIGHUP ends the training after the current step, checkpoints and summary included.

    One that comes after the last step waits for these. In a single process the second SIGINT ends it at once. Several
    processes agree on the step, whichever of them got the signal; the second signal ends all of them hard, and so does
    a step that is not over in time. The last checkpoint then stays as it is.

    Args:
        patience: seconds that several processes give the step in which the signal came. 8: who sends a signal often
            kills after 10. Larger where a step takes longer, as with compilation or many iterations a step.

    Attributes:
        number: the signal that came; the command line turns it into the exit code. None: no signal.

    Raises:
        ConfigurationError: `patience` is not positive.
    """

    def __init__(self, patience: float = 8.0) -> None:
        check_positive("GracefulStop", patience=patience)
        self.patience = patience
        self._number: int | None = None
        self._told = False  # whether the training has ended since, and said so
        self._previous: dict[int, Any] = {}
        self._watch: RankWatch | None = None
        self._start_over()

    @property
    def number(self) -> int | None:
        """The signal that came."""
        return self._number or (None if self._watch is None else self._watch.number)

    @property
    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes over the signals, unless the processes of a run do so together; only a main thread can."""
        if self._told or pl_module.counted_before.steps == 0:  # not at the very end of the window of time before
            self._number = None
        self._start_over()
        launcher = launcher_of(trainer)
        self._watch = None if launcher is None else launcher.watch
        if self._watch is not None:
            self._watch.begin(self.patience)
        elif threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._on_signal) for number in taken_signals()}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Ends the training on all ranks when one was interrupted."""
        if not self._due(pl_module.phase):
            return
        self._agree(pl_module.device)
        if self._number is not None:
            trainer.should_stop = True
            self._wind_up()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Notes why the run ends."""
        self._agree(pl_module.device)
        self._told = self._number is not None
        if self._told:
            phases_of(trainer).history.interrupted()
        self._wind_up()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives the signals back."""
        self._told = True
        self._wind_up()
        self._restore()

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Gives the signals back, when all is written."""
        self._restore()

    def _start_over(self) -> None:
        self._told = False
        self._phase, self._steps, self._interval, self._asked = -1, 0, 1, time.monotonic()

    def _due(self, phase: int) -> bool:
        """Whether this is a step at whose end the ranks ask each other; all of them say the same.

        Depends only on what is the same on all ranks: the number of the step, of the phase, and the time of a step as
        agreed when they last asked.
        """
        self._steps += 1
        if distributed.world_size() > 1 and self._steps < self._interval and phase == self._phase:
            return False
        self._phase = phase
        return True

    def _agree(self, device: torch.device) -> None:
        """All ranks take the largest signal of any; a collective. Also agrees on when to ask next."""
        seconds = (time.monotonic() - self._asked) / max(self._steps, 1)
        number, seconds = distributed.largest([float(self.number or 0), seconds], device)
        self._number = int(number) or None  # of two, the larger is taken
        self._interval = min(MOST_STEPS, max(1, int(ASK_EVERY / max(seconds, 1e-9))))
        self._steps, self._asked = 0, time.monotonic()

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._number = self._number or number

    def _wind_up(self) -> None:
        if self._watch is not None:
            self._watch.wind_up()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._on_signal:  # Lightning may have given it back already
                signal.signal(number, handler)
        self._previous = {}
