"""TensorBoard's event file, written so that a disk that is full or read-only costs no run."""

from __future__ import annotations

import functools
import io
import os
import socket
import time
import warnings
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

from pinnlab.reporting.dashboard import axis_of
from pinnlab.reporting.files import append_whole, whole

SECONDS = 1.0
"""Between two writes: TensorBoard looks every few seconds."""

MOST = 64 << 20
"""Bytes that are kept for later when they cannot be written; beyond, the oldest events are lost."""


_TRAINED = "training/evaluations"
"""Only training logs it."""


def drop_events_after(folder: Path, step: int, axes: Mapping[str, int]) -> None:
    """Takes out of a run's files of events what came after a step, because the run goes on from there.

    Charts would show it twice: a line that runs back. A file that cannot be written stays as it is, with a warning.

    Args:
        folder: of the run.
        step: of the trainer, as in the checkpoint; the step that follows is logged under this number.
        axes: the same place on other axes, by name, see `pinnlab.reporting.dashboard.over_others`.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        events = [Event.FromString(record) for record in RawEventFileLoader(str(path)).Load()]
        if not any(value.tag == _TRAINED for event in events for value in event.summary.value):
            continue  # of a look at the run after it, or the file that this run has just begun
        for event in events:
            kept = [value for value in event.summary.value if _is_before(event, value, step, axes)]
            del event.summary.value[:]
            event.summary.value.extend(kept)
        filled = [event for event in events if event.summary.value or event.file_version]
        data = b"".join(map(_record, filled))
        try:
            whole(path, functools.partial(Path.write_bytes, data=data))
        except OSError as error:
            warnings.warn(f"{path} keeps charts that the run makes again: {error}", stacklevel=2)


def _is_before(event: Event, value: Any, step: int, axes: Mapping[str, int]) -> bool:
    """Whether a checkpoint's run had logged this, and it still holds."""
    if value.tag.startswith("_hparams_/"):
        return False  # the results at an end that is none any more
    axis = axis_of(value.tag)
    if axis is not None:
        return event.step <= axes.get(axis, event.step)
    # Numbers of a step are counted from 0, as Lightning does; all else from 1.
    return event.step < step if value.HasField("simple_value") else event.step <= step


def _record(event: Event) -> bytes:
    """An event in the file's format."""
    record = io.BytesIO()
    RecordWriter(record).write(event.SerializeToString())
    return record.getvalue()


class EventFile:
    """Events, appended to a file of their own in TensorBoard's format.

    tensorboard's own writer is a thread, which a full disk ends; whatever is logged after that raises its error. Here
    what cannot be written is kept and tried again with what comes later, and a warning says so. Several events are
    written whole or not at all. The file is made when there is an event: a look at a run leaves none without.

    Args:
        folder: where to.
        suffix: of the file's name.
    """

    def __init__(self, folder: str, suffix: str = "") -> None:
        self._folder, self._suffix = folder, suffix
        self._path: Path | None = None
        self._pending: deque[bytes] = deque()
        self._written, self._failed = 0.0, False

    def get_logdir(self) -> str:
        """The folder."""
        return self._folder

    def add_event(self, event: Event) -> None:
        """Takes an event, and writes if it is time."""
        if self._path is None:
            self._path = self._free_path()
            self._pending.append(_record(Event(wall_time=time.time(), file_version="brain.Event:2")))
        self._pending.append(_record(event))
        if time.monotonic() > self._written + SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes all that waits for it."""
        if self._path is None or not self._pending:
            return
        self._written = time.monotonic()
        try:
            append_whole(self._path, b"".join(self._pending))
        except OSError as error:
            if not self._failed:
                warnings.warn(f"TensorBoard's events wait to be written: {error}", stacklevel=2)
            self._failed = True
            while sum(map(len, self._pending)) > MOST:
                self._pending.popleft()
        else:
            self._pending.clear()
            self._failed = False

    def close(self) -> None:
        """Writes all that waits for it; the file is open only while it is written."""
        self.flush()

    def _free_path(self) -> Path:
        stem = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        names = (Path(self._folder) / f"{stem}.{number}{self._suffix}" for number in range(1 << 16))
        return next(path for path in names if not path.exists())


class Board(SummaryWriter):
    """The writer for TensorBoard that torch has, on an `EventFile`."""

    def _get_file_writer(self) -> Any:
        """Torch's own asks for it whenever something is logged."""
        if self.all_writers is None or self.file_writer is None:
            writer: Any = _EventWriter(self.log_dir, self.filename_suffix)
            writers: Any = {writer.get_logdir(): writer}
            self.file_writer, self.all_writers = writer, writers
        return self.file_writer


class _EventWriter(FileWriter):
    """What torch makes of summaries, into an `EventFile`."""

    def __init__(self, log_dir: str, filename_suffix: str) -> None:
        self.event_writer = EventFile(str(log_dir), filename_suffix)
