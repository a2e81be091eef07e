"""What the numbers of several runs come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from scipy import stats


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log x)): errors differ by factors, not by differences. Infinite values make it infinite.

    Args:
        values: at least one, all positive.
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(map(math.isfinite, values)) else math.inf


def median_curve(curves: Iterable[Sequence[float]]) -> list[float]:
    """The medians of what several curves have at the same place, as far as the shortest goes."""
    return [statistics.median(values) for values in zip(*curves, strict=False)]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the line of least squares through points; at least two different x."""
    center = math.fsum(x) / len(x)
    return math.fsum((a - center) * b for a, b in zip(x, y, strict=True)) / math.fsum((a - center) ** 2 for a in x)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and half the width of its 95 % confidence interval (Student's t); NaN wide for a single value."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    factor = float(stats.t.ppf(0.975, len(values) - 1))
    return mean, factor * deviation / math.sqrt(len(values))
