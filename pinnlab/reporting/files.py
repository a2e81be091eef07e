"""Files that are written whole, and over no other one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
