"""Threads for the test processes, and the one place that says which of them see a GPU."""

import functools
import gc
import importlib.metadata
import os
from pathlib import Path

import pytest

LAID_OUT = Path(__file__).parent / "reporting"
"""Tests of figures; all others draw them on the way."""

LEFT_OUT = Path(__file__).parent / "cli"
"""Tests of the command, which draw nothing but what they look at."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers and threads multiply; set before NumPy or torch is imported (so nothing above may import them, matplotlib
    # neither), and passed on to processes that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


ONCE = (
    "Synchronization debug mode is a prototype",
    ".*there was no current CUDA context",
    "The AccumulateGrad node's stream does not match",
    "(?s).*Online softmax is disabled",
)
"""What torch says once in a process with a GPU, in whichever test hears it first; none is about results."""


def asks_for(mark, config):
    """Whether tests with a mark are asked for, as those on a GPU by `pytest -m cuda`."""
    asked = config.option.markexpr or ""
    return mark in asked and f"not {mark}" not in asked


def pytest_configure(config):
    """Hides GPUs, from processes that tests start too, unless their tests are asked for.

    Without them tests compute on a machine with a GPU what they compute on all others. What packages are installed,
    which every `Trainer` looks up for 4 ms, is read once.
    """
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
    if asks_for("interpreted", config):
        os.environ["TRITON_INTERPRET"] = "1"  # Triton looks once, when it is imported; Lightning may do that
    if not asks_for("cuda", config):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    for message in ONCE:
        config.addinivalue_line("filterwarnings", f"ignore:{message}")
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")  # else as many as there are cores, in each worker


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thirteen thousand tests are no garbage: nothing is looked for while they are made, nor among them later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def is_compiled(item):
    """Whether a test has code generated for a GPU, which takes seconds for each graph."""
    given = getattr(item, "callspec", None)
    return "compiled" in item.name.partition("[")[0] or bool(given and given.params.get("compiled"))


def pytest_collection_modifyitems(config, items):
    """Skips what needs a GPU where there is none, and says so; on one what is not compiled comes first.

    Slow ones of them are left to `-m "cuda and slow"`.
    """
    if asks_for("cuda", config):
        if "slow" not in config.option.markexpr:
            items[:] = [item for item in items if not item.get_closest_marker("slow")]
        items.sort(key=is_compiled)
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        reason = "no CUDA device to be seen; where there is one, run pytest -m cuda"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _own_seed():
    """No test goes by the seed that another one has left for `lightning.seed_everything` in the environment."""
    os.environ.pop("PL_GLOBAL_SEED", None)
    yield
    os.environ.pop("PL_GLOBAL_SEED", None)


@pytest.fixture
def rendered():
    """Has the figures that a test's runs send to TensorBoard, or into files, rendered."""


@pytest.fixture(autouse=True)
def _figures_unseen(request, monkeypatch):
    """Figures of runs are made and closed; how they look is tested in `tests/reporting`."""
    from unseen import blank_figures, leave_margins, leave_out

    if LAID_OUT not in request.path.parents:
        leave_margins(monkeypatch.setattr)
        if "rendered" not in request.fixturenames:
            (leave_out if LEFT_OUT in request.path.parents else blank_figures)(monkeypatch.setattr)


@pytest.fixture
def coarser_references(monkeypatch):
    """For tests that do not measure errors."""
    from coarser import coarsen

    coarsen(monkeypatch.setattr)


@pytest.fixture
def traced(monkeypatch, tmp_path):
    """Has what would be compiled only traced, and the graphs of torch's operations run: all but the machine code.

    That is tested by `tests/numerics`, once for each kind of function; it takes seconds each time.
    """
    import torch._inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "traced"))  # of graphs that have no code
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples, **options: graph)


@pytest.fixture
def recorded(monkeypatch):
    """Has evaluations recorded anywhere, by calling again, and lists what is recorded."""
    from pinnlab.numerics.graph_replay import Recordings, by_calling
    from pinnlab.objective import global_loss

    made = []

    def record(compute):
        made.append(compute)
        return by_calling(compute)

    monkeypatch.setattr(global_loss, "recordings_for", lambda device: Recordings(device, record))
    return made


@pytest.fixture
def quick_starts(monkeypatch):
    """Forks the processes of studies, which spawn them: each would import everything."""
    import multiprocessing

    from forked import CONTEXT

    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: CONTEXT)
