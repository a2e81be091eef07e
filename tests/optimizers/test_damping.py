from __future__ import annotations

import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import FixedDamping, GainRatio, SeveralValues, StepLength

RULES = [FixedDamping(1e-3), GainRatio(1e-3), SeveralValues(1e-3), StepLength(1e-4)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_damps_more_until_it_gives_up_and_then_starts_again(rule):
    memory = rule.initial()
    first = list(rule.values(memory))
    largest = max(first)
    while rule.rejected(memory):
        assert max(rule.values(memory)) > largest
        largest = max(rule.values(memory))
        assert largest < 1e13
    assert largest > 1e4
    assert min(rule.values(memory)) <= max(first) * 10


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_remembers_primitives_only(rule):
    memory = rule.initial()
    rule.accepted(memory, min(rule.values(memory)), 0.9, 1.0)
    assert all(isinstance(value, float) for value in memory.values())


def test_fixed_damping_returns_to_its_value():
    rule = FixedDamping(1e-6)
    memory = rule.initial()
    rule.rejected(memory)
    assert rule.values(memory) == [pytest.approx(1e-5)]
    rule.accepted(memory, 1e-5, 1.0, 1.0)
    assert rule.values(memory) == [1e-6]


@pytest.mark.parametrize(
    ("ratio", "step", "factor"),
    [(0.9, 1.0, 0.25), (0.9, 0.5, 1.0), (0.9, 0.25, 5.0), (0.5, 1.0, 1.0), (0.1, 1.0, 5.0), (-1.0, 1.0, 5.0)],
)
def test_gain_ratio(ratio, step, factor):
    rule = GainRatio(1e-3, shrink=0.25, grow=5.0)
    memory = rule.initial()
    rule.accepted(memory, 1e-3, ratio, step)
    assert rule.values(memory) == [pytest.approx(1e-3 * factor)]


def test_gain_ratio_never_falls_below_the_lowest():
    rule = GainRatio(1e-3, lowest=1e-4)
    memory = rule.initial()
    for _ in range(5):
        rule.accepted(memory, rule.values(memory)[0], 1.0, 1.0)
    assert rule.values(memory) == [1e-4]


def test_several_values_go_on_from_the_best():
    rule = SeveralValues(1e-4, factors=(0.5, 2.0))
    memory = rule.initial()
    assert rule.values(memory) == pytest.approx([5e-5, 2e-4])
    rule.accepted(memory, 2e-4, 0.0, 1.0)
    assert rule.values(memory) == pytest.approx([1e-4, 4e-4])


@pytest.mark.parametrize(("step", "factor"), [(1.0, 0.5), (0.5, 1.0), (0.25, 3.0)])
def test_step_length(step, factor):
    rule = StepLength(1e-5, shrink=0.5, grow=3.0)
    memory = rule.initial()
    rule.accepted(memory, 1e-5, 0.0, step)
    assert rule.values(memory) == [pytest.approx(1e-5 * factor)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedDamping(0), "damping.value"),
        (lambda: GainRatio(-1), "damping.initial"),
        (lambda: GainRatio(reject=1), "reject > 1"),
        (lambda: GainRatio(grow="fast"), "damping.grow"),
        (lambda: SeveralValues(factors=[]), "damping.factors"),
        (lambda: StepLength(1.0, highest=0.1), "lowest <= initial <= highest"),
        (lambda: StepLength(shrink=2.0), "shrink <= 1"),
    ],
)
def test_bad_values_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=message):
        build()
