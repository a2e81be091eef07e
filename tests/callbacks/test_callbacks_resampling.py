from __future__ import annotations

import functools
import itertools

import pytest
import torch
from training import full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import FreshPoints, ResidualResampling
from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import EnergyNaturalGradient
from pinnlab.phases import Phase
from pinnlab.problems import AllenCahn
from pinnlab.samplers import seed_for

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other


class PointsSeen:
    """Runs a few steps and keeps every condition's points after each."""

    def __init__(self, callback, problem=None, steps=4, phases=None):
        module = small_module(problem, phases or [Phase(functools.partial(torch.optim.Adam, lr=1e-3), steps=steps)])
        data = small_data(module.problem)
        seen = self.seen = []

        def note(trainer, *unused):
            seen.append({name: rows.clone() for name, rows in data.store.rows.items()})

        callback.on_train_batch_start = note  # what the step is about to be made with
        quiet_trainer(callbacks=[callback], max_steps=steps).fit(module, data)
        self.problem = module.problem


def test_fresh_points_are_new_for_every_condition_at_every_step():
    run = PointsSeen(FreshPoints())
    for name, condition in run.problem.conditions.items():
        sets = [points[name] for points in run.seen]
        assert len(sets) == 4
        for one, other in itertools.pairwise(sets):
            assert one.shape == other.shape
            assert not torch.equal(one, other)
        assert all(condition.region.contains(points).all() for points in sets), name


def test_fresh_points_come_less_often_and_later_when_asked():
    run = PointsSeen(FreshPoints(every=2, start=1, conditions=["pde"]), steps=6)
    changed = [not torch.equal(a["pde"], b["pde"]) for a, b in itertools.pairwise(run.seen)]
    assert changed == [False, False, True, False, True]
    assert all(torch.equal(points["start"], run.seen[0]["start"]) for points in run.seen)


def test_a_gauss_newton_method_gets_fresh_points_at_every_step():
    run = PointsSeen(FreshPoints(), phases=[Phase(EnergyNaturalGradient, steps=4)])
    sets = [points["pde"] for points in run.seen]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(sets))


def test_fresh_points_do_not_depend_on_the_run_before():
    one, two = PointsSeen(FreshPoints()), PointsSeen(FreshPoints())
    assert torch.equal(one.seen[-1]["pde"], two.seen[-1]["pde"])
    assert seed_for(0, "pde", 1) != seed_for(0, "pde", 2)


@pytest.mark.parametrize("callback", [FreshPoints, ResidualResampling])
@pytest.mark.parametrize(("options", "key"), [({"every": 0}, "every"), ({"start": -1}, "start")])
def test_bad_numbers_are_refused(callback, options, key):
    with pytest.raises(ConfigurationError, match=rf"{callback.__name__}\.{key}"):
        callback(**options)


@pytest.mark.parametrize("callback", [FreshPoints, ResidualResampling])
def test_unknown_condition_is_refused(callback):
    with pytest.raises(ConfigurationError, match="strat"):
        PointsSeen(callback(conditions=["strat"]))


def test_residual_points_gather_where_the_residual_is():
    run = PointsSeen(ResidualResampling(every=1, pool=2000, exponent=4.0, floor=0.0), AllenCahn(periodic="loss"))
    assert not torch.equal(run.seen[0]["pde"], run.seen[1]["pde"])
    assert torch.equal(run.seen[0]["start"], run.seen[1]["start"])


def test_fresh_points_resume_bitwise(tmp_path):
    phases = functools.partial(list, [Phase(functools.partial(torch.optim.Adam, lr=5e-3), steps=6)])
    whole, *_ = full_run(tmp_path / "whole", every=1, phases=phases(), callbacks=[FreshPoints(every=2)])
    for path in sorted((tmp_path / "whole").glob("*.ckpt")):
        again, *_ = full_run(
            tmp_path / "again", ckpt_path=path, every=100, phases=phases(), callbacks=[FreshPoints(every=2)]
        )
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step])
