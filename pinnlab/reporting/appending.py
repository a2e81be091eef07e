"""Files that grow while a run goes on, on a disk that may fill up."""

from __future__ import annotations

from pathlib import Path


def append_whole(path: Path, data: bytes) -> None:
    """Appends all of some bytes to a file, or none of them; its folder is made.

    Args:
        path: of the file; made if it is not there.
        data: what to append.

    Raises:
        OSError: they cannot be written; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        end, left = file.tell(), memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(end)
            raise
