"""What the numbers of several runs come to, against NumPy and SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from pinnlab.studies.engine.summaries import geometric_mean, mean_interval, median_curve, slope

VALUES = list(np.random.default_rng(0).normal(3.0, 2.0, 7))


def test_geometric_mean():
    assert geometric_mean([1e-8, 1e-2]) == pytest.approx(1e-5)
    assert geometric_mean([1.0, math.inf]) == math.inf


def test_the_median_of_curves_ends_with_the_shortest():
    curves = np.random.default_rng(1).random((4, 6))
    assert median_curve([list(curve) for curve in curves]) == pytest.approx(np.median(curves, 0))
    shortened = [list(curves[0]), list(curves[1][:2]), list(curves[2])]
    assert median_curve(shortened) == pytest.approx(np.median(curves[:3, :2], 0))
    assert median_curve([]) == []


def test_slope():
    x = np.random.default_rng(2).random(7)
    assert slope(list(x), VALUES) == pytest.approx(np.polyfit(x, VALUES, 1)[0])


def test_the_interval_of_a_mean_is_student_s():
    mean, half = mean_interval(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, np.mean(VALUES), stats.sem(VALUES))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert mean_interval([2.0])[0] == 2.0
    assert math.isnan(mean_interval([2.0])[1])
