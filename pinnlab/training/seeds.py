"""The seed of a network or of points where nobody has given one."""

from __future__ import annotations

import os


def chosen_seed(seed: int | None) -> int:
    """The seed itself; without one that of the last `lightning.seed_everything`, also of another process; else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
