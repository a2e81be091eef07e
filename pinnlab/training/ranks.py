"""The processes of a run end together: each knows of signals, and of those that it started or was started by."""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from pinnlab.errors import RankError

PARENT = "PINNLAB_PARENT"
"""The variable that tells a rank which process started it."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""What ends a run: Ctrl-C, a request, and, but on Windows, a terminal that was closed."""

POLL = 0.05  # seconds between two looks at the other ranks
ECHO = 0.5  # seconds in which a second signal is the first one's echo: `timeout` signals a process and then its group
OWN_WORDS = 5.0  # seconds for this rank to meet the error that another one ended with, and to say it in its own words
TOLD = 70  # the exit code of a rank that has said itself why it ended
AFTER_YOU = 2.0  # seconds for this rank to come to its end by itself after another one has ended with a signal's code


def exit_code(number: int) -> int:
    """What a process exits with that a signal ended, as shells have it: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


def taken_signals() -> list[signal.Signals]:
    """Those of `SIGNALS` that a run takes over: not SIGHUP where it is ignored, as by `nohup`."""
    return [n for n in SIGNALS if n in SIGNALS[:2] or signal.getsignal(n) is not signal.SIG_IGN]


class RankWatch:
    """A thread that ends this process when it is told to, or when another rank of its run is gone.

    Before the first step a signal ends the process at once. From then on it is only noted in `number`, for
    `GracefulStop` to see at the end of a step. The process ends hard, with the signal's exit code and without
    touching a file, when no step's end comes in time or when a second signal does. That needs a thread: where the main
    thread waits in a collective for a rank that does not come, no handler of Python runs.

    The main process watches those that it started; they watch it. When one was killed the others end with exit code 1,
    and one line says which.

    Attributes:
        number: the first signal that came after the first step began.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._children: Sequence[subprocess.Popen] = ()
        self._rank, self._parent = 0, 0
        self._patience: float | None = None  # None: no step has begun
        self._since, self._deadline = -math.inf, math.inf
        self._wakeup = -1

    def start(self, rank: int, children: Sequence[subprocess.Popen]) -> None:
        """Takes over the signals and begins to watch, once; only a process's main thread can.

        Args:
            rank: of this process.
            children: the ranks that it started, from 1.
        """
        self._rank, self._children = rank, children
        if self._wakeup >= 0 or threading.current_thread() is not threading.main_thread():
            return
        self._parent = int(os.environ.pop(PARENT, "0"))
        self._wakeup, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self.take_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        threading.Thread(target=self._run, daemon=True, name="rank-watch").start()

    def take_signals(self) -> None:
        """Has this thread told of signals, by the interpreter's wake-up pipe, instead of the main one."""
        if threading.current_thread() is threading.main_thread():
            for number in taken_signals():
                signal.signal(number, _left_to_the_watch)

    def begin(self, patience: float) -> None:
        """The first step begins.

        Args:
            patience: seconds from a signal to the end of the step it came in, before the process ends hard.
        """
        self._patience = patience

    def wind_up(self) -> None:
        """The last step is over, what is left takes its time; only a second signal ends the process hard."""
        self._patience, self._deadline = math.inf, math.inf

    def leave(self, code: int) -> int:
        """The process has done all it had to do; the main process waits for the others, which leave at once.

        Args:
            code: what to exit with.

        Returns:
            The exit code, on the main process: to take down an interpreter with torch in it takes a second.
        """
        if self._parent:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        give_up = time.monotonic() + OWN_WORDS
        while any(child.poll() is None for child in self._children) and time.monotonic() < give_up:
            time.sleep(POLL / 5)
        return code

    def failed(self, error: BaseException) -> RankError:
        """The one line for an error of this rank, whose traceback goes to a file; the others have nothing to add."""
        children, self._children = self._children, ()  # before their end, of which the watch would tell
        for child in children:
            child.kill()
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"pinnlab-rank-{self._rank}-", suffix=".txt", delete=False
        ) as file:
            traceback.print_exception(error, file=file)
        first = next(iter(str(error).strip().splitlines()), "")
        told = f"rank {self._rank}: {type(error).__name__}{': ' if first else ''}{first}; traceback in {file.name}"
        return RankError(told, TOLD if self._parent else 1)

    def await_end(self, error: BaseException) -> NoReturn:
        """Waits, after a collective failed, until it is known whose fault it was, and ends the process."""
        time.sleep(2 * OWN_WORDS)
        self._end(1, f"rank {self._rank} lost the others: {str(error).strip().splitlines()[0]}")

    def _run(self) -> None:
        while True:
            if select.select([self._wakeup], [], [], POLL)[0]:
                for number in os.read(self._wakeup, 64):
                    if number in SIGNALS:
                        self._signalled(number)
            self._look_at_children()
            if self._parent and os.getppid() != self._parent:
                # One line in all: the lowest rank says it.
                gone = f"rank 0 (process {self._parent}), which started the others, is gone; the run ends"
                self._end(1, gone if self._rank == 1 else None)
            if time.monotonic() > self._deadline:
                self._end(exit_code(self.number) if self.number else 1)

    def _signalled(self, number: int) -> None:
        now = time.monotonic()
        if self._patience is None:
            self._end(exit_code(number))
        if self.number is None:
            self.number, self._since = number, now
            self._deadline = min(self._deadline, now + self._patience)
        elif now > self._since + ECHO:
            self._end(exit_code(self.number))

    def _look_at_children(self) -> None:
        for rank, child in enumerate(self._children, start=1):
            code = child.poll()
            number = _signal_of(code)
            if not code or not self._children:
                continue
            if number is not None:
                self.number = self.number or number
                self._deadline = min(self._deadline, time.monotonic() + AFTER_YOU)
            elif code < 0:
                name = signal.Signals(-code).name
                self._end(1, f"rank {rank} (process {child.pid}) was killed by {name}; the run ends")
            elif code == TOLD:
                self._end(1)
            elif self._deadline == math.inf:
                self._deadline = time.monotonic() + OWN_WORDS
            elif time.monotonic() > self._deadline:
                self._end(code, f"rank {rank} (process {child.pid}) ended with exit code {code}; the run ends")

    def _end(self, code: int, message: str | None = None) -> NoReturn:
        """Ends this process and those that it started, now: no handler, no buffer, no file is touched."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
        if message is not None:
            start = "\n" if sys.stderr.isatty() else ""  # a progress bar leaves its line open
            os.write(2, f"{start}error: {message}\n".encode())
        os._exit(code)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait, also in the processes started meanwhile, which get theirs once their own watch begins."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[PARENT]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_of(code: int | None) -> int | None:
    """Which of SIGNALS ended a process, by its exit code."""
    return next((int(n) for n in SIGNALS if code in (-n, exit_code(n))), None)


def _left_to_the_watch(number: int, frame: Any) -> None:
    """A handler has to be there for the wake-up pipe to be written."""
