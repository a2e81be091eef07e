"""Criteria that look at the loss, on series with a knee and without."""

import math

import numpy as np
import pytest
from watching import PATIENT, decided, progress, series

from pinnlab.criteria import LossPlateau, PercentileFlatness, Progress, RelativeImprovement, plateau
from pinnlab.errors import ConfigurationError

KINDS = [PATIENT, PercentileFlatness, RelativeImprovement]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("knee", [1000, 3000])
@pytest.mark.parametrize("scatter", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_decides_soon_after_the_knee(kind, knee, scatter, seed):
    # A step is worth about 0.7 % (0.2 %) of the loss before the knee and nothing after it.
    found = decided(kind(), progress(series(knee, scatter, seed=seed)))
    # Early stopping compares with the best of all losses, so it sees less of the noise than a window does.
    earliest = {PATIENT: knee + 100, PercentileFlatness: knee + 100, RelativeImprovement: knee}[kind]
    assert earliest <= found <= knee + 1200


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_end_a_phase_that_still_improves(seed):
    # Single estimates miss the 4 % from half to half now and then; the criterion does not rely on one.
    slow = series(6000, scatter=0.1, floor=1e-1, length=6000, seed=seed)
    assert min(plateau(slow[k : k + 200].tolist()) for k in range(5800)) < 1e-2
    assert decided(PATIENT(), progress(slow)) is None


def test_a_growing_loss_is_no_improvement():
    growing = np.exp(np.arange(100) / 10)
    assert decided(LossPlateau(window=20, tolerance=1e-2), progress(growing)) == 29
    assert decided(RelativeImprovement(patience=20), progress(growing)) == 21
    assert decided(PercentileFlatness(window=20, flatness=0.99), progress(growing)) == 20


def test_plateau_at_zero_and_below():
    assert decided(LossPlateau(window=20, tolerance=1e-2), progress(np.zeros(100))) == 29
    energies = [Progress(k, k, -1 - k / (k + 1)) for k in range(1, 2000)]
    assert decided(LossPlateau(window=20, tolerance=1e-3), energies) is not None
    assert decided(RelativeImprovement(patience=20, tolerance=1e-3), energies) is not None
    assert decided(PercentileFlatness(window=20), progress(np.zeros(100))) == 20


def test_minimum_steps():
    assert decided(LossPlateau(window=20, minimum_steps=64), progress(np.ones(100))) == 64


@pytest.mark.parametrize(
    ("criterion", "needs"),
    [
        (LossPlateau(window=20, tolerance=1e-2), 29),
        (PercentileFlatness(window=20), 20),
        (RelativeImprovement(patience=20), 21),
    ],
    ids=lambda case: type(case).__name__,
)
def test_one_nan_starts_the_window_again(criterion, needs):
    values = [1.0] * 19 + [math.nan] + [1.0] * 100
    assert decided(criterion, progress(values)) == 20 + needs


def test_medians_are_computed_twenty_times_per_window():
    # Of 200 losses every tenth counts: decided where 100 steps have been seen to be flat, both ends included.
    assert decided(PATIENT(), progress(np.ones(1000))) == 300
    falling = np.exp(-np.arange(1000) / 100)
    criterion = PATIENT()
    values = set()
    for record in progress(falling):
        criterion.update(record)
        values.add(criterion.value)
    assert len(values) <= 1 + (1000 - 200) // 10 + 1


def test_an_answer_stands_until_the_next_measurement():
    criterion = PATIENT()
    answers = [criterion.update(record) for record in progress(np.ones(320))]
    assert answers == [False] * 299 + [True] * 21


@pytest.mark.parametrize(("fall", "ends"), [(0.04, True), (0.06, False)])
def test_slope_of_percentile_flatness(fall, ends):
    losses = np.exp(-fall / 200 * np.arange(600))
    assert (decided(PercentileFlatness(), progress(losses)) is not None) is ends


@pytest.mark.parametrize(("factor", "ends"), [(1.9, True), (2.1, False)])
def test_flatness_of_percentile_flatness(factor, ends):
    losses = np.where(np.arange(600) % 2, 1.0, factor)
    for values in (losses, -losses):  # an energy is below zero
        assert (decided(PercentileFlatness(), progress(values)) is not None) is ends


@pytest.mark.parametrize(("gain", "ends"), [(0.008, True), (0.012, False)])
def test_tolerance_of_relative_improvement(gain, ends):
    """Gains that add up to the tolerance within the patience count, whatever single ones are."""
    losses = (1 - gain) ** (np.arange(1000) / 200)
    assert (decided(RelativeImprovement(), progress(losses)) is not None) is ends


def test_relative_improvement_only_looks_at_the_best():
    losses = [10.0, 1.0, *[5.0] * 30]
    assert decided(RelativeImprovement(patience=20), progress(losses)) == 22


def test_reasons_name_the_values():
    loss, flat, best = (
        LossPlateau(window=20, tolerance=1e-2),
        PercentileFlatness(window=20),
        RelativeImprovement(patience=20),
    )
    assert "fewer than 20" in loss.reason
    assert "fewer than 20" in flat.reason
    assert "no finite loss" in best.reason
    for criterion in (loss, flat, best):
        decided(criterion, progress(np.ones(100)))
        assert criterion.value == 0.0
    assert loss.reason == "loss plateau: relative improvement 0 < 0.01 over 20 steps"
    assert best.reason == "relative improvement: best loss 0 < 0.01 better in 20 steps"
    assert flat.reason.startswith("percentile flatness: (p95 - p5) / p95 0 < 0.5 and change of log(loss) ")
    assert flat.reason.endswith(" > -0.05 over 20 steps")
    falling = np.exp(-np.arange(40.0))
    improving, steep = LossPlateau(window=20, tolerance=1e-2), PercentileFlatness(window=20)
    assert decided(improving, progress(falling)) is decided(steep, progress(falling)) is None
    assert "relative improvement 1 >= 0.01" in improving.reason
    assert "change of log(loss) -20 <= -0.05" in steep.reason


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: LossPlateau(window=3), "window"),
        (lambda: LossPlateau(tolerance=0.0), "tolerance"),
        (lambda: LossPlateau(minimum_steps=-1), "minimum_steps"),
        (lambda: PercentileFlatness(window=3), "window"),
        (lambda: PercentileFlatness(flatness=0.0), "flatness"),
        (lambda: PercentileFlatness(slope=math.inf), "slope"),
        (lambda: RelativeImprovement(patience=0), "patience"),
        (lambda: RelativeImprovement(tolerance=-1.0), "tolerance"),
    ],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
