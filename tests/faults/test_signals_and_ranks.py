"""Twenty kills and twenty signals at random moments; the table of docs/reliability.md is written from here.

pytest -m slow tests/faults
PINNLAB_WRITE_DOCS=1 pytest -m slow tests/faults    # and writes the table
"""

import random
import signal
import time

import pytest
from reliability_page import kept, write_table
from two_process_runs import SAVING, TwoProcessRun, resumes

OPTIONS = (SAVING, "--trainer.val_check_interval=30", "--trainer.enable_progress_bar=false")
RUNS = 20
LONGEST = 60.0  # seconds from the signal to the end of all ranks; more is a hang
EARLY = 0.25  # of the runs are hit while they start

CASES = [(signal.SIGKILL, to) for to in ("parent", "rank")]
CASES += [(number, to) for number in (signal.SIGTERM, signal.SIGINT) for to in ("parent", "group", "rank")]
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def drawn(kind):
    """Twenty cases, and the moments at which they happen."""
    chance = random.Random(kind)
    cases = [case for case in CASES if (case[0] == signal.SIGKILL) == (kind == "kill")]
    return [
        pytest.param(*cases[k % len(cases)], chance.random() < EARLY, chance.random(), id=f"{kind}{k}")
        for k in range(RUNS)
    ]


@pytest.fixture(scope="module")
def rows():
    """What was seen; the table is made of it when all runs are over."""
    yield from kept(2 * RUNS, write)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("number", "to", "early", "moment"), drawn("kill") + drawn("signal"))
def test_a_run_that_is_hit_ends_in_order(tmp_path, rows, number, to, early, moment):
    run = TwoProcessRun(tmp_path, *OPTIONS)
    name = f"{signal.Signals(number).name} to {'the process group' if to == 'group' else to}"
    try:
        wait_for_the_moment(run, early, moment)
        saved = run.checkpoint()
        ended = run.send(number, to)
    except TimeoutError:
        rows.append((name, early, False, True, None, LONGEST, 0))
        raise
    finally:
        run.kill()
    saved = run.checkpoint() if number != signal.SIGKILL else saved and run.checkpoint()
    right = ended.shell_code == expected(number, to)
    went_on = None
    if saved is not None:
        went_on = went_on_from(saved, tmp_path / "again")
    lines = len(ended.error.splitlines())
    rows.append((name, early, right, False, went_on, ended.seconds, lines))
    assert right, f"exit code {ended.code}: {ended.error[-2000:]}"
    assert went_on is not False
    assert lines <= 1 or early, ended.error
    if not early:
        assert number == signal.SIGKILL or went_on, "no last.ckpt"


def wait_for_the_moment(run, early, moment):
    """While the run starts, or at a random moment of the three seconds after its first checkpoint."""
    if early:
        begin, longest = time.monotonic(), 8.0 * moment
        while len(run.ranks()) < 2 or time.monotonic() < begin + longest:
            time.sleep(0.01)
            if run.checkpoint() is not None:
                break
        return
    run.wait_for("last.ckpt")
    time.sleep(3.0 * moment)


def expected(number, to):
    """The main process's exit code, as shells have it."""
    if number == signal.SIGKILL:
        return 128 + number if to == "parent" else 1
    return CODES[number]


def went_on_from(checkpoint, folder):
    """Whether it can be read and the run goes on from there."""
    try:
        step, later = resumes(checkpoint, folder)
    except (AssertionError, RuntimeError, EOFError, KeyError):
        return False
    return later == step + 3


def write(found):
    """The table, into the page, between its markers."""
    head = (
        "what, at a random moment", "runs", "of them while starting", "right exit code", "hung",
        "`last.ckpt` there, loads and goes on", "slowest end (s)", "most lines of errors",
    )  # fmt: skip
    rows = []
    for name in dict.fromkeys(row[0] for row in found):
        own = [row for row in found if row[0] == name]
        checkpoints = [row[4] for row in own if row[4] is not None]
        sums = (sum(row[k] for row in own) for k in (1, 2, 3))
        went_on = f"{sum(checkpoints)} of {len(checkpoints)}"
        rows.append((name, len(own), *sums, went_on, f"{max(r[5] for r in own):.1f}", max(r[6] for r in own)))
    write_table("ranks", head, rows)
