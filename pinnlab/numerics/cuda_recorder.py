"""Records CUDA graphs: the one part of replays that needs a GPU."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch

from pinnlab.errors import first_line


class CudaRecorder:
    """Records CUDA graphs on a stream beside the usual one; recordings share their memory, as they never run at once.

    One for all functions of a run: each pool of memory has what the largest of its computations takes, and a workspace
    of cuBLAS, 32 MiB on a Hopper card. Results must be copied before another recording runs.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None
        self._recorded: weakref.WeakSet[Any] = weakref.WeakSet()
        self._failed: list[Any] = []

    def __call__(self, compute: Callable[[], Any]) -> tuple[Callable[[], Any], Any]:
        """Runs the computation twice, then records it.

        Raises:
            RuntimeError: something in it waits for the GPU, or cannot be recorded for another reason.
        """
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            if self._stream is None:
                self._stream = self._choose_stream(graph)
            if not self._recorded:  # torch refuses a pool that it could not free since the last of its recordings went
                self._pool = torch.cuda.graph_pool_handle()
            torch.cuda.empty_cache()  # what calls on the usual stream took, see `graph_replay.SHARE`
            self._stream.wait_stream(torch.cuda.current_stream())
            try:
                # The outer context brings the caller's stream back also where a recording ends in an error.
                with torch.cuda.stream(self._stream):
                    compute()
                    with _without_waiting():
                        compute()
                    results = self._record(graph, compute)
            finally:  # tables that it was the first to ask for were made there, and its arguments are about to go
                torch.cuda.current_stream().wait_stream(self._stream)
        self._recorded.add(graph)
        return graph.replay, results

    def _choose_stream(self, graph: Any) -> Any:
        """The stream that torch records on, of which a process has one: runs that follow each other share it, too."""
        stream = torch.cuda.graph(graph).capture_stream
        return stream if stream is not None and stream.device == self._device else torch.cuda.Stream()

    def _record(self, graph: Any, compute: Callable[[], Any]) -> Any:
        """Records a computation and returns its results."""
        reason: RuntimeError | None = None
        try:
            # Other threads, such as those that watch ranks, may go on meanwhile.
            with _own_workspace(), torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                try:
                    return compute()
                except RuntimeError as error:
                    reason = error
                    raise
        except BaseException as error:
            self._leave(graph)
            if reason is None or reason is error:
                raise
            raise RuntimeError(first_line(reason)) from error  # torch's end of a recording failed, too, and says less

    def _leave(self, graph: Any) -> None:
        """Ends a recording that failed: `CUDAGraph.capture_end` of torch 2.11 raises before it does so.

        The allocator would go on asking the graph of every request whether it is its own, never return what two
        streams have used, and the random numbers of the device would wait for the end of the recording.
        """
        index, pool = torch.cuda.current_device(), self._pool
        end, release = (getattr(torch._C, f"_cuda_{name}", None) for name in ("endAllocateToPool", "releasePool"))
        with contextlib.suppress(RuntimeError):  # the allocator had been told: the graph goes, and its memory with it
            if end is not None and release is not None:
                end(index, pool)
                release(index, pool)  # its own part; other recordings may go on with theirs
            self._failed.append(graph)  # the allocator of the host asks it still
        numbers = torch.cuda.default_generators[index]
        numbers.graphsafe_set_state(numbers.clone_state())  # a copy is not being recorded


@contextlib.contextmanager
def _own_workspace() -> Iterator[None]:
    """Has cuBLAS work, while it is recorded, in memory from the recordings' pool, which lasts as long as they do.

    That of their stream, which products before have made, is freed by Lightning when any run begins or ends, and by
    torch, from 2.12 on, when any recording of the stream goes (pytorch issue 193402). Replays would still write there.
    """
    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None)
    clear()
    try:
        yield
    finally:
        clear()


@contextlib.contextmanager
def _without_waiting() -> Iterator[None]:
    """Makes waiting for the GPU an error: while recording it would leave the stream unusable."""
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():
            # At its first call torch says that this is a prototype; where warnings are errors, after it was set.
            warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
