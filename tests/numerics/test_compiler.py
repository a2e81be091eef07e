"""Compilation beside a run: what is used when, what a resumed run repeats, and what is left behind."""

import multiprocessing
import os
import time

import pytest
import torch
from compiling import example, needs_compiler, squares
from torch._subclasses import FakeTensor
from two_process_runs import alive

from pinnlab.numerics import compiling_process
from pinnlab.numerics.compilation import is_known, remember
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.compiling_process import can_fork
from pinnlab.numerics.precision import default_dtype

needs_fork = pytest.mark.skipif(not can_fork(), reason="this system cannot be trusted to fork")


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path


class Work:
    """Something to compile, that takes its time and notes where it was done."""

    def __init__(self, name, folder, seconds=0.0):
        self.title = self.fingerprint = name
        self.folder, self.seconds, self.here = folder, seconds, 0

    def compile(self):
        self.here += 1
        time.sleep(self.seconds)
        (self.folder / f"{self.title}-{os.getpid()}").touch()
        remember(self.fingerprint)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_at_once(tmp_path):
    compiler, work = Compiler(), Work("loss", tmp_path)
    compiler.take(work)
    assert work.here == 1
    assert compiler.used == {"loss"}
    assert compiler.waiting is None
    assert compiler.adopt() == []


@needs_fork
def test_beside_the_run_and_used_when_adopted(tmp_path):
    compiler, work = Compiler(beside=True), Work("loss", tmp_path, 0.1)
    compiler.take(work)
    assert work.here == 0
    assert compiler.waiting[0] == "loss"
    until(lambda: list(tmp_path.glob("loss-*")))
    assert not (tmp_path / f"loss-{os.getpid()}").exists()
    assert compiler.used == set()
    found = []
    until(lambda: found.extend(compiler.adopt()) or found)
    ((title, seconds, beside),) = found
    assert beside
    assert title == "loss"
    assert seconds >= 0.1
    assert work.here == 1  # fetched by this process, too
    assert compiler.used == {"loss"}
    assert compiler.titles == ["loss"]
    assert compiler.waiting is None


