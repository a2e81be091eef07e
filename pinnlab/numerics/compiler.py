"""When the functions of a run are compiled: before they are first used, or beside the run, in a process of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from pinnlab.numerics.compilation import is_known, remember
from pinnlab.numerics.compiling_process import Job, Process, most_at_a_time, start


class Adopted(NamedTuple):
    """What is used from now on.

    Attributes:
        title: what it computes, for people.
        seconds: after how many its code was there.
        beside: whether the process beside the run had made it; else the run has, and has waited.
    """

    title: str
    seconds: float
    beside: bool


class Compiler:
    """Compiles the functions of one run.

    Beside the run, another process makes the code and leaves it in torch's cache, while the run goes on with functions
    that are not compiled. Between two steps, `adopt` fetches what is ready, in about a second. What the cache has
    already is compiled at once, and so is what a run used that this one resumes: it repeats that run's rounding.
    Functions are compiled in the order in which they were asked for, by processes that are forked from the run, on half
    of torch's threads at most. Torch has a thread less for each: where all cores are taken, threads wait for each
    other, and the run is ten times slower. Only Linux can be trusted to fork; elsewhere, and where a GPU was used, the
    process is a new one, and there is one at a time.

    Args:
        beside: whether to compile beside the run what is in no cache.
        used: fingerprints of what a run used that is resumed.
        makes: whether what is in no cache is compiled at all.

    Attributes:
        makes: as above.
        used: fingerprints of all functions that have been compiled.
        seconds: what the run has waited for compilation, tracing included.
        titles: what was compiled, for people, in order.
        uncompiled: whether a function runs uncompiled because it could not be compiled, or is not to be.
    """

    def __init__(self, beside: bool = False, used: Iterable[str] = (), makes: bool = True) -> None:
        self.beside, self.makes = beside, makes
        self.used = set(used)
        self._repeats = bool(self.used)  # which function was used shows when it is traced
        self.seconds = 0.0
        self.titles: list[str] = []
        self.uncompiled = False
        self._asked: list[tuple[Job, float]] = []  # when
        self._running: list[tuple[Job, Process, float]] = []
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

    def wants(self, name: str) -> bool:
        """Whether to trace a function, which takes a second or two: a short run does what another has done before it.

        Args:
            name: what can be said of the function before, see `compilation.sketch`.
        """
        with self._all_threads():  # code is made for a number of them
            wanted = self.makes or not self.beside or self._repeats or is_known(name)
            if wanted:
                remember(name)
        return wanted

    def take(self, job: Job) -> None:
        """Compiles a function, or begins to beside the run."""
        with self._all_threads():  # code is made for a number of them
            at_once = not self.beside or job.fingerprint in self.used or is_known(job.fingerprint)
        if at_once:
            self._finish(job)
        elif not self.makes:
            self.uncompiled = True
        else:
            self._asked.append((job, time.monotonic()))
            self._start()

    def adopt(self) -> list[Adopted]:
        """Has what was compiled beside the run used from now on; to be called between steps."""
        if not self._running:
            return []
        adopted = []
        done = [entry for entry in self._running if not entry[1].is_alive()]
        for job, process, since in done:
            process.join()
            with self._all_threads(), self.counting():
                beside = is_known(job.fingerprint)
                self._finish(job)  # also after a failure, which then shows here
            adopted.append(Adopted(job.title, time.monotonic() - since, beside))
        self._running = [entry for entry in self._running if entry not in done]
        self._start()
        return adopted

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
            while self._asked and len(self._running) < most_at_a_time():
                job, since = self._asked.pop(0)
                self._running.append((job, start(job), since))
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
