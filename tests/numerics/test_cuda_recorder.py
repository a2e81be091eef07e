"""What a recorder of CUDA graphs asks of torch, in which order, and what it does where that fails; without a GPU."""

import contextlib
import warnings
from types import SimpleNamespace

import pytest
import torch

from pinnlab.numerics.cuda_recorder import CudaRecorder

DEVICE = torch.device("cuda", 0)


class Stream:
    device = DEVICE

    def __init__(self):
        self.waited = []

    def wait_stream(self, other):
        self.waited.append(other)


class Graph:
    def replay(self):
        pass


class Card:
    """Stands in for `torch.cuda` and notes what is done; a recording fails at its end where `fails` says so."""

    def __init__(self, monkeypatch):
        self.done, self.mode, self.fails, self.told = [], 0, False, []
        self.stream_of_torch, self.usual, self.pools = Stream(), Stream(), iter(range(100))
        names = [
            "Stream", "current_stream", "graph_pool_handle", "empty_cache", "CUDAGraph", "graph", "stream", "device",
            "current_device", "get_sync_debug_mode", "set_sync_debug_mode", "default_generators",
        ]  # fmt: skip
        for name in names:
            monkeypatch.setattr(torch.cuda, name, getattr(self, name), raising=False)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end, False)
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: self.done.append("clear"), False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *w: self.told.append(("releasePool", *w)), False)

    Stream = staticmethod(Stream)
    CUDAGraph = staticmethod(Graph)
    stream = device = staticmethod(lambda chosen: contextlib.nullcontext())
    current_device = staticmethod(lambda: 0)

    @property
    def default_generators(self):
        return [SimpleNamespace(clone_state=lambda: "copy", graphsafe_set_state=self.told.append)]

    def current_stream(self):
        return self.usual

    def end(self, *where):
        self.told.append(("endAllocateToPool", *where))
        if not self.fails:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    def graph_pool_handle(self):
        return next(self.pools)

    def empty_cache(self):
        self.done.append("empty")

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        self.mode = mode
        if mode == "error":  # as torch does it: set, then said
            warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect all", stacklevel=2)

    def graph(self, graph, pool=None, stream=None, capture_error_mode="global"):
        @contextlib.contextmanager
        def recording():
            self.done.append(("record", pool))
            try:
                yield
            finally:
                if self.fails:
                    raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

        made = recording()
        made.capture_stream = self.stream_of_torch
        return made


@pytest.fixture
def card(monkeypatch):
    return Card(monkeypatch)


def test_memory_is_given_back_before_what_prepares_a_recording(card):
    record = CudaRecorder(DEVICE)
    _, results = record(lambda: card.done.append("compute") or 3)
    assert results == 3
    assert [what for what in card.done if what != "clear"] == ["empty", "compute", "compute", ("record", 0), "compute"]


@pytest.mark.parametrize("fails", [False, True])
def test_products_that_are_recorded_work_in_the_memory_of_the_recordings(fails, card):
    """Not in that of the stream, which Lightning frees at the end of a run, and torch with any other recording."""
    card.fails = fails
    with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
        CudaRecorder(DEVICE)(lambda: card.done.append("product"))
    assert card.done[-4:] == ["clear", ("record", 0), "product", "clear"]


def test_recorders_share_the_stream_of_the_process_and_recordings_a_pool(card):
    one, other = CudaRecorder(DEVICE), CudaRecorder(DEVICE)
    kept = [record(lambda: None) for record in (one, one, other)]
    assert one._stream is other._stream is card.stream_of_torch
    assert [d[1] for d in card.done if d[0] == "record"] == [0, 0, 1]
    kept.clear()
    one(lambda: None)
    assert card.done[-2] == ("record", 2)  # torch may refuse a pool that all have left
    elsewhere = CudaRecorder(torch.device("cuda", 1))
    elsewhere(lambda: None)
    assert elsewhere._stream is not card.stream_of_torch


def test_waiting_is_an_error_only_while_it_is_tried_also_where_warnings_are_errors(card):
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CudaRecorder(DEVICE)(lambda: seen.append(card.mode))
    assert seen == [0, "error", 0]
    assert card.mode == 0

    def waits():
        if card.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        CudaRecorder(DEVICE)(waits)
    assert card.mode == 0


@pytest.mark.parametrize("alone", [True, False])
def test_a_recording_that_fails_is_ended_for_the_allocator(alone, card):
    record, calls = CudaRecorder(DEVICE), []
    kept = [] if alone else [record(lambda: None)]

    def synchronizes():
        calls.append(1)
        if len(calls) == 3:
            card.fails = True
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.raises(RuntimeError, match=r"^operation not permitted when stream is capturing$"):
        record(synchronizes)
    assert card.told == [("endAllocateToPool", 0, 0), ("releasePool", 0, 0), "copy"]
    assert len(record._failed) == 1  # the allocator of the host may ask it still
    card.fails = False
    record(lambda: None)
    assert card.done[-2] == ("record", int(alone))  # the pool of those that are left
    assert len(kept) == (not alone)


def test_a_recording_that_fails_and_is_ended_by_torch_leaves_nothing(card):
    """As where there is no memory: its part of the pool goes with it."""
    record, calls = CudaRecorder(DEVICE), []

    def takes_too_much():
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        record(takes_too_much)
    assert card.told == [("endAllocateToPool", 0, 0), "copy"]
    assert record._failed == []


@pytest.mark.parametrize("fails_at", [None, 1, 2, 3])
def test_the_usual_stream_waits_for_what_a_recording_did(fails_at, card):
    """Also where it failed: tables that it made on its stream stay, and its arguments make room."""
    calls = []

    def compute():
        calls.append(1)
        if len(calls) == fails_at:
            raise RuntimeError("no")

    with contextlib.nullcontext() if fails_at is None else pytest.raises(RuntimeError):
        CudaRecorder(DEVICE)(compute)
    assert card.stream_of_torch.waited == [card.usual]
    assert card.usual.waited == [card.stream_of_torch]


def test_an_interrupted_recording_stays_an_interruption(card):
    calls = []

    def interrupted():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CudaRecorder(DEVICE)(interrupted)
    assert card.told[0] == ("endAllocateToPool", 0, 0)
