"""Criteria that look at gradients, on made-up ones."""

import math

import numpy as np
import pytest
from watching import FakeGradients, decided, progress, series

from pinnlab.criteria import GradientAlignment, GradientNormStabilisation, Progress, SignalToNoise
from pinnlab.errors import ConfigurationError


def angled(angle):
    """Two gradients of very different size with this angle between them: their alignment is its cosine."""
    return FakeGradients(1.0, ((1.0, 0.0), (100 * math.cos(angle), 100 * math.sin(angle))))


def ratio(signal):
    """Two gradients whose mean is `signal` times their distance from it."""
    return FakeGradients(1.0, ((signal, 1.0), (signal, -1.0)))


def run(gradients, length=400):
    """Records with the gradients that a function of the step returns."""
    return [Progress(k, k, 1.0, gradients=gradients(k)) for k in range(1, length + 1)]


@pytest.mark.parametrize("knee", [1000, 3000])
@pytest.mark.parametrize("scatter", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_norms_settle_soon_after_the_knee(knee, scatter, seed):
    strict = GradientNormStabilisation(tolerance=0.05, scatter=1.0)
    found = decided(strict, progress(series(knee, scatter, seed=seed)))
    assert knee + 100 <= found <= knee + 1200


def test_one_nan_starts_the_window_again():
    values = [1.0] * 25 + [math.nan] + [1.0] * 100
    assert decided(GradientNormStabilisation(window=20), progress(values)) == 26 + 29
    bad = run(lambda k: FakeGradients(math.nan if k == 26 else 1.0))
    assert decided(GradientNormStabilisation(window=20), bad) == 26 + 29


def test_scattering_norms_are_not_settled():
    wild = np.exp(2.0 * np.random.default_rng(0).normal(size=3000))
    records = [Progress(k, k, 1.0, gradients=FakeGradients(float(v))) for k, v in enumerate(wild, 1)]
    assert decided(GradientNormStabilisation(), records) is None
    assert decided(GradientNormStabilisation(tolerance=1.5, scatter=30.0), records) is not None


@pytest.mark.parametrize(("window", "every"), [(20, 1), (99, 1), (100, 2), (200, 4), (1000, 20)])
def test_norms_are_asked_for_fifty_times_per_window(window, every):
    fakes = run(lambda k: FakeGradients(), 2 * window)
    found = decided(GradientNormStabilisation(window), fakes)
    assert [r.step for r in fakes if r.gradients.asked] == list(range(every, found + 1, every))
    assert window + window // 2 - every <= found <= window + window // 2 + every


@pytest.mark.parametrize(
    ("criterion", "falling"),
    [
        (GradientAlignment(), lambda k: angled(math.pi * k / 1000)),
        (SignalToNoise(), lambda k: ratio(math.exp(2 - k / 250))),
    ],
    ids=["alignment", "signal"],
)
def test_ends_when_the_mean_of_four_measurements_crosses_the_threshold(criterion, falling):
    """The measure crosses the threshold at step 500, linearly (for the signal: its logarithm); the mean 75 later."""
    assert decided(criterion, run(falling, 1000)) == 600
    assert decided(type(criterion)(every=1, average=1), run(falling, 1000)) == 501
    assert decided(type(criterion)(every=50, average=1), run(falling, 1000)) == 550


@pytest.mark.parametrize(
    ("criterion", "above", "below"),
    [
        (GradientAlignment(0.5), angled(math.pi / 3 - 0.01), angled(math.pi / 3 + 0.01)),
        (SignalToNoise(2.0), ratio(2.01), ratio(1.99)),
    ],
    ids=["alignment", "signal"],
)
def test_thresholds(criterion, above, below):
    assert decided(criterion, run(lambda k: above)) is None
    criterion.reset()
    assert decided(criterion, run(lambda k: below)) == 200


def test_one_condition_is_compared_with_itself_in_parts():
    class OneCondition(FakeGradients):
        conditions = 1

    records = run(lambda k: OneCondition(1.0, ((1.0, 0.0), (-1.0, 0.0))))
    assert decided(GradientAlignment(every=10, average=2, chunks=5), records) == 20
    assert [r.gradients.asked for r in records if r.gradients.asked] == [["5 chunks"]] * 2


@pytest.mark.parametrize("kind", [GradientAlignment, SignalToNoise])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_start_again(kind, bad):
    def gradients(k):
        return FakeGradients(1.0, ((bad if k == 20 else 1.0, 0.0), (-1.0, 0.0)))

    assert decided(kind(every=10, average=4), run(gradients)) == 60


def test_geometric_mean_of_the_ratio():
    found = run(lambda k: ratio(8.0 if k <= 30 else 1e-3))
    assert decided(SignalToNoise(every=10, average=4), found) == 40  # (8^3 / 1000)^(1/4) < 1, though the mean is 6
    assert decided(SignalToNoise(every=10, average=4), run(lambda k: ratio(0.0))) == 40


def test_reasons_name_the_values():
    norm, angle, noise = GradientNormStabilisation(window=20), GradientAlignment(), SignalToNoise()
    assert "fewer than 20" in norm.reason
    assert "fewer than 4" in angle.reason
    assert decided(norm, run(lambda k: FakeGradients()))
    assert norm.reason == "gradient norm: relative drift 0 < 0.5 and spread 0 < 3 over 20 steps"
    assert decided(angle, run(lambda k: angled(math.pi))) == 200
    assert angle.reason == "gradient alignment: mean -1 < 0 over 4 measurements"
    assert decided(noise, run(lambda k: ratio(4.0))) is None
    assert noise.reason == "signal to noise: mean 4 >= 1 over 4 measurements"
    assert (norm.value, angle.value, noise.value) == (0.0, pytest.approx(-1.0), pytest.approx(4.0))


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: GradientNormStabilisation(window=3), "window"),
        (lambda: GradientNormStabilisation(scatter=-1.0), "scatter"),
        (lambda: GradientNormStabilisation(tolerance=math.nan), "tolerance"),
        (lambda: GradientAlignment(threshold=-1.0), "threshold"),
        (lambda: GradientAlignment(every=0), "every"),
        (lambda: SignalToNoise(threshold=0.0), "threshold"),
        (lambda: SignalToNoise(average=0), "average"),
        (lambda: SignalToNoise(chunks=1), "chunks"),
    ],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
