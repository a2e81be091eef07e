"""TensorBoard's event file, written so that a disk that is full or read-only costs no run."""

from __future__ import annotations

import io
import os
import socket
import time
import warnings
from collections import deque
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

from pinnlab.reporting.appending import append_whole

SECONDS = 1.0
"""Between two writes: TensorBoard looks every few seconds."""

MOST = 64 << 20
"""Bytes that are kept for later when they cannot be written; beyond, the oldest events are lost."""


class EventFile:
    """Events, appended to a file of their own in TensorBoard's format.

    tensorboard's own writer is a thread, which a full disk ends; whatever is logged after that raises its error. Here
    what cannot be written is kept and tried again with what comes later, and a warning says so. Several events are
    written whole or not at all.

    Args:
        folder: where to.
        suffix: of the file's name.
    """

    def __init__(self, folder: str, suffix: str = "") -> None:
        stem = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        names = (Path(folder) / f"{stem}.{number}{suffix}" for number in range(1 << 16))
        self._folder, self._path = folder, next(path for path in names if not path.exists())
        self._pending: deque[bytes] = deque()
        self._written, self._failed = 0.0, False
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self._folder

    def add_event(self, event: Event) -> None:
        """Takes an event, and writes if it is time."""
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self._pending.append(record.getvalue())
        if time.monotonic() > self._written + SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes all that waits for it."""
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
