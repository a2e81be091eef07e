"""When the functions of a run are compiled: before they are first used, or beside the run, in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from typing import Protocol

import torch

from pinnlab.numerics.compilation import is_known


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


class Compiler:
    """Compiles the functions of one run.

    Beside the run, a process forked from it makes the code and leaves it in torch's cache, while the run goes on with
    functions that are not compiled. Between two steps, `adopt` fetches what is ready, in about a second. What the cache
    has already is compiled at once, and so is what a run used that this one resumes: it repeats that run's rounding.
    As many functions as half of torch's threads are compiled at a time, in the order in which they were asked for, and
    torch has a thread less for each: where all cores are taken, threads wait for each other, and the run is ten times
    slower. Only Linux can be trusted to fork; elsewhere, and on a GPU, everything is compiled at once.

    Args:
        beside: whether to compile beside the run what is in no cache.
        used: fingerprints of what a run used that is resumed.

    Attributes:
        used: fingerprints of all functions that have been compiled.
        seconds: what the run has waited for compilation, tracing included.
        titles: what was compiled, for people, in order.
        uncompiled: whether a function runs uncompiled because it could not be compiled.
    """

    def __init__(self, beside: bool = False, used: Iterable[str] = ()) -> None:
        self.beside = beside and can_fork()
        self.used = set(used)
        self.seconds = 0.0
        self.titles: list[str] = []
        self.uncompiled = False
        self._asked: list[tuple[Job, float]] = []  # when
        self._running: list[tuple[Job, BaseProcess, float]] = []
        self._threads: int | None = None  # of torch, when nothing is compiled beside the run

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Counts the time of what is done in this context as waiting."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    @property
    def waiting(self) -> tuple[str, float] | None:
        """What is being compiled beside the run, and for how many seconds; None for nothing."""
        if not self._running:
            return None
        job, _, since = self._running[0]
        return job.title, time.monotonic() - since

    @property
    def complete(self) -> bool:
        """Whether all functions that were to be compiled are."""
        return self.waiting is None and not self.uncompiled

    def take(self, job: Job) -> None:
        """Compiles a function, or begins to beside the run."""
        with self._all_threads():  # code is made for a number of them
            at_once = not self.beside or job.fingerprint in self.used or is_known(job.fingerprint)
        if at_once:
            self._finish(job)
        else:
            self._asked.append((job, time.monotonic()))
            self._start()

    def adopt(self) -> list[tuple[str, float]]:
        """Has what was compiled beside the run used from now on; to be called between steps.

        Returns:
            What it computes, and after how many seconds its code was there.
        """
        done = [entry for entry in self._running if not entry[1].is_alive()]
        for job, process, _ in done:
            process.join()
            self._finish(job)  # also after a failure, which then shows here
        self._running = [entry for entry in self._running if entry not in done]
        self._start()
        return [(job.title, time.monotonic() - since) for job, _, since in done]

    def close(self) -> None:
        """Ends what is still being compiled."""
        self._asked = []
        for _, process, _ in self._running:
            process.kill()
            process.join()
        self._running = []
        self._share_cores()

    def _start(self) -> None:
        """Begins to compile what there is room for."""
        with self._all_threads():  # code is made for a number of them
            while self._asked and len(self._running) < max(torch.get_num_threads() // 2, 1):
                job, since = self._asked.pop(0)
                self._running.append((job, _forked(job), since))
        self._share_cores()

    def _share_cores(self) -> None:
        """Leaves cores to what is compiled, and takes them back."""
        if self._running:
            self._threads = self._threads or torch.get_num_threads()
            torch.set_num_threads(max(1, self._threads - len(self._running)))
        elif self._threads is not None:
            torch.set_num_threads(self._threads)
            self._threads = None

    @contextlib.contextmanager
    def _all_threads(self) -> Iterator[None]:
        """As many threads as the run has when nothing is compiled beside it."""
        shared = torch.get_num_threads()
        torch.set_num_threads(self._threads or shared)
        try:
            yield
        finally:
            torch.set_num_threads(shared)

    def _finish(self, job: Job) -> None:
        with self._all_threads():
            job.compile()
        self.used.add(job.fingerprint)
        self.titles.append(job.title)


def can_fork() -> bool:
    """Whether a copy of this process can compile: on Linux, unless it is one that may not have children."""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def _forked(job: Job) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(job,), daemon=True)
    with warnings.catch_warnings():
        # From Python 3.12 on: other threads' locks may be held in the copy. It takes none but those of the compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process


def _alone(job: Job) -> None:
    """The work of the other process: compile, note it, and say nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the run ends this process when it ends
    os.nice(19)  # the compiler's own processes are more than one at times; the run comes first
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    # The threads of the original are not here, but code is made for their number; nothing is computed that needs them.
    job.compile()
