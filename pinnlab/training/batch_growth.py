"""When mini-batches grow, and to what size: schedules, and a test of how noisy their gradient is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import final

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole
from pinnlab.numerics import distributed
from pinnlab.objective.gradients import gradient_on
from pinnlab.objective.residuals import Batch, Parameters

CHUNKS = 8
"""Parts of a batch from which its gradient's variance is estimated: certain to about half of it (7 degrees of freedom).

More parts say it better, but each of them takes the time of a small evaluation.
"""


class GrowthRule(ABC):
    """Says how many points of a condition a batch should have; remembers nothing.

    Sizes are rounded to a ladder, see `rung`, and never shrink.

    Args:
        first: the size to begin with. At least 2: one point says nothing about a variance. From 32 on all sizes share
            one compiled graph; torch's code for matrices of fewer rows (Inductor's `mm`) is another one for each size.

    Raises:
        ConfigurationError: it is below 2.
    """

    def __init__(self, first: int) -> None:
        check_whole(type(self).__name__, least=2, first=first)
        self.first = first

    @abstractmethod
    def wanted(self, size: int, asked: int, noise: Callable[[], float]) -> float:
        """The size to have from now on; need not be a whole number.

        Args:
            size: the present one.
            asked: how often the rule was asked in this run, this time included.
            noise: `gradient_noise` of the present batch; one evaluation, if it is called.
        """


@final
class Geometric(GrowthRule):
    """Batches that grow by the same factor each time: as many steps at every scale.

    Args:
        first: the size to begin with.
        factor: of each change. 2, because the noise of a gradient falls with the square root of the size: less is
            hardly noticed.

    Raises:
        ConfigurationError: `first` is below 2, or `factor` not above 1.
    """

    def __init__(self, first: int, factor: float = 2.0) -> None:
        check_real("Geometric", factor=factor)
        super().__init__(first)
        if not factor > 1:
            raise ConfigurationError(f"Geometric.factor: must be above 1, got {factor}")
        self.factor = float(factor)

    def wanted(self, size: int, asked: int, noise: Callable[[], float]) -> float:
        """The first size times a power of the factor."""
        return self.first * self.factor**asked


@final
class Linear(GrowthRule):
    """Batches that are planned to grow by the same number of points each time; the ladder rounds that down.

    Args:
        first: the size to begin with.
        step: points more at each change.

    Raises:
        ConfigurationError: `first` is below 2, or `step` below 1.
    """

    def __init__(self, first: int, step: int) -> None:
        check_whole("Linear", least=1, step=step)
        super().__init__(first)
        self.step = step

    def wanted(self, size: int, asked: int, noise: Callable[[], float]) -> float:
        """The first size and the steps so far."""
        return self.first + self.step * asked


@final
class NormTest(GrowthRule):
    """Batches that double when their gradient is mostly noise (Byrd, Chin, Nocedal, Wu 2012, Math. Program. 134).

    The test fails when the variance of the gradient over batches exceeds theta^2 times its squared norm. The paper's
    next size is then variance * size / (theta^2 ||g||^2); of that the step to the next doubling is taken, and the rest
    when the next test fails: one estimate is uncertain. Batches are drawn without replacement, so the variance
    is overestimated when they are most of the set, and the last doublings come a little early.

    Cost: one evaluation of the batch's points at each test, in nine small uncompiled ones; with a test every 100 steps
    about 1 % of the evaluations, and a few percent of the time.

    Args:
        first: the size to begin with.
        theta: the largest noise relative to the gradient. At 0.5 a step along the batch's gradient is one downhill
            for all points, most of the time: the error would have to be twice its standard deviation to undo that.

    Raises:
        ConfigurationError: `first` is below 2, or `theta` not positive.
    """

    def __init__(self, first: int, theta: float = 0.5) -> None:
        check_positive("NormTest", theta=theta)
        super().__init__(first)
        self.theta = theta

    def wanted(self, size: int, asked: int, noise: Callable[[], float]) -> float:
        """The double when the test fails; the same size when it is passed, or cannot be judged (not a number)."""
        return 2 * size if noise() > self.theta**2 else size


def rung(first: int, wanted: float, most: int) -> int:
    """Rounds a size down to the ladder `first`, 2 `first`, 4 `first`, ..., `most`.

    Few sizes mean few compiled graphs where there is one for each, and few passes over the points that are broken off.

    Args:
        first: the smallest size.
        wanted: the size to round; `first` comes out where it is not a number.
        most: the largest size.
    """
    if wanted >= most:
        return most
    size = first
    while 2 * size <= wanted:
        size *= 2
    return min(size, most)


def relative_variance(parts: Tensor, rest: Tensor) -> float:
    """The variance of a batch's gradient, over its squared norm.

    Args:
        parts: `(k, n)` gradients on k equal parts of the batch; those of other batches would differ as these do, but
            by 1/k of the variance.
        rest: `(n,)` the gradient of what is the same in all batches.
    """
    variance = parts.var(0).sum() / len(parts)
    return float(variance / (parts.mean(0) + rest).square().sum())


def gradient_noise(
    weighted_loss: Callable[..., tuple[Tensor, Tensor]],
    parameters: Parameters,
    weights: Tensor,
    batch: Batch,
    sampled: Collection[str],
    chunks: int = CHUNKS,
) -> float:
    """`relative_variance` of the gradient of a mini-batch; a collective that leaves `.grad` alone.

    Conditions whose points are all in every batch add no noise, so they are evaluated apart from the others. The parts
    do not depend on the number of processes.

    Args:
        weighted_loss: `ResidualSystem.weighted_loss`, uncompiled: a condition without rows needs a graph of its own.
        parameters: parameters and buffers by name.
        weights: `(conditions,)` factors of the conditions.
        batch: this rank's rows of each condition.
        sampled: the conditions of which a batch has only some points.
        chunks: how many parts.
    """
    parts = [
        {n: _part(rows, k, chunks) if n in sampled else rows[:0] for n, rows in batch.items()} for k in range(chunks)
    ]
    rest = {name: rows[:0] if name in sampled else rows for name, rows in batch.items()}
    *gradients, shared = (gradient_on(weighted_loss, parameters, weights, rows) for rows in (*parts, rest))
    return relative_variance(torch.stack(gradients), shared)


def _part(rows: Tensor, number: int, chunks: int) -> Tensor:
    """This rank's share of every `chunks`-th row of all ranks."""
    world = distributed.world_size()
    numbers = torch.arange(distributed.rank(), world * len(rows) + distributed.rank(), world, device=rows.device)
    return rows[numbers % chunks == number]
