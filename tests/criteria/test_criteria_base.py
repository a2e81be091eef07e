"""What every criterion has to do, and the base class."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from watching import CRITERIA, FakeGradients, decided, progress, series

from pinnlab.cli.catalog import KINDS, classes
from pinnlab.criteria import All, Any, FixedSteps, LossPlateau, Progress
from pinnlab.criteria.base import Series
from pinnlab.errors import ConfigurationError


def test_every_criterion_is_tested():
    assert {type(build()) for build in CRITERIA.values()} == set(classes(*KINDS["criteria"]).values())


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("scale", [1e6, 1e-9, 2.0**-30])
def test_scale_free(name, scale):
    values = series(1500, 0.1)
    plain, scaled = (decided(CRITERIA[name](), progress(values, s)) for s in (1.0, scale))
    assert plain == scaled is not None


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_never_satisfy(name, bad):
    fakes = FakeGradients(bad, ((bad, 1.0), (1.0, 1.0)))
    assert decided(CRITERIA[name](), (Progress(k, k, bad, k, gradients=fakes) for k in range(1, 2000))) is None


@pytest.mark.parametrize("name", CRITERIA)
def test_one_nan_does_not_stay(name):
    values = series(1500, 0.1)
    values[500] = math.nan
    criterion = CRITERIA[name]()
    assert decided(criterion, progress(values)) is not None
    assert criterion.value is None or math.isfinite(criterion.value)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("stop", [1, 150, 199])
def test_state_round_trip_gives_the_same_decision(name, stop):
    values = series(1500, 0.1)
    expected = decided(CRITERIA[name](), progress(values))
    first, second = CRITERIA[name](), CRITERIA[name]()
    records = progress(values)
    assert decided(first, itertools.islice(records, stop)) is None
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert (second.reason, second.value) == (first.reason, first.value)
    assert decided(second, records) == expected is not None


@pytest.mark.parametrize("name", CRITERIA)
def test_state_is_a_copy_and_reset_forgets(name):
    criterion = CRITERIA[name]()
    fresh = criterion.state_dict()
    decided(criterion, progress(np.ones(50)))
    used = criterion.state_dict()
    assert used != fresh
    decided(criterion, itertools.islice(progress(np.ones(100)), 50, None))
    other = CRITERIA[name]()
    other.load_state_dict(used)
    decided(other, itertools.islice(progress(np.full(100, 2.0)), 50, None))
    assert used != other.state_dict()
    criterion.reset()
    assert criterion.state_dict() == fresh
    assert criterion.value is None


@pytest.mark.parametrize("name", CRITERIA)
def test_a_decision_has_one_line_and_a_number(name):
    criterion = CRITERIA[name]()
    assert criterion.value is None
    assert criterion.reason
    assert decided(criterion, progress(series(1500, 0.1)))
    assert "\n" not in criterion.reason
    assert criterion.value is not None or "trial" in name


@pytest.mark.parametrize("name", CRITERIA)
def test_only_what_is_needed_is_asked_for(name):
    records = list(progress(np.ones(200)))
    decided(CRITERIA[name](), records)
    asked = [what for record in records for what in record.gradients.asked]
    expected = {
        "norm": ["norm"] * 50, "alignment": ["conditions"] * 4, "any": ["conditions"] * 4,
        "signal": ["8 chunks"] * 4, "all": ["8 chunks"] * 4,
    }  # fmt: skip
    assert asked == expected.get(name, [])


@pytest.mark.parametrize("name", ["norm", "alignment", "signal"])
def test_a_criterion_that_needs_gradients_says_so(name):
    with pytest.raises(ConfigurationError, match=f"{type(CRITERIA[name]()).__name__} needs the gradients"):
        decided(CRITERIA[name](), (Progress(k, k, 1.0) for k in range(1, 100)))


def test_state_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="LossPlateau needs"):
        LossPlateau().load_state_dict(FixedSteps(3).state_dict())
    with pytest.raises(ConfigurationError, match="All has 2 members, the checkpoint 1"):
        All([FixedSteps(3), LossPlateau()]).load_state_dict(All([FixedSteps(3)]).state_dict())
    with pytest.raises(ConfigurationError, match="LossPlateau needs"):
        Any([LossPlateau()]).load_state_dict(Any([FixedSteps(3)]).state_dict())


SERIES = [name for name in CRITERIA if isinstance(CRITERIA[name](), Series)]


def renewed(values, version):
    """The series with the version of the points that `version` gives each step."""
    return (replace(record, version=version(record.step)) for record in progress(values))


@pytest.mark.parametrize("name", SERIES)
def test_new_points_start_the_series_again(name):
    values = series(1500, 0.1)
    plain = decided(CRITERIA[name](), progress(values))
    assert plain > 20
    # New points shortly before the decision: only what comes after them counts.
    late = decided(CRITERIA[name](), renewed(values, lambda step: int(step >= plain - 5)))
    assert late > plain + 20


@pytest.mark.parametrize("name", SERIES)
def test_points_that_change_at_every_step_are_noise(name):
    values = series(1500, 0.1)
    assert decided(CRITERIA[name](), renewed(values, int)) == decided(CRITERIA[name](), progress(values)) is not None


@pytest.mark.parametrize("name", SERIES)
def test_points_that_never_stand_long_enough_do_not_keep_a_phase_from_ending(name):
    values, needed = series(1500, 0.1), CRITERIA[name]().needed
    plain = decided(CRITERIA[name](), progress(values))
    for every in (max(needed // 3, 10), needed, 2 * needed - 1):
        found = decided(CRITERIA[name](), renewed(values, lambda step, every=every: step // every))
        assert found is not None
        assert abs(found - plain) <= 2 * needed


class Looked(Series):
    """Counts the steps since the series began; takes 15 to decide."""

    needed = 15

    def initial(self):
        return {**super().initial(), "value": 0}

    def look(self, progress):
        self._state["value"] += 1
        return False

    @property
    def reason(self):
        return ""


def test_when_new_points_break_a_series_off():
    criterion = Looked()
    lengths = []
    stands = [40, 20, 20, 20, 40, 5, 5, 40]
    versions = [version for version, stand in enumerate(stands) for _ in range(stand)]
    for step, version in enumerate(versions, 1):
        if step > 1 and version != versions[step - 2]:
            lengths.append(criterion.value)
        criterion.update(Progress(step=step, evaluations=step, loss=1.0, version=version))
    # Broken off after 40, after 20 once but not twice in a row, after 40 again, and never after 5.
    assert lengths == [40, 20, 20, 20 + 20, 20 + 20 + 40, 5, 5 + 5]
    assert criterion.value == 5 + 5 + 40
