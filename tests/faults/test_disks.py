"""Runs of the command on a disk that is full, or read-only, from the start or from the middle of the run.

pytest -m slow tests/faults/test_disks.py
PINNLAB_WRITE_DOCS=1 pytest -m slow tests/faults/test_disks.py    # and writes the table of docs/reliability.md
"""

import shutil

import pytest
import torch
import yaml
from forked import finish, forked, run_command
from reliability_page import kept, write_table
from small_disk import Disk, allowed, mount

STEPS = 12
OPTIMIZERS = ("Adam", "pinnlab.optimizers.LBFGS", "SSBroyden", "LevenbergMarquardt")
AMPLE = 64 << 20  # bytes of the disk: two checkpoints with a dense matrix take 20 MB

CASES = {
    "full before the start": (("full", 0, None), 1),
    "read-only before the start": (("read-only", 0, None), 2),
    "full from step 5 on": (("full", 4, None), 1),
    "read-only from step 5 on": (("read-only", 4, None), 1),
    "no file above 20 kB from step 5 on": (("limit", 4, None), 1),
    "full in steps 5 to 8": (("full", 4, 8), 0),
    "read-only in steps 5 to 8": (("read-only", 4, 8), 0),
}
"""What is wrong with the disk, from which step until which, and the exit code."""


@pytest.fixture(scope="module")
def rows():
    """What was seen; the table is made of it when all runs are over."""
    yield from kept(len(CASES) * len(OPTIMIZERS), write)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
def test_a_broken_disk(tmp_path, rows, case, optimizer):
    (kind, step, until), expected = CASES[case]
    (tmp_path / "disk").mkdir()
    if finish(forked(allowed, tmp_path / "disk")) != 0:
        pytest.skip("this system does not let this user mount a disk")
    write_recipe(tmp_path, optimizer, kind, step, until)
    try:
        code = finish(forked(on_disk, tmp_path, kind if step == 0 else None), 60.0)
    except TimeoutError:
        rows.append((case, False, True, None, None, 0))
        raise
    errors = (tmp_path / "error.txt").read_text().splitlines()
    lines = [line for line in errors if not line.startswith("warning: ")]
    saved = next((tmp_path / "kept").rglob("last.ckpt"), None)
    kept = went_on = None
    if step > 0:
        kept = saved is not None and torch.load(saved, weights_only=True)["global_step"]
        went_on = goes_on(tmp_path, saved, optimizer)
    rows.append((case, code == expected, False, kept, went_on, len(lines)))
    assert code == expected, "\n".join(errors)
    assert len(lines) == (code > 0), "\n".join(errors)
    if step > 0:
        assert kept >= step if code else kept == STEPS  # the next saves may find what the last one freed
        assert went_on
        assert not [path for path in (tmp_path / "kept").rglob("*") if path.suffix in (".part", ".partial")]


def write_recipe(folder, optimizer, kind, step, until):
    callbacks = [{"class_path": "RunCheckpoint", "init_args": {"seconds": 1e-9}}]
    if step:
        where = {"folder": str(folder / "disk"), "kind": kind, "step": step, "until": until}
        callbacks.insert(0, {"class_path": "small_disk.Disk", "init_args": where})
    recipe = {
        "problem": "Poisson1D",
        "model": {"compile": False, "phases": [{"optimizer": optimizer, "steps": STEPS}]},
        "data": {"points": {"pde": 20, "boundary": 2}, "evaluation_points": 100},
        "trainer": {"callbacks": callbacks, "enable_progress_bar": False, "val_check_interval": 5},
    }
    recipe["trainer"]["default_root_dir"] = str(folder / "disk" / "runs")
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe))


def on_disk(folder, broken):
    """The command, with its runs on a disk of its own; what is on the disk at the end is copied to `kept`."""
    disk = folder / "disk"
    mount(disk, AMPLE)
    if broken is not None:
        Disk(disk, broken).set(True)
    try:
        run_command(folder, "fit", "-c", "small.yaml")
    finally:
        Disk(disk, "limit").set(False)
        shutil.copytree(disk, folder / "kept", ignore=lambda _, names: {"filler"} & set(names))


def goes_on(folder, saved, optimizer):
    """Whether the last checkpoint is a start for the rest of the run, on a good disk."""
    again = folder / "again"
    again.mkdir()
    write_recipe(again, optimizer, None, 0, None)
    code = finish(forked(run_command, again, "fit", "-c", "small.yaml", "--ckpt_path", saved))
    found = next(again.rglob("last.ckpt"), None)
    return code == 0 and torch.load(found, weights_only=True)["global_step"] == STEPS


def write(found):
    """The table, into the page, between its markers."""
    head = (
        "the disk is",
        "runs",
        "exit code",
        "as it should be, at most one line",
        "hung",
        "step of `last.ckpt`, of 12",
        "went on to the end from there",
    )
    rows = []
    for case, (_, code) in CASES.items():
        own = [row for row in found if row[0] == case]
        steps = map(str, sorted({row[3] for row in own if row[3] is not None}))
        went_on = [row[4] for row in own if row[4] is not None]
        right = sum(row[1] and row[5] <= 1 for row in own)
        rows.append(
            (
                case,
                len(own),
                code,
                right,
                sum(row[2] for row in own),
                ", ".join(steps) or "none",
                f"{sum(went_on)} of {len(went_on)}" if went_on else "nothing to go on from",
            )
        )
    write_table("disks", head, rows)
