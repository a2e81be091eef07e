"""Steps that are suddenly much slower are told once; a slow step, another phase or more points are not."""

import pytest
import torch

from pinnlab.callbacks import SlowSteps, slow_steps
from pinnlab.errors import ConfigurationError


class Module:
    def __init__(self):
        self.phase, self.said = 0, []

    def print(self, line):
        self.said.append(line)


class Clock:
    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def run(monkeypatch):
    clock, module, callback = Clock(), Module(), SlowSteps()
    monkeypatch.setattr(slow_steps, "time", clock)
    callback.on_train_start(None, module)

    def steps(count, seconds, points=30):
        batch = {"pde": torch.zeros(points, 2)}
        for _ in range(count):
            clock.now += 5.0  # between two steps, as for a validation
            callback.on_train_batch_start(None, module, batch, 0)
            clock.now += seconds
            callback.on_train_batch_end(None, module, None, batch, 0)
        return module.said

    steps.module, steps.callback = module, callback
    return steps


def test_told_once_with_what_to_do(run):
    assert run(60, 0.015) == []
    assert run(4, 0.73) == []
    (line,) = run(1, 0.73)
    assert line.startswith("steps take 730 ms, 49 times as long as before")
    assert "OMP_NUM_THREADS" in line
    assert run.callback.warnings == [line]
    run(60, 0.015)
    assert len(run(20, 0.73)) == 1


def test_single_slow_steps_are_none(run):
    for _ in range(30):
        run(10, 0.01)
        assert run(4, 1.0) == []


def test_another_phase_or_more_points_begin_anew(run):
    run(60, 0.01)
    run.module.phase = 1
    assert run(20, 0.5) == []
    run(60, 0.01)
    assert run(20, 0.5, points=300) == []


def test_nothing_is_said_before_enough_is_known(run):
    run(10, 0.01)
    assert run(20, 1.0) == []


@pytest.mark.parametrize(("given", "name"), [({"factor": 1.0}, "factor"), ({"patience": 0}, "patience")])
def test_bad_input(given, name):
    with pytest.raises(ConfigurationError, match=f"SlowSteps.{name}: must"):
        SlowSteps(**given)
