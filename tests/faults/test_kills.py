"""Two hundred kills of runs on one process, half of them in the middle of a save, half on a second file system.

    pytest -m slow tests/faults/test_kills.py
    PINNLAB_WRITE_DOCS=1 pytest -m slow tests/faults/test_kills.py    # and writes the table of docs/reliability.md

The second file system is that of the folder PINNLAB_OTHER_FOLDER; without it, one in memory that may be written to.
"""

import itertools
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
import torch
from forked import finish, forked, pipe
from killed_runs import RUN_CALLBACKS, RUN_PHASES, SAVES, train
from reliability_page import kept, write_table
from training import GROWTH_CALLBACKS, assert_alike

from pinnlab.training.checkpoint_io import AtomicCheckpointIO

RUNS = 200
ANY = "at a random moment"


def drawn():
    """Phases with callbacks, each pair at most once, the moment, and where."""
    chance = random.Random(0)
    pairs = list(itertools.product(RUN_PHASES, RUN_CALLBACKS))
    pairs = [p for p in pairs if not (p[0] == "multi_batch" and p[1] in GROWTH_CALLBACKS)]  # refused: two ways to batch
    chance.shuffle(pairs)
    moments = itertools.cycle([ANY] * len(SAVES) + list(SAVES))
    places = itertools.cycle(["disk"] * 8 + ["second"] * 8)
    return [
        pytest.param(*pair, next(moments), next(places), chance.random(), id=f"kill{k}")
        for k, pair in enumerate(pairs[:RUNS])
    ]


@pytest.fixture(scope="module")
def rows():
    """What was seen; the table is made of it when all runs are over."""
    yield from kept(RUNS, write)


@pytest.fixture
def folder(tmp_path, place):
    """Of the killed run: the test's own, or one on another file system."""
    if place == "disk":
        yield tmp_path / "killed"
        return
    other = other_file_system(tmp_path)
    if other is None:
        pytest.skip("there is no second file system; name a folder on one in PINNLAB_OTHER_FOLDER")
    with tempfile.TemporaryDirectory(dir=other) as made:
        yield Path(made) / "killed"


def other_file_system(folder):
    """A folder for temporary ones on another file system than this one; None if there is none."""
    given = os.environ.get("PINNLAB_OTHER_FOLDER")
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    tried = [given] if given else [mount[1] for mount in mounts if mount[2] == "tmpfs"]
    for path in tried:
        roomy = os.path.isdir(path) and os.access(path, os.W_OK) and shutil.disk_usage(path).free > 1 << 28
        if roomy and os.stat(path).st_dev != folder.stat().st_dev and not path.startswith(("/sys", "/proc")):
            return path
    return None


@pytest.mark.slow
@pytest.mark.parametrize(("phases", "callbacks", "moment", "place", "fraction"), drawn())
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, folder, rows, phases, callbacks, moment, place, fraction):
    whole = tmp_path / "whole"
    whole.mkdir()
    begun, seconds = start(whole, phases, callbacks)
    assert finish(begun) == 0, (whole / "output.txt").read_text()[-2000:]
    expected = torch.load(whole / "result.pt", weights_only=True)
    kill(folder, phases, callbacks, moment, fraction, seconds(), expected["saves"])
    left = {path.name for path in folder.iterdir()}
    for name in left & {"last.ckpt", "previous.ckpt"}:
        AtomicCheckpointIO().load_checkpoint(folder / name, weights_only=True)
    checkpoint = folder / "last.ckpt" if "last.ckpt" in left else None
    again, _ = start(folder, phases, callbacks, checkpoint)
    assert finish(again) == 0, (folder / "output.txt").read_text()[-2000:]
    found = torch.load(folder / "result.pt", weights_only=True)
    same = True
    try:
        assert_alike({**found, "saves": 0}, {**expected, "saves": 0})
    except AssertionError:
        same = False
        raise
    finally:
        rows.append((moment, place, checkpoint is None, any(name.endswith(".part") for name in left), same))
    assert not list(folder.glob(".*.part"))


def start(folder, phases, callbacks, checkpoint=None, dies=None):
    """Starts a run; it, and what gives the seconds since its first step."""
    receiver, sender = pipe()
    process = forked(train, folder, phases, callbacks, checkpoint, dies, sender)
    assert receiver.poll(60.0), (folder / "output.txt").read_text()[-2000:]
    begun = receiver.recv()
    return process, lambda: time.monotonic() - begun


def kill(folder, phases, callbacks, moment, fraction, longest, saves):
    """Trains until it is killed, somewhere in the time that an uninterrupted run took or in one of its saves."""
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        first = 2 if moment == SAVES[2] else 1  # the first save has none before it
        dies = None if moment == ANY else (moment, first + int(fraction * (saves + 1 - first)))
        process, _ = start(folder, phases, callbacks, dies=dies)
        if moment == ANY:
            time.sleep(fraction * longest)
            process.kill()
        code = finish(process)
        if code == -signal.SIGKILL:
            return
        longest /= 2
    raise AssertionError(f"the run ended with {code} before it was killed")


def write(found):
    """The table, into the page, between its markers."""
    head = (
        "killed",
        "file system",
        "kills",
        "of them before the first save",
        "left a temporary file behind",
        "went on to the same bits",
    )
    rows = []
    for moment in (ANY, *SAVES):
        for place in ("disk", "second"):
            own = [row for row in found if row[:2] == (moment, place)]
            sums = [sum(row[k] for row in own) for k in (2, 3, 4)]
            rows.append((moment, place, len(own), *sums[:2], f"{sums[2]} of {len(own)}"))
    write_table("kills", head, rows)
