"""Where files go that must not take the place of others."""

from __future__ import annotations

from pathlib import Path


def free_path(path: Path) -> Path:
    """The path itself, or with the first number behind its name that is not taken."""
    candidate, number = path, 1
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
