"""Standard streams that may lose their reader, or their room on a disk, without ending a command."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any, TextIO

_GONE = {errno.EPIPE, errno.EIO}
"""Nobody reads any more: the other end of a pipe, such as `head` or `tee`, or the terminal."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Outlet(io.FileIO):
    """The file of a standard stream; what it does not take is left out, so that a run is not lost with its words.

    Attributes:
        lost: why something is missing in a file that is read later; None if nothing is.
    """

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes what the system takes."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE | _FULL:
                raise
            if error.errno in _FULL:
                self.lost = self.lost or error
            return memoryview(data).nbytes


def steady(stream: TextIO) -> TextIO:
    """A standard stream with an `Outlet` under it, in which no name that it cannot write ends a run, either.

    Args:
        stream: the present one; what is none of the system's files, or is closed, stays as it is.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")
    raw = getattr(stream.buffer, "raw", stream.buffer)  # without a buffer by `python -u`
    if not isinstance(raw, io.FileIO) or isinstance(raw, Outlet):
        return stream
    outlet = Outlet(raw.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        outlet if raw is stream.buffer else io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def unwritten() -> str | None:
    """The one line for output that a full disk did not take; None where all is written."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return None
    sys.stdout.flush()
    lost = getattr(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer), "lost", None)
    return None if lost is None else f"standard output: cannot be written ({lost.strerror}); make room"
