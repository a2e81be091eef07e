"""Laplacians estimated from a few of their coordinates (Shi et al., arXiv 2412.00088; Hu et al., arXiv 2307.12306).

The sum of second derivatives over d coordinates is d/k times its sum over k of them, in the mean over all choices of k.
A jet then carries k first derivatives in place of d, whatever d is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnlab.derivatives.multi_index import MultiIndex
from pinnlab.errors import ConfigurationError, check_whole

Draws = Mapping["Sample", Tensor]
"""For each estimate the columns `(count,)` that were drawn of its own, as whole numbers."""


@dataclass(frozen=True)
class Sample:
    """The Laplacian over some columns, estimated from some of them that are drawn without replacement.

    Attributes:
        axes: the columns that it sums over.
        count: how many of them are drawn.
        draw: tells independent draws of one Laplacian apart.
    """

    axes: MultiIndex
    count: int
    draw: int = 0

    @property
    def factor(self) -> float:
        """What the sum over the drawn columns is multiplied by, so that its mean over all draws is the Laplacian."""
        return len(self.axes) / self.count

    def drawn(self, generator: torch.Generator) -> Tensor:
        """`(count,)` of the columns, each choice of so many as likely as the others."""
        chosen = torch.randperm(len(self.axes), generator=generator)[: self.count]
        whole = self.axes == tuple(range(len(self.axes)))
        return chosen if whole else torch.tensor(self.axes)[chosen]


def checked_sample(axes: MultiIndex, count: int, draw: int) -> Sample:
    """The estimate with these numbers.

    Raises:
        ConfigurationError: one is no whole number, or out of its range.
    """
    check_whole("laplacian", sample=count, draw=draw)
    if not 1 <= count <= len(axes):
        raise ConfigurationError(
            f"laplacian.sample: must be from 1 to {len(axes)}, the number of coordinates it sums over, got {count}"
        )
    if draw < 0:
        raise ConfigurationError(f"laplacian.draw: must not be negative, got {draw}")
    return Sample(axes, int(count), int(draw))


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Estimates in an order that every process has."""
    return sorted(samples, key=lambda sample: (sample.count, sample.draw, len(sample.axes), sample.axes))
