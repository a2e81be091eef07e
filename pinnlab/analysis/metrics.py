"""Errors against a reference: pure functions, and torchmetrics that gather them over batches and ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.ordered_sums import add_by_number


def relative_l2(prediction: Tensor, target: Tensor) -> Tensor:
    """The relative L2 error `||u - u*|| / ||u*||` of one unknown, as a float64 scalar.

    It does not depend on the number of points, nor on the scale of u. (It is no RMS error, and is not divided
    by sqrt(n).) Where the reference vanishes everywhere there is nothing to be relative to: the root mean square
    of u is returned instead, so that an unknown that should be zero still gets a figure of its size.

    Args:
        prediction: u, `(n,)`.
        target: the reference u*, `(n,)`.

    Raises:
        ConfigurationError: the shapes differ or are not `(n,)`.

    Examples:
        >>> relative_l2(torch.tensor([3.0, 4.4]), torch.tensor([3.0, 4.0]))
        tensor(0.0800, dtype=torch.float64)
    """
    return ratio_of_norms(*sums_of_squares(prediction, target))


def mean_relative_l2(prediction: Tensor, target: Tensor, function: Tensor | None) -> Tensor:
    """The mean over functions of the `relative_l2` of each, as a float64 scalar: the error of an operator.

    Of these points alone, whatever other processes have: a figure is drawn by one of them.

    Args:
        prediction: u, `(n,)`.
        target: the reference u*, `(n,)`.
        function: the number of the function that each value is of, `(n,)`; None: all is one.

    Raises:
        ConfigurationError: the shapes differ or are not `(n,)`.
    """
    if function is None or not len(function):
        return relative_l2(prediction, target)
    return mean_ratio_of_norms(*sums_of_squares(prediction, target, function, int(function.max()) + 1))


def max_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The largest `|u - u*|`, as a float64 scalar; 0 without points. Arguments as in `relative_l2`."""
    error = _difference(prediction, target)
    return error.abs().amax() if error.numel() else error.new_zeros(())


def sums_of_squares(
    prediction: Tensor, target: Tensor, function: Tensor | None = None, functions: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """The sums of squares of the error and of the reference, and the number of points; float64.

    Args:
        prediction: u, `(n,)`.
        target: the reference u*, `(n,)`.
        function: the number of the function that each value is of, `(n,)`; None: all is one.
        functions: how many there are.

    Returns:
        Three scalars; with `function` three `(functions,)`.
    """
    error, reference = _difference(prediction, target).square(), target.double().square()
    one = torch.ones_like(reference)
    if function is None:
        return error.sum(), reference.sum(), one.sum()
    zeros = error.new_zeros(functions)
    return (
        add_by_number(zeros.clone(), function, error),
        add_by_number(zeros.clone(), function, reference),
        add_by_number(zeros.clone(), function, one),
    )


def ratio_of_norms(error: Tensor, reference: Tensor, points: Tensor | float) -> Tensor:
    """The quotient of two norms from sums of squares over some points; where the second one vanishes, a mean.

    Args:
        error: the sums of squares of the error.
        reference: those of the reference.
        points: over how many, or over what volume: where the reference vanishes the root mean square is left.
    """
    scale = torch.where(reference > 0, reference, points)
    return (error / torch.where(scale > 0, scale, 1.0)).sqrt()


def mean_ratio_of_norms(error: Tensor, reference: Tensor, points: Tensor) -> Tensor:
    """The mean of `ratio_of_norms` over the functions that have any points; arguments `()`, or `(functions,)`."""
    return ratio_of_norms(error, reference, points).sum() / (points > 0).sum().clamp_min(1)


class RelativeL2(Metric):
    """`relative_l2` of one unknown, gathered over batches and ranks.

    The states are the sums of squares of the error and of the reference, and the number of points: they add over
    batches and ranks, so shards may be uneven. They are float64 whatever the default dtype is.

    Args:
        functions: with a number it is the mean of the errors of so many functions, as in `mean_relative_l2`.
        kwargs: options of `torchmetrics.Metric`.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    error: Tensor
    reference: Tensor
    points: Tensor

    def __init__(self, functions: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zero = torch.zeros(functions or (), dtype=torch.float64)
        for name in ("error", "reference", "points"):
            self.add_state(name, default=zero.clone(), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, function: Tensor | None = None) -> None:
        """Adds points: u and u*, both `(n,)`; of several functions the number of each point's, `(n,)`."""
        error, reference, points = sums_of_squares(prediction, target, function, self.error.numel())
        self.error, self.reference = self.error + error, self.reference + reference
        self.points = self.points + points

    def compute(self) -> Tensor:
        """Returns `||u - u*|| / ||u*||` over all points so far, or the root mean square of u if u* is zero; float64."""
        return mean_ratio_of_norms(self.error, self.reference, self.points)


class MaxError(Metric):
    """`max_error` of one unknown, gathered over batches and ranks; the state is the maximum, in float64.

    Args:
        kwargs: options of `torchmetrics.Metric`.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    largest: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("largest", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="max")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Adds points: u and u*, both `(n,)`."""
        self.largest = torch.maximum(self.largest, max_error(prediction, target))

    def compute(self) -> Tensor:
        """Returns the largest `|u - u*|` over all points so far; float64 scalar."""
        return self.largest


def _difference(prediction: Tensor, target: Tensor) -> Tensor:
    # (n, 1) against (n,) would broadcast to n^2 differences and a wrong figure without a word.
    if prediction.ndim != 1 or prediction.shape != target.shape:
        raise ConfigurationError(
            "prediction, target: expected the same shape (n,), one unknown at a time, "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    return prediction.double() - target.double()
