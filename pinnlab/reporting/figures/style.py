"""What figures have in common: colours, markers, and how they are written."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colour-blind safe, of Okabe and Ito (2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def save(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Writes a PNG under a temporary name and renames it, so that no reader meets half a file.

    Missing folders are made. Returns the path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=dpi)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
