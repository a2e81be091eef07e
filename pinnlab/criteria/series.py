"""What criteria measure: pure functions of a series of losses or norms, or of several gradients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from torch import Tensor

_SMALLEST = 5e-324
_RISE = 5e-3


def plateau(losses: Sequence[float]) -> float:
    """Relative improvement of the median loss from the first half of a series to the second.

    Medians ignore the spikes of Adam; for positive losses this is what the median of the logarithm gives.

    Args:
        losses: at least two finite values, of any sign; the middle one of an odd number is left out.

    Returns:
        1 - (median of the second half) / (median of the first): 0 on a plateau, 0.5 when the loss halves,
        negative when it grows.
    """
    first, second = medians(losses)
    drop = first - second
    return drop / abs(first) if first != 0 else math.copysign(math.inf, drop) if drop else 0.0


def flatness(losses: Sequence[float]) -> float:
    """How far a series reaches, relative to its large values: (p95 - p5) / p95, and over |p5| where that is larger.

    Args:
        losses: at least two finite values, of any sign.

    Returns:
        0 for constant values, 0.5 when the 5th percentile is half of the 95th, close to 1 when it is far below; up to 2
        for values of both signs.
    """
    low, *_, high = statistics.quantiles(losses, n=20, method="inclusive")
    largest = max(abs(low), abs(high))
    return (high - low) / largest if largest > 0 else 0.0


def log_change(losses: Sequence[float]) -> float:
    """Change of the logarithm over a series, by a straight line through it (ordinary least squares).

    Args:
        losses: at least two finite values; of some below zero see `logarithms`.

    Returns:
        The slope per step times the number of steps: -log 2 when the loss halves over the series.
    """
    # The mean of the steps is taken out, so that the mean of the logarithms need not be.
    steps = np.arange(len(losses)) - (len(losses) - 1) / 2
    slope = steps @ np.array(logarithms(losses)) / (steps @ steps)
    return float(slope) * len(losses)


def passed_minimum(values: Sequence[float]) -> float:
    """How clearly a series has turned upwards, on a logarithmic scale.

    Args:
        values: at least three finite and positive values.

    Returns:
        The correlation of the logarithm with the step, in [-1, 1]; 0 if the mean of the last third is less than half
        a per cent above that of the first.
    """
    logs, third = np.array(logarithms(values)), len(values) // 3
    if not logs[-third:].mean() - logs[:third].mean() > _RISE:
        return 0.0
    return float(np.corrcoef(np.arange(len(logs)), logs)[0, 1])


def drift(norms: Sequence[float]) -> float:
    """Relative change of the median of positive values from the first half of a series to the second.

    Args:
        norms: at least two finite values, none negative.

    Returns:
        exp(|difference of the median logarithms|) - 1: 0 when settled, 1 for a factor two, up or down.
    """
    first, second = medians(logarithms(norms))
    return _expm1(abs(second - first))


def spread(norms: Sequence[float]) -> float:
    """How far the middle half of positive values reaches, relative to themselves.

    Args:
        norms: at least two finite values, none negative.

    Returns:
        (third quartile) / (first quartile) - 1: 0 for constant values, 1 when they are a factor two apart.
    """
    low, _, high = statistics.quantiles(logarithms(norms), n=4)
    return _expm1(high - low)


def alignment(gradients: Tensor) -> float:
    """How far gradients agree in direction: 2 |mean of the unit gradients|^2 - 1 (arXiv 2502.00604).

    Args:
        gradients: `(k, n)`; those that are zero (a condition with weight zero) have no direction and are left out.

    Returns:
        1 when all point the same way, the cosine between two, 2 / k - 1 for k orthogonal ones, -1 when they cancel.
        1 for fewer than two gradients; NaN when one is not finite.
    """
    norms = gradients.norm(dim=1)
    units = gradients[norms != 0] / norms[norms != 0, None]
    return 1.0 if len(units) < 2 else 2 * float(units.mean(0).square().sum()) - 1


def signal_to_noise(gradients: Tensor) -> float:
    """Norm of the mean gradient over the root mean square distance from it (arXiv 2509.14198).

    Args:
        gradients: `(k, n)`, one for each part of the points.

    Returns:
        0 when they cancel, infinity when all are equal; NaN when all are zero or one is not finite.
    """
    mean = gradients.mean(0)
    noise = (gradients - mean).square().sum(1).mean().sqrt()
    return float(mean.norm() / noise)


def medians(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the second half of a series; the middle one of an odd number is left out."""
    half = len(values) // 2
    return statistics.median(values[:half]), statistics.median(values[len(values) - half :])


def logarithms(values: Sequence[float]) -> list[float]:
    """Logarithms, whose differences are relative changes; zero gets the smallest logarithm there is.

    Of a series that goes below zero, as an energy does, the values over the largest size: their differences are the
    same for small changes.
    """
    if min(values, default=0.0) < 0:
        largest = max(map(abs, values))
        return [value / largest for value in values]
    # A gradient that is exactly zero is as settled as it gets, and a loss of zero as small.
    return [math.log(max(value, _SMALLEST)) for value in values]


def push(values: list[float], value: float, window: int) -> list[float]:
    """Appends a value in place, keeps the last `window` ones, and returns the same list."""
    values.append(value)
    del values[:-window]
    return values


def held_for(held: int, every: int, holds: bool) -> int:
    """For how many steps a condition has held after one more measurement, first and last measurement included.

    Args:
        held: the same after the measurement before.
        every: steps between measurements.
        holds: what was measured now.
    """
    if not holds:
        return 0
    return held + every if held else 1


def _expm1(exponent: float) -> float:
    return math.expm1(exponent) if exponent < 700 else math.inf
