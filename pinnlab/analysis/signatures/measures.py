"""Numbers that signatures rest on."""

from __future__ import annotations

import torch


def resolution_ratio(training: float, held_out: float, dtype: torch.dtype, rounding: float = 0.0) -> float:
    """How many times the held-out mean-square residual exceeds the one on the training points.

    A training residual below 1,000 rounding units, or 100 times what the last bits of the parameters change it by,
    counts as that large: what is smaller is round-off, and so is its ratio to another round-off. The terms of an
    equation may be far above one, and those of a linear solve cancel.

    Args:
        training: the mean square on the training points.
        held_out: the mean square on points that are never trained.
        dtype: that of the residuals.
        rounding: the mean square of what the residual changes by with the last bits of the parameters.
    """
    return held_out / max(training, (1e3 * torch.finfo(dtype).eps) ** 2, 1e4 * rounding)


def promise(gradient: float, top: float, loss: float) -> float:
    """The relative decrease of the loss that its linearization promises for one step along the gradient.

    With the loss r'r, its gradient g = 2 J'r and lambda the largest eigenvalue of JJ', the step of length 1 / (2
    lambda) lowers the Gauss-Newton model by |g|^2 / (4 lambda). Over the loss, this is the Rayleigh quotient of r over
    lambda, between 0 and 1: how much of the residual lies where the parameters act most. It has no scale, neither
    that of the loss nor that of the parameters.

    Args:
        gradient: |g|.
        top: lambda.
        loss: r'r.
    """
    scale = 4 * top * loss
    return gradient**2 / scale if scale > 0 else 0.0
