from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from pinnlab.criteria import (
    FixedSteps,
    GradientNormStabilisation,
    LossPlateau,
    Progress,
    drift,
    plateau,
    spread,
)
from pinnlab.errors import ConfigurationError

CRITERIA = {
    "steps": lambda: FixedSteps(700),
    "plateau": LossPlateau,
    "gradient": GradientNormStabilisation,
}


def series(knee, scatter=0.3, floor=1e-3, length=6000, seed=0):
    """A loss that decays exponentially up to the step `knee` and then stays, with noise and spikes."""
    generator = np.random.default_rng(seed)
    steps = np.arange(length)
    smooth = np.maximum(np.exp(steps * math.log(floor) / knee), floor)
    noise = np.exp(scatter * generator.normal(size=length))
    spikes = np.where(generator.random(length) < 0.01, 30.0, 1.0)
    return smooth * noise * spikes


def progress(values, scale=1.0):
    for step, value in enumerate(values, 1):
        yield Progress(step, step, scale * float(value), scale * math.sqrt(value))


def decided(criterion, steps):
    """The step at which the criterion ends the phase; None when it never does."""
    return next((record.step for record in steps if criterion.update(record)), None)


def test_fixed_steps():
    criterion = FixedSteps(7)
    assert decided(criterion, progress(np.ones(20))) == 7
    assert criterion.reason == "fixed steps: 7 of 7 steps made"


@pytest.mark.parametrize("kind", [LossPlateau, GradientNormStabilisation])
@pytest.mark.parametrize("knee", [1000, 3000])
@pytest.mark.parametrize("scatter", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_decides_soon_after_the_knee(kind, knee, scatter, seed):
    criterion = kind()
    # A step is worth about 0.7 % (0.2 %) of the loss before the knee and nothing after it.
    found = decided(criterion, progress(series(knee, scatter, seed=seed)))
    assert knee + criterion.window // 2 <= found <= knee + 6 * criterion.window


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_end_a_phase_that_still_improves(seed):
    # Single estimates miss the 4 % from half to half now and then; the criterion does not rely on one.
    slow = series(6000, scatter=0.1, floor=1e-1, length=6000, seed=seed)
    assert min(plateau(slow[k : k + 200].tolist()) for k in range(5800)) < 1e-2
    assert decided(LossPlateau(), progress(slow)) is None


def test_a_growing_loss_is_no_improvement():
    assert decided(LossPlateau(window=20), progress(np.exp(np.arange(100) / 10))) == 29


def test_plateau_at_zero_and_below():
    assert decided(LossPlateau(window=20), progress(np.zeros(100))) == 29
    energies = (Progress(k, k, -1 - k / (k + 1), 1.0) for k in range(1, 2000))
    assert decided(LossPlateau(window=20, tolerance=1e-3), energies) is not None


def test_minimum_steps():
    assert decided(LossPlateau(window=20, minimum_steps=64), progress(np.ones(100))) == 64


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("scale", [1e6, 1e-9, 2.0**-30])
def test_scale_free(name, scale):
    values = series(1500, 0.1)
    plain, scaled = (decided(CRITERIA[name](), progress(values, s)) for s in (1.0, scale))
    assert plain == scaled is not None


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_never_satisfy(name, bad):
    records = (Progress(k, k, bad, bad) for k in range(1, 2000))
    assert decided(CRITERIA[name](), records) is None


@pytest.mark.parametrize("kind", [LossPlateau, GradientNormStabilisation])
def test_one_nan_starts_the_window_again(kind):
    criterion = kind(window=20)
    values = [1.0] * 25 + [math.nan] + [1.0] * 100
    assert decided(criterion, (Progress(k, k, v, v) for k, v in enumerate(values, 1))) == 26 + 29


def test_scattering_norms_are_not_settled():
    wild = np.exp(2.0 * np.random.default_rng(0).normal(size=3000))
    records = [Progress(k, k, 1.0, float(v)) for k, v in enumerate(wild, 1)]
    assert decided(GradientNormStabilisation(), records) is None
    assert decided(GradientNormStabilisation(tolerance=0.9, scatter=30.0), records) is not None


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("stop", [1, 150, 650])
def test_state_round_trip_gives_the_same_decision(name, stop):
    values = series(500, 0.1, length=3000)
    expected = decided(CRITERIA[name](), progress(values))
    first, second = CRITERIA[name](), CRITERIA[name]()
    records = progress(values)
    assert decided(first, itertools.islice(records, stop)) is None
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.reason == first.reason
    assert decided(second, records) == expected is not None


@pytest.mark.parametrize("name", CRITERIA)
def test_state_is_a_copy_and_reset_forgets(name):
    criterion = CRITERIA[name]()
    fresh = criterion.state_dict()
    decided(criterion, progress(np.ones(10)))
    used = criterion.state_dict()
    assert used != fresh
    decided(criterion, progress(np.ones(10)))
    other = CRITERIA[name]()
    other.load_state_dict(used)
    decided(other, progress(np.full(3, 2.0)))
    assert used != other.state_dict()
    criterion.reset()
    assert criterion.state_dict() == fresh


def test_state_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="LossPlateau needs"):
        LossPlateau().load_state_dict(FixedSteps(3).state_dict())


def test_reasons_name_the_values():
    loss, norm = LossPlateau(window=20), GradientNormStabilisation(window=20)
    assert "fewer than 20" in loss.reason
    assert "fewer than 20" in norm.reason
    decided(loss, progress(np.ones(100)))
    decided(norm, progress(np.ones(100)))
    assert loss.reason == "loss plateau: relative improvement 0 < 0.01 over 20 steps"
    assert norm.reason == "gradient norm: relative drift 0 < 0.05 and spread 0 < 1 over 20 steps"
    improving = LossPlateau(window=20)
    assert decided(improving, progress(np.exp(-np.arange(40.0)))) is None
    assert "relative improvement 1 >= 0.01" in improving.reason


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([4.0, 2.0], 0.5),
        ([4.0, 9.0, 2.0], 0.5),
        ([1.0, 1.0, 50.0, 1.0, 1.0, 1.0], 0.0),
        ([2.0, 2.0, 3.0, 3.0], -0.5),
        ([-1.0, -2.0], 1.0),
        ([0.0, 0.0], 0.0),
        ([0.0, 1.0], -math.inf),
    ],
)
def test_plateau_values(losses, expected):
    assert plateau(losses) == pytest.approx(expected)


def test_drift_and_spread_values():
    assert drift([1.0, 1.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert drift([2.0, 2.0, 1.0, 1.0]) == pytest.approx(1.0)
    assert drift([0.0, 1.0]) == math.inf
    assert drift([0.0, 0.0]) == 0.0
    values = np.exp(np.random.default_rng(1).normal(size=501))
    low, high = np.quantile(values, [0.25, 0.75])
    assert spread(values.tolist()) == pytest.approx(high / low - 1, rel=0.05)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: FixedSteps(0), "steps"),
        (lambda: LossPlateau(window=3), "window"),
        (lambda: LossPlateau(tolerance=0.0), "tolerance"),
        (lambda: LossPlateau(minimum_steps=-1), "minimum_steps"),
        (lambda: GradientNormStabilisation(scatter=-1.0), "scatter"),
        (lambda: GradientNormStabilisation(tolerance=math.nan), "tolerance"),
    ],
)
def test_arguments_are_checked(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()