@needs_fork
@pytest.mark.parametrize("end", ["adopt", "close"])
def test_the_compiler_gets_a_core_of_its_own(end, tmp_path):
    """And what it has made is found under the number of threads that the run has again."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        compiler = Compiler(beside=True)
        compiler.take(Work("loss", tmp_path, 0.0 if end == "adopt" else 60.0))
        compiler.take(Work("scores", tmp_path, 0.0 if end == "adopt" else 60.0))
        assert torch.get_num_threads() == 1
        if end == "close":
            compiler.close()
        else:
            found = []
            until(lambda: found.extend(compiler.adopt()) or compiler.waiting is None)
            assert [made.beside for made in found] == [True, True]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@needs_fork
@pytest.mark.parametrize(("threads", "at_a_time"), [(1, 1), (2, 1), (4, 2)])
def test_half_of_the_cores_at_most_compile_in_the_order_that_was_asked_for(threads, at_a_time, tmp_path):
    class Slow(Work):
        def compile(self):
            (self.folder / f"{self.title}-begun").write_text(str(os.nice(0)))
            until(lambda: (self.folder / f"{self.title}-end").exists())
            super().compile()

    def begun():
        return sorted(path.name[0] for path in tmp_path.glob("*-begun") if path.read_text())

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    compiler = Compiler(beside=True)
    try:
        for name in "abc":
            compiler.take(Slow(name, tmp_path))
        until(lambda: begun() == list("abc")[:at_a_time])
        assert torch.get_num_threads() == max(threads - at_a_time, 1)
        assert int((tmp_path / "a-begun").read_text()) > os.nice(0)  # the run comes first
        (tmp_path / "a-end").touch()
        until(lambda: [made.title for made in compiler.adopt()] == ["a"])
        until(lambda: begun() == list("abc")[: at_a_time + 1])
        assert not compiler.complete
        for name in "bc":
            (tmp_path / f"{name}-end").touch()
        until(lambda: compiler.adopt() is None or compiler.complete)
        assert sorted(compiler.titles) == ["a", "b", "c"]
        assert torch.get_num_threads() == threads
    finally:
        compiler.close()
        torch.set_num_threads(before)


@needs_fork
def test_what_is_known_or_was_used_before_is_compiled_at_once(tmp_path):
    known, repeated = Work("known", tmp_path), Work("repeated", tmp_path)
    remember("known")
    compiler = Compiler(beside=True, used=["repeated"])
    for work in (known, repeated):
        compiler.take(work)
        assert work.here == 1
    assert compiler.waiting is None


def test_a_short_run_fetches_code_and_has_none_made(tmp_path):
    known, other = Work("known", tmp_path), Work("other", tmp_path)
    remember("known")
    compiler = Compiler(beside=True, makes=False)
    assert compiler.complete
    for work in (known, other):
        compiler.take(work)
    assert (known.here, other.here) == (1, 0)
    assert (compiler.used, compiler.waiting, compiler.complete) == ({"known"}, None, False)


@needs_compiler
def test_a_short_run_traces_nothing_that_cannot_be_in_the_cache():
    traced = []

    def function(parameters, inputs):
        traced.append(isinstance(parameters["w"], FakeTensor))
        return squares(parameters, inputs)

    given = example(40)
    short = Compiler(beside=True, makes=False)
    CompiledValue(function, short)(*given)
    assert traced == [False]
    assert not short.complete
    expected = CompiledValue(function)(*given)  # another run makes the code
    later = Compiler(beside=True, makes=False)
    torch.testing.assert_close(CompiledValue(function, later)(*given), expected, rtol=0, atol=0)
    assert later.complete
    assert len(later.used) == 1
    assert not later.wants("sketch of another")  # also beside one that the cache has
    assert Compiler(beside=True, used=later.used, makes=False).wants("sketch of another")  # a resumed run repeats it


@needs_fork
def test_a_run_that_ends_ends_what_compiles_beside_it(tmp_path):
    compiler = Compiler(beside=True)
    compiler.take(Work("loss", tmp_path, 60))
    (process,) = multiprocessing.active_children()
    compiler.close()
    assert not process.is_alive()
    assert compiler.waiting is None


@needs_fork
def test_a_failure_shows_when_the_code_is_fetched(tmp_path):
    class Broken(Work):
        def compile(self):
            self.here += 1
            raise SystemExit(3)

    compiler, work = Compiler(beside=True), Broken("loss", tmp_path)
    compiler.take(work)
    with pytest.raises(SystemExit):
        until(lambda: compiler.adopt() or work.here)


@pytest.fixture
def without_forks(monkeypatch):
    """As where a GPU was used."""
    monkeypatch.setattr(compiling_process, "can_fork", lambda: False)


def test_a_process_that_has_used_a_gpu_is_not_forked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert not can_fork()


class Unpacked(Work):
    """What another process cannot be given."""

    def packed(self):
        raise TypeError("an operation of somebody's own")


@pytest.mark.usefixtures("without_forks")
def test_what_cannot_be_packed_is_compiled_when_it_is_fetched(tmp_path):
    compiler, works = Compiler(beside=True), [Unpacked(name, tmp_path) for name in "ab"]
    for work in works:
        compiler.take(work)
    assert [work.here for work in works] == [0, 0]
    assert [made.title for made in compiler.adopt()] == ["a"]
    assert [made.title for made in compiler.adopt()] == ["b"]
    assert [work.here for work in works] == [1, 1]
    assert compiler.complete


class Packed(Work):
    """What a new process is given, whatever it makes of it."""

    def packed(self):
        return b"nothing that can be compiled"


@pytest.mark.usefixtures("without_forks")
def test_a_process_that_fails_leaves_the_work_to_the_run_which_counts_it_as_waiting(tmp_path):
    compiler, work = Compiler(beside=True), Packed("loss", tmp_path, 0.2)
    compiler.take(work)
    until(lambda: not compiler._running[0][1].is_alive(), 60)
    assert compiler.seconds == 0
    ((title, _, beside),) = compiler.adopt()
    assert (title, beside, work.here) == ("loss", False, 1)
    assert compiler.seconds >= 0.2


@pytest.mark.usefixtures("without_forks")
def test_one_new_process_at_a_time_which_ends_with_the_run(tmp_path, monkeypatch):
    program = f"import os, time; open({str(tmp_path / 'begun')!r}, 'w').write(str(os.fork())); time.sleep(60)"
    monkeypatch.setattr(compiling_process, "PROGRAM", program)
    compiler = Compiler(beside=True)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        compiler.take(Packed("a", tmp_path))
        compiler.take(Packed("b", tmp_path))
        ((job, process, _),) = compiler._running
        assert job.title == "a"
        until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text() not in ("", "0"))
        assert process.is_alive()
        compiler.close()
        assert not process.is_alive()
        worker = int((tmp_path / "begun").read_text())
        until(lambda: not alive(worker))  # torch has workers of its own for a GPU
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


TABLE = torch.arange(1.0, 41.0, dtype=torch.float64)


def with_a_table(parameters, inputs):
    """And with places and a quotient whose data type is torch's default when it is traced."""
    places = torch.linspace(0, 1, 7) + 1 / (3 * torch.arange(1, 8))
    return squares(parameters, inputs) + (TABLE * parameters["w"].sum()).sin().sum() + places.sum()


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("without_forks")
def test_a_new_process_leaves_the_code_that_this_one_would_make(monkeypatch):
    from torch._inductor.graph import GraphLowering

    compiler = Compiler(beside=True)
    function, given = CompiledValue(with_a_table, compiler), example(40, 50)
    with default_dtype(torch.float64):
        expected = with_a_table(*given).detach()
        assert torch.equal(function(*given), expected)
    until(lambda: not compiler._running[0][1].is_alive(), 200)
    (graph,) = function._graphs.values()
    assert is_known(graph.fingerprint)
    monkeypatch.setattr(GraphLowering, "run", lambda *unused: pytest.fail("made here"))
    ((title, _, beside),) = compiler.adopt()
    assert (title, beside) == ("with_a_table", True)
    assert torch.allclose(function(*given), expected, rtol=1e-13)
    assert compiler.used == {graph.fingerprint}


@needs_fork
@needs_compiler
def test_a_function_runs_uncompiled_until_its_code_is_adopted():
    compiler = Compiler(beside=True)
    function, (parameters, inputs) = CompiledValue(squares, compiler), example(40, 50)
    expected = squares(parameters, inputs).detach()
    assert torch.equal(function(parameters, inputs), expected)
    until(lambda: not compiler._running[0][1].is_alive(), 200)
    assert torch.equal(function(parameters, inputs), expected)  # in the middle of a step nothing changes
    (graph,) = function._graphs.values()
    assert graph._run is None
    ((title, _, beside),) = compiler.adopt()
    assert (title, beside) == ("squares", True)
    assert torch.allclose(function(parameters, inputs), expected, rtol=1e-13)
    assert graph._run is not None
    assert compiler.used == {graph.fingerprint}
    again = Compiler(beside=True)
    assert torch.allclose(CompiledValue(squares, again)(parameters, inputs), expected, rtol=1e-13)
    assert again.used == compiler.used  # from the cache: at once
    assert again.waiting is None
