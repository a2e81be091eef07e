"""TensorBoard reads what is written, and a disk that refuses costs nothing but a warning."""

import errno
import pathlib
import warnings

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from pinnlab.reporting import event_file
from pinnlab.reporting.event_file import Board
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def scalars(folder):
    """What TensorBoard itself finds there: (step, value) by tag."""
    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_reads_what_torchs_writer_would_have_written(tmp_path):
    for name, kind in (("ours", Board), ("torchs", SummaryWriter)):
        with kind(str(tmp_path / name)) as board:
            for step in range(5):
                board.add_scalar("loss", 0.5**step, step)
            board.add_histogram("h", torch.arange(4.0), 0)
    assert scalars(tmp_path / "ours") == scalars(tmp_path / "torchs")
    assert len(scalars(tmp_path / "ours")["loss"]) == 5


class Full(pathlib.PosixPath):
    """A file of which only some bytes fit onto the disk."""

    room = 10

    def open(self, *arguments, **options):
        file, room = super().open(*arguments, **options), self.room

        class File:
            def write(self, data):
                if not room:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return file.write(data[: min(room, len(data) // 2 or 1)]) if len(data) > 1 else self.full()

            def full(self):
                raise OSError(errno.ENOSPC, "No space left on device")

            tell, truncate = file.tell, file.truncate

            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

        return File()


def test_what_a_full_disk_refuses_is_written_later(tmp_path):
    board = Board(str(tmp_path))
    board.add_scalar("loss", 1.0, 0)
    board.flush()
    writer = board.file_writer.event_writer
    whole, path = writer._path.read_bytes(), writer._path
    writer._path = Full(path)
    board.add_scalar("loss", 2.0, 1)
    with pytest.warns(UserWarning, match="TensorBoard's events wait to be written: .*No space left"):
        board.flush()
    assert path.read_bytes() == whole  # no half of an event
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        board.add_scalar("loss", 3.0, 2)
        board.flush()  # once is enough
    writer._path = path
    board.close()
    assert scalars(tmp_path)["loss"] == [(0, 1.0), (1, 2.0), (2, 3.0)]


def test_no_more_is_kept_than_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(event_file, "MOST", 200)
    board = Board(str(tmp_path))
    board.add_scalar("begin", 0.0, 0)
    writer = board.file_writer.event_writer
    path, writer._path = writer._path, Full(writer._path)
    writer._failed = True  # and told
    for step in range(20):
        board.add_scalar("loss", float(step), step)
        board.flush()
    writer._path = path
    board.close()
    kept = scalars(tmp_path)["loss"]
    assert kept == [(step, float(step)) for step in range(20 - len(kept), 20)]
    assert 0 < len(kept) < 20


def test_the_logger_writes_such_a_file_once_there_is_something_in_it(tmp_path):
    logger = LogScaleTensorBoardLogger(tmp_path)
    assert isinstance(logger.experiment, Board)
    logger.save()
    assert list(tmp_path.rglob("events.*")) == []
    logger.log_metrics({"loss/total": 0.1}, 3)
    logger.finalize("success")
    found = scalars(logger.log_dir)
    assert found["loss/total"] == [(3, pytest.approx(0.1))]
    assert found["log10/loss/total"] == [(3, pytest.approx(-1.0))]
