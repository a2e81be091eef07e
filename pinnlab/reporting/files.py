"""The files of a run: they take no other's place, are whole or not there, and stay readable on a disk that is full."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def free_path(path: Path) -> Path:
    """The path itself, or with the first number behind its name that is not taken."""
    candidate, number = path, 1
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate


def whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """Writes a file under a temporary name and renames it, so that no reader meets half of it.

    Args:
        path: of the file; its folder is made.
        write: is given the temporary path, with the same ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Writes a file as `whole` does, and waits for the disk: what was written outlives a power failure.

    Args:
        path: of the file; its folder is made.
        write: is given the open file.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.part"):  # of a process that was killed
        left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too
    finally:
        os.close(folder)


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


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file in JSON, which has no NaN: null stands for a number that is not finite; see `write_whole`."""
    text = json.dumps(_finite(content), indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
