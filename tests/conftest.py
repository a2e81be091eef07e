"""Threads for the test processes, and the one place that says which of them see a GPU."""

import os
from pathlib import Path

import pytest

LAID_OUT = Path(__file__).parent / "reporting"
"""Tests of figures; all others draw them on the way."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers and threads multiply; set before NumPy or torch is imported (so nothing above may import them, matplotlib
    # neither), and passed on to processes that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    """Hides GPUs, from processes that tests start too, unless their tests are asked for: `pytest -m cuda`.

    Without them tests compute on a machine with a GPU what they compute on all others.
    """
    asked = config.option.markexpr or ""
    if "cuda" not in asked or "not cuda" in asked:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(items):
    """Skips what needs a GPU where there is none, and says so."""
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


@pytest.fixture(autouse=True)
def _margins_as_they_come(request, monkeypatch):
    """Spares runs the search for the margins of their figures, which takes half the time of drawing them."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if LAID_OUT not in request.path.parents:
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)


@pytest.fixture
def rendered():
    """Has the figures that a test's runs send to TensorBoard rendered."""


@pytest.fixture(autouse=True)
def _figures_unseen(request, monkeypatch):
    """Spares runs the rendering of the figures that they send to TensorBoard on the way; they are made all the same."""
    if LAID_OUT in request.path.parents or "rendered" in request.fixturenames:
        return
    import numpy as np
    from matplotlib import pyplot
    from torch.utils.tensorboard import writer

    def blank(figure, close=True):
        if close:
            pyplot.close(figure)
        return np.zeros((3, 4, 4), np.uint8)

    monkeypatch.setattr(writer, "figure_to_image", blank)


@pytest.fixture
def traced(monkeypatch, tmp_path):
    """Has what would be compiled only traced, and the graphs of torch's operations run: all but the machine code.

    That is tested by `tests/numerics`, once for each kind of function; it takes seconds each time.
    """
    import torch._inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "traced"))  # of graphs that have no code
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples, **options: graph)


@pytest.fixture
def quick_starts(monkeypatch):
    """Forks the processes of studies, which spawn them: each would import everything."""
    import multiprocessing

    from forked import CONTEXT

    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: CONTEXT)
