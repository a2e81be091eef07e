"""Sums into numbered places, in one order on every device: a GPU's own addition there leaves it to its threads.

With it ranks that compute the same would not have the same last bits, nor would a run and the one that resumes it.
On a GPU `index_put` with `accumulate` sorts by place first; on a CPU `index_add` and `scatter_add` go row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add_by_number(total: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
    """Adds rows to those of a total, in place.

    Args:
        total: `(count, ...)`.
        numbers: `(n,)` to which of them each row is added, on the same device.
        rows: `(n, ...)`.

    Returns:
        The total.
    """
    if total.device.type == "cpu":
        return total.index_add_(0, numbers, rows)
    return total.index_put_((numbers,), rows, accumulate=True)


def add_in_rows(total: Tensor, columns: Tensor, entries: Tensor) -> Tensor:
    """Adds entries to a total, row by row, in place.

    Args:
        total: `(n, width)`.
        columns: `(n, s)` the columns of the entries, some of which may be named more than once.
        entries: `(n, s)`.

    Returns:
        The total.
    """
    if total.device.type == "cpu":
        return total.scatter_add_(1, columns, entries)
    rows = torch.arange(len(total), device=total.device)[:, None].expand_as(columns)
    return total.index_put_((rows, columns), entries, accumulate=True)
