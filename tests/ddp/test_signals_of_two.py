"""Two processes end together: on a signal, in order and with a checkpoint; when one is killed, with a word about it."""

import re
import signal
import time
from pathlib import Path

import pytest
from two_process_runs import ENVIRONMENT, SAVING, TwoProcessRun, resumes


@pytest.fixture
def run(tmp_path):
    started = TwoProcessRun(tmp_path, SAVING, "--trainer.enable_progress_bar=false")
    yield started
    started.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("number", "to", "code"),
    [
        pytest.param(signal.SIGTERM, "parent", 143, marks=pytest.mark.slow),
        (signal.SIGTERM, "rank", 143),
        pytest.param(signal.SIGINT, "group", 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_any_of_them_ends_both_with_a_checkpoint_that_goes_on(run, tmp_path, number, to, code):
    run.wait_for("*step=20.ckpt")
    ended = run.send(number, to)
    assert ended.code == code
    assert ended.seconds < 30  # 2 on a machine that has nothing else to do
    assert ended.error == ""
    step, later = resumes(run.checkpoint(), tmp_path / "again")
    assert step >= 20
    assert later == step + 3


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("to", "code", "gone"),
    [("rank", 1, "rank 1"), ("parent", -signal.SIGKILL, "rank 0")],
)
def test_a_killed_rank_ends_the_other_with_one_line(run, to, code, gone):
    """What a watch does when another rank is gone is tested always, by `tests/training/test_ranks.py`."""
    run.wait_for("last.ckpt")
    time.sleep(0.3)
    ended = run.send(signal.SIGKILL, to)
    assert ended.code == code
    assert ended.seconds < 30
    assert ended.error.startswith(f"error: {gone} (process ")
    assert len(ended.error.splitlines()) == 1
    assert run.checkpoint() is not None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_an_error_on_one_rank_ends_the_other_with_one_line(tmp_path, monkeypatch, rank):
    """It may save nothing: that takes both."""
    monkeypatch.setitem(ENVIRONMENT, "FAILING", str(rank))
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path))
    program = [str(Path(__file__).with_name("run_failing.py"))]
    run = TwoProcessRun(tmp_path, "--trainer.enable_progress_bar=false", program=program)
    ended = run.end([run.process.pid], time.monotonic())
    assert ended.code == 1
    told = re.fullmatch(rf"error: rank {rank}: MemoryError: no more; traceback in (.*)\n", ended.error)
    assert told, ended.error
    assert 'raise MemoryError("no more")' in Path(told[1]).read_text()
    assert run.checkpoint() is None
