"""Checkpoints are written whole or not at all, and read in one line where they are none."""

import errno
import io
import os
import signal
import time

import pytest
import torch
from forked import finish, forked, pipe

from pinnlab.errors import ConfigurationError
from pinnlab.training import checkpoint_io
from pinnlab.training.checkpoint_io import AtomicCheckpointIO

STATE = {"pinnlab": {}, "state_dict": {"weights": torch.arange(1000.0)}, "step": 3}


def test_what_is_written_is_read(tmp_path):
    AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "new" / "last.ckpt")
    found = AtomicCheckpointIO().load_checkpoint(tmp_path / "new" / "last.ckpt", weights_only=True)
    assert torch.equal(found["state_dict"]["weights"], STATE["state_dict"]["weights"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.ckpt"]


def full_disk(file):
    file.write(b"half of")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_in_the_middle_of_a_run_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "save", lambda checkpoint, file: full_disk(file))
    writer = AtomicCheckpointIO()
    with pytest.raises(OSError, match="No space left"):
        writer.save_checkpoint(STATE, tmp_path / "last.ckpt")
    writer.tolerant = True
    with pytest.warns(UserWarning, match="no checkpoint was written: .*No space left"):
        writer.save_checkpoint(STATE, tmp_path / "last.ckpt")
    assert writer.failed.errno == errno.ENOSPC
    monkeypatch.undo()
    writer.save_checkpoint(STATE, tmp_path / "last.ckpt")
    assert writer.failed is None


def save_for_ever(path, told):
    writer, step = AtomicCheckpointIO(), 0
    while True:
        step += 1
        state = {"weights": torch.full((300_000,), float(step))}
        writer.save_checkpoint({"pinnlab": {}, "step": step, "state_dict": state}, path)
        told.send(step)


def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path):
    path = tmp_path / "last.ckpt"
    for pause in (0.0, 0.02):
        receiver, sender = pipe()
        process = forked(save_for_ever, path, sender)
        assert receiver.recv() == 1
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        assert finish(process) == -signal.SIGKILL
        found = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
        assert (found["state_dict"]["weights"] == found["step"]).all()
    AtomicCheckpointIO().save_checkpoint(STATE, path)  # cleans up what the killed ones left
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def truncated(path):
    AtomicCheckpointIO().save_checkpoint(STATE, path)
    path.write_bytes(path.read_bytes()[:2000])


BROKEN = {
    "truncated": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("problem: burgers"),
    "a tensor": lambda path: torch.save(torch.zeros(3), path),
    "missing": lambda path: None,
    "foreign": lambda path: torch.save({"state_dict": {}}, path),
    "of nobody": lambda path: torch.save({"pinnlab": None, "state_dict": {}}, path),
    "without parameters": lambda path: torch.save({"pinnlab": {}}, path),
    "a folder": lambda path: path.mkdir(),
    "objects": lambda path: torch.save({"a": object()}, path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path, kind):
    path = tmp_path / "x.ckpt"
    BROKEN[kind](path)
    with pytest.raises(ConfigurationError) as caught:
        AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert "ckpt_path" in str(caught.value)
    assert "x.ckpt" in str(caught.value)
    assert "\n" not in str(caught.value)


class Full(io.RawIOBase):
    """A file that takes so many writes and no more."""

    def __init__(self, writes):
        self.writes = writes

    def write(self, data):
        self.writes -= 1
        if self.writes < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


@pytest.mark.parametrize("writes", range(6))
def test_a_full_disk_is_a_warning_wherever_torch_meets_it(tmp_path, monkeypatch, writes):
    monkeypatch.setattr(checkpoint_io, "write_whole", lambda path, write: write(Full(writes)))
    writer = AtomicCheckpointIO()
    with pytest.raises(OSError, match="No space left"):
        writer.save_checkpoint(STATE, tmp_path / "last.ckpt")
    writer.tolerant = True
    with pytest.warns(UserWarning, match=r"no checkpoint was written: .*No space left"):
        writer.save_checkpoint(STATE, tmp_path / "last.ckpt")
