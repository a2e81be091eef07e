"""Sparse rows as a system to solve: along the slabs of windows, or in sweeps over them."""

from __future__ import annotations

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.numerics.schwarz import SchwarzSweeps
from pinnlab.numerics.staircase import SparseRows, Staircase
from pinnlab.objective.row_blocks import RowBlocks
from pinnlab.objective.sparse_rows import blocks_by_colour, slabs_of_columns


def staircase(blocks: RowBlocks, owner: str, columns: Tensor | None) -> Staircase:
    """See `Linearization.staircase`."""
    rows, share = blocks.sparse(owner)
    slabs = slabs_of_columns(blocks.functions.system, blocks.factors)
    if columns is not None:
        place = torch.full_like(slabs, -1).index_copy(0, columns, torch.arange(len(columns), device=slabs.device))
        # The same entries of every row, because rows are made tensor by tensor; a rank may have no rows.
        wanted = (place[rows.columns[:1]] >= 0).all(0)
        rows = SparseRows(rows.right, rows.entries[:, wanted], place[rows.columns[:, wanted]])
        slabs = slabs[columns]
    return Staircase(rows, slabs, share)


def schwarz(blocks: RowBlocks, owner: str, sweeps: int, mode: str) -> SchwarzSweeps:
    """See `SchwarzSweeps`; a collective after which every rank has all rows.

    Args:
        blocks: the rows behind a `Linearization`.
        owner: what asks for it, for a message.
        sweeps: how many.
        mode: `multiplicative`, `additive` or `conjugate`.

    Raises:
        ConfigurationError: as `Linearization.staircase`.
    """
    rows = SparseRows(*(distributed.gather(part) for part in blocks.sparse(owner)[0]))
    colours = blocks_by_colour(blocks.functions.system, blocks.factors)
    assert colours is not None  # there are sparse rows
    return SchwarzSweeps(rows, colours, blocks.columns, sweeps, mode)
