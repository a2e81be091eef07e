"""What the command keeps from its user, and how warnings look."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

from pinnlab.training.quiet import ignore_remarks


def quieten() -> None:
    """Hides remarks of Lightning and torch that a user of the command cannot act on."""
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.fabric.utilities.rank_zero",
        "lightning.fabric",
        "lightning.pytorch.trainer.connectors.signal_connector",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    ignore_remarks()
    warnings.showwarning = _one_line_warning


def _one_line_warning(
    message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr)
