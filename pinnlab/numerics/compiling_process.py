"""Processes that compile beside a run: a copy of it, or a new one where none can be made."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from typing import Protocol

import torch

from pinnlab.numerics.packed_graph import PROGRAM


class Job(Protocol):
    """What is compiled: a traced function.

    Attributes:
        title: what it computes, for people.
        fingerprint: its name, the same in every process.
    """

    title: str
    fingerprint: str

    def compile(self) -> None:
        """Makes the machine code, or fetches it from the cache on the disk; notes an error instead of raising it."""

    def packed(self) -> bytes:
        """What a new process needs to make the code, see `packed_graph.pack`."""


class Process(Protocol):
    """A process that compiles."""

    def is_alive(self) -> bool:
        """Whether it has not ended."""

    def join(self) -> None:
        """Waits for its end."""

    def kill(self) -> None:
        """Ends it."""


def can_fork() -> bool:
    """Whether a copy of this process can compile: on Linux, unless it may have no children, or has used a GPU."""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon and not torch.cuda.is_initialized()


def most_at_a_time() -> int:
    """How many may compile beside this process: on half of torch's threads; of new ones, with a GPU's memory, one."""
    return max(torch.get_num_threads() // 2, 1) if can_fork() else 1


def start(job: Job) -> Process:
    """Begins to compile in another process; one that could not begin has ended, and nothing is in the cache."""
    if can_fork():
        return _forked(job)
    try:
        return _New(job.packed())
    except Exception:  # whatever cannot be packed: who fetches the code makes it then
        return _None()


def _forked(job: Job) -> Process:
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(job,), daemon=True)
    with warnings.catch_warnings():
        # From Python 3.12 on: other threads' locks may be held in the copy. It takes none but those of the compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process


def _alone(job: Job) -> None:
    """The work of a copy: compile, note it, and say nothing."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the run ends this process when it ends
    os.nice(19)  # the compiler's own processes are more than one at times; the run comes first
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    # The threads of the original are not here, but code is made for their number; nothing is computed that needs them.
    job.compile()


class _New:
    """A new Python process, in a session of its own, so that Ctrl-C does not reach it."""

    def __init__(self, packed: bytes) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
        with tempfile.TemporaryFile() as given:  # a pipe would have the run wait until the process reads
            given.write(packed)
            given.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def join(self) -> None:
        self._process.wait()

    def kill(self) -> None:
        if not self.is_alive():
            return
        if sys.platform == "win32":
            self._process.kill()
        else:  # with the workers that torch has started for it
            os.killpg(self._process.pid, signal.SIGKILL)


class _None:
    """No process."""

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        """There is nothing to wait for."""

    def kill(self) -> None:
        """Nor to end."""
