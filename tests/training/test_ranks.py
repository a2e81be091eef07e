"""A watch ends its process on signals and when another rank is gone; `tests/ddp` has it in real runs."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import pinnlab
from pinnlab.training.ranks import RankWatch, taken_signals

START = f"""
import importlib.util, os, signal, subprocess, sys, time
spec = importlib.util.spec_from_file_location("ranks", {str(Path(pinnlab.__file__).parent / "training" / "ranks.py")!r})
ranks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ranks)
ranks.OWN_WORDS, ranks.AFTER_YOU = 0.5, 0.5
watch = ranks.RankWatch()
def begin(children=(), rank=0):
    watch.start(rank, children)
    print("ready", flush=True)
"""
"""The module by itself: without torch a process starts in no time."""


class Script:
    """A process that runs some lines and says "ready" on the way."""

    def __init__(self, lines):
        self.process = subprocess.Popen(
            [sys.executable, "-c", START + textwrap.dedent(lines)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n", self.process.communicate()
        self.begin = time.monotonic()

    def end(self):
        """Exit code, seconds, what it printed and what it complained of."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, time.monotonic() - self.begin, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_before_the_first_step_a_signal_ends_at_once(number, code):
    script = Script("begin(); time.sleep(60)")
    script.process.send_signal(number)
    assert script.end()[::3] == (code, "")


def test_during_a_step_a_signal_is_noted_for_its_end():
    script = Script("""
        watch.begin(20.0)
        begin()
        while watch.number is None: time.sleep(0.01)
        watch.wind_up()
        time.sleep(0.3)
        print(watch.number)
        sys.exit(watch.leave(7))
    """)
    script.process.send_signal(signal.SIGTERM)
    code, _, out, err = script.end()
    assert (code, out, err) == (7, f"{int(signal.SIGTERM)}\n", "")


def test_a_step_that_is_not_over_in_time_ends_hard():
    script = Script("watch.begin(1.0); begin(); time.sleep(60)")
    script.process.send_signal(signal.SIGTERM)
    code, seconds, _, err = script.end()
    assert (code, err) == (143, "")
    assert 1.0 <= seconds < 20


def test_the_second_signal_ends_hard_but_an_echo_does_not():
    script = Script("watch.begin(60.0); begin(); time.sleep(90)")
    for pause in (0.0, 0.1, 1.0):
        time.sleep(pause)
        assert script.process.poll() is None
        script.process.send_signal(signal.SIGINT)
    code, seconds, _, err = script.end()
    assert (code, err) == (130, "")
    assert seconds < 30


CHILD = "subprocess.Popen([sys.executable, '-c', '''{}'''])"


def test_a_killed_child_ends_its_parent_with_one_line():
    script = Script(f"begin([{CHILD.format('import os; os.kill(os.getpid(), 9)')}]); time.sleep(60)")
    code, _, _, err = script.end()
    assert code == 1
    assert err.startswith("error: rank 1 (process ")
    assert err.endswith("was killed by SIGKILL; the run ends\n")


def test_a_child_that_failed_leaves_its_parent_time_for_its_own_words():
    child = CHILD.format("raise SystemExit(3)")
    code, _, _, err = Script(f"begin([{child}]); time.sleep(60)").end()
    assert (code, err.count("\n")) == (3, 1)
    assert "rank 1" in err
    assert Script(f"begin([{child}]); time.sleep(0.2); sys.exit(4)").end()[::3] == (4, "")


def test_a_child_that_a_signal_ended_ends_its_parent_alike():
    child = CHILD.format("raise SystemExit(143)")
    assert Script(f"watch.begin(60.0); begin([{child}]); time.sleep(60)").end()[::3] == (143, "")


def test_a_child_notices_that_its_parent_is_gone():
    """The middle process starts a rank and is killed."""
    rank = "begin(rank=1); time.sleep(60)"
    script = Script(f"""
        with ranks.signals_held():
            child = subprocess.Popen([sys.executable, "-c", {START + rank!r}])
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    code, _, _, err = script.end()
    assert code == -signal.SIGKILL
    assert err.startswith("error: rank 0 (process ")
    assert err.count("\n") == 1


def test_signals_that_come_while_a_rank_starts_wait_for_its_watch():
    script = Script("""
        with ranks.signals_held():
            print("ready", flush=True)
            time.sleep(0.5)
            print("held", flush=True)
        time.sleep(60)
    """)
    script.process.send_signal(signal.SIGTERM)
    code, _, out, _ = script.end()
    assert (code, out) == (-signal.SIGTERM, "held\n")


class Child:
    """A rank that is killed at once."""

    pid = 4711

    def __init__(self):
        self.code = None

    def poll(self):
        return self.code

    def kill(self):
        self.code = -signal.SIGKILL


def test_the_ranks_that_an_error_takes_along_are_not_told_of():
    watch, children, ended = RankWatch(), [Child(), Child()], []
    watch._children = children
    watch._end = lambda *words: ended.append(words)
    error = watch.failed(MemoryError("no more"))
    assert str(error).startswith("rank 0: MemoryError: no more; traceback in ")
    assert all(child.code == -signal.SIGKILL for child in children)
    watch._look_at_children()
    assert ended == []


def test_a_rank_that_somebody_else_killed_is_told_of():
    watch, child, ended = RankWatch(), Child(), []
    watch._children = [child]
    watch._end = lambda *words: ended.append(words)
    watch._look_at_children()
    assert ended == []
    child.kill()
    watch._look_at_children()
    assert ended == [(1, "rank 1 (process 4711) was killed by SIGKILL; the run ends")]


def test_a_run_under_nohup_does_not_end_with_its_terminal():
    assert signal.SIGHUP in taken_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert taken_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
