"""Who wants to see what is differentiated: expressions, and their derivatives of lower orders on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from torch import Tensor

from pinnlab.derivatives.multi_index import MultiIndex, one_lower

_WATCHED: ContextVar[list[tuple[Tensor, int]] | None] = ContextVar("differentiated expressions", default=None)


@contextlib.contextmanager
def watching() -> Iterator[list[tuple[Tensor, int]]]:
    """Gives a list of what is differentiated in this context: the values, and the column of the coordinate by which."""
    seen: list[tuple[Tensor, int]] = []
    token = _WATCHED.set(seen)
    try:
        yield seen
    finally:
        _WATCHED.reset(token)


def differentiated(value: Tensor, index: MultiIndex, channel: Callable[[MultiIndex], Tensor | None]) -> None:
    """Tells those who watch that a value is differentiated.

    Args:
        value: of the expression.
        index: by which.
        channel: its derivatives of lower order; None for zero.
    """
    if (seen := _WATCHED.get()) is None:
        return
    for rest, column in sorted(one_lower(index)):
        lower = channel(rest) if rest else value
        if lower is not None:
            seen.append((lower, column))
