"""What is left of each condition: the mean square of its residuals, without a gradient."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.objective.blocked_loss import gpu_budget, in_blocks
from pinnlab.objective.products import floats_of
from pinnlab.objective.residuals import ResidualSystem


def mean_squares(system: ResidualSystem, rows: Mapping[str, Tensor], budget: int | None = None) -> dict[str, Tensor]:
    """The mean squared residual of each condition over all ranks' rows, this rank's given; a collective.

    Args:
        system: the residuals.
        rows: of each condition.
        budget: bytes of a GPU's memory for blocks of rows; default: see `gpu_budget`.
    """
    if not rows:
        return {}
    sums = torch.stack([_squared_sum(system, name, part, budget) for name, part in rows.items()])
    counts = sums.new_tensor([len(part) for part in rows.values()])
    sums, counts = distributed.all_sum(torch.stack([sums, counts]))
    return dict(zip(rows, sums / counts, strict=True))


def _squared_sum(system: ResidualSystem, name: str, rows: Tensor, budget: int | None) -> Tensor:
    """The sum of a condition's squared residuals; on a GPU in blocks of rows."""
    each = 4 * system.floats_per_row()[name] * rows.element_size()  # what a layer is made of, and what it makes
    rows = system.products.shaped({name: rows})[name]
    budget = gpu_budget(rows.device) if budget is None else budget
    parts = (rows,) if rows.device.type == "cpu" else in_blocks(rows, floats_of(rows, each), budget)
    return torch.stack([system.summed(name, system.residuals({name: part})[name]) for part in parts]).sum()
