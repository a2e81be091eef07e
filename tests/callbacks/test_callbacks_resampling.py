"""Callbacks that change points: what they choose, when, and that a resumed run goes on as if nothing had been."""

from __future__ import annotations

import functools
import itertools
import math

import jsonargparse
import lightning as L
import numpy as np
import pytest
import torch
from training import ADAM, PHASES, POINT_CALLBACKS, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import FreshPoints, ResidualAddition, ResidualResampling, RetainResample
from pinnlab.domains import Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import EnergyNaturalGradient
from pinnlab.problems import (
    AllenCahn,
    Dirichlet,
    Neumann,
    Observations,
    Poisson2D,
    Problem,
    Regression1D,
    Residual,
)
from pinnlab.samplers import Sobol, UniformRandom, seed_for
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import PointStore
from pinnlab.training.switching import phases_of

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


@pytest.mark.parametrize("callback", [FreshPoints, ResidualResampling, ResidualAddition, RetainResample])
@pytest.mark.parametrize(("options", "key"), [({"every": 0}, "every"), ({"start": -1}, "start")])
def test_bad_numbers_are_refused(callback, options, key):
    with pytest.raises(ConfigurationError, match=rf"{callback.__name__}\.{key}"):
        callback(**options)


@pytest.mark.parametrize("callback", [FreshPoints, ResidualResampling, ResidualAddition, RetainResample])
def test_unknown_condition_is_refused(callback):
    with pytest.raises(ConfigurationError, match="strat"):
        PointsSeen(callback(conditions=["strat"]))


def test_residual_points_gather_where_the_residual_is():
    run = PointsSeen(ResidualResampling(every=1, pool=2000, exponent=4.0, floor=0.0), AllenCahn(periodic="loss"))
    assert not torch.equal(run.seen[0]["pde"], run.seen[1]["pde"])
    assert torch.equal(run.seen[0]["start"], run.seen[1]["start"])


# ------------------------------------------------------------------------------ choices, without a trainer


class DiskHeat(Problem):
    """A domain, a boundary with normals and a face of time, none of them a box."""

    def __init__(self):
        domain = Disk() * Interval("t", 0, 2)
        conditions = {
            "pde": Residual(domain, lambda u: u.t - u.laplacian()),
            "rim": Neumann(domain.boundary("x", "y"), u=0.0),
            "start": Dirichlet(domain.face(t=0.0), u=lambda x: x),
        }
        super().__init__(domain, ("u",), conditions)


def store_and_system(dtype=torch.float64, count=60):
    module = small_module(DiskHeat())
    counts = dict.fromkeys(module.problem.conditions, count)
    return PointStore(module.problem, counts, dict.fromkeys(counts, Sobol()), seed=0, dtype=dtype), module.system


def sizes(system, name, store, points):
    return system.residuals({name: store.as_rows(name, points)})[name].norm(dim=-1).detach().numpy()


EVERY = {
    FreshPoints: lambda names: FreshPoints(conditions=names),
    ResidualResampling: lambda names: ResidualResampling(pool=300, conditions=names),
    ResidualAddition: lambda names: ResidualAddition(pool=300, count=20, conditions=names),
    RetainResample: lambda names: RetainResample(causal=True, conditions=names),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", ["pde", "rim", "start"])
def test_points_stay_in_their_region_with_their_normals(kind, name):
    store, system = store_and_system()
    kept_before = store.rows[name].clone()
    callback, condition = EVERY[kind]([name]), store.problem.conditions[name]
    change = callback._change(store, system, name, passed=3)
    store.replace({name: change.new}, {} if change.kept is None else {name: change.kept})
    assert len(store.rows[name]) == (80 if kind is ResidualAddition else 60)
    assert condition.region.contains(store.points(name)).all()
    assert torch.equal(store.rows[name], condition.rows(store.points(name)))
    if change.kept is not None:
        assert torch.equal(store.rows[name][: len(change.kept)], kept_before[change.kept])
    assert not torch.equal(store.rows[name][-20:], kept_before[-20:])


def test_r3_keeps_the_points_above_the_mean_residual():
    store, system = store_and_system()
    r = sizes(system, "pde", store, store.points("pde"))
    change = RetainResample()._change(store, system, "pde", passed=1)
    assert change.kept.tolist() == np.flatnonzero(r > r.mean()).tolist()
    assert len(change.new) + len(change.kept) == 60


def test_causal_r3_weighs_by_the_gate_and_moves_it():
    store, system = store_and_system()
    points = store.points("pde").numpy()
    r, time, start = sizes(system, "pde", store, store.points("pde")), points[:, 2] / 2, -0.5

    def gate(position):
        return 1 / (1 + np.exp(2 * 3.0 * (time - position)))

    callback = RetainResample(causal=True, steepness=3.0, tolerance=2.0, speed=0.01)
    change = callback._change(store, system, "pde", passed=40)
    position = start + 40 * 0.01 * np.exp(-2.0 * np.mean(gate(start) * r**2))
    assert callback.positions == {"pde": pytest.approx(position, rel=1e-12)}
    assert start < position < start + 0.4
    gated = gate(position) * r
    assert change.kept.tolist() == np.flatnonzero(gated > gated.mean()).tolist()


def test_greedy_addition_takes_the_largest_of_the_pool():
    (store, system), (again, _) = store_and_system(), store_and_system()
    change = ResidualAddition(pool=300, count=7, greedy=True)._change(store, system, "pde", passed=1)
    pool = again.draw("pde", 300, UniformRandom())
    best = np.argsort(-sizes(system, "pde", again, pool))[:7]
    assert torch.equal(change.new, pool[best.tolist()])
    assert change.kept.tolist() == list(range(60))


def test_kept_points_are_not_rounded_by_a_phase_in_float32():
    store, system = store_and_system(torch.float32)
    before = store.state_dict()["rows"]["rim"]
    system.trial.to(torch.float32)
    change = ResidualAddition(pool=300, count=5)._change(store, system, "rim", passed=1)
    store.replace({"rim": change.new}, {"rim": change.kept})
    assert torch.equal(store.state_dict()["rows"]["rim"][:60], before)
    assert store.rows["rim"].dtype == torch.float32


@pytest.mark.parametrize("kind", [ResidualAddition, RetainResample])
def test_kept_points_keep_their_weights_and_scores_are_without(kind):
    (store, system), (plain, _) = store_and_system(), store_and_system()
    weights = torch.linspace(1, 9, 60, dtype=torch.float64)
    store.weigh("rim")
    store.set_point_weights("rim", weights)
    one, other = (EVERY[kind](["rim"])._change(s, system, "rim", passed=1) for s in (store, plain))
    assert torch.equal(one.new, other.new)
    assert torch.equal(one.kept, other.kept)
    store.replace({"rim": one.new}, {"rim": one.kept})
    assert torch.equal(store.point_weights("rim")[: len(one.kept)], weights[one.kept])


def test_points_are_left_alone_while_the_residual_is_not_finite():
    store, system = store_and_system()
    with torch.no_grad():
        next(system.trial.parameters()).fill_(math.nan)
    for callback in (ResidualResampling(pool=300), ResidualAddition(pool=300), RetainResample()):
        assert callback._change(store, system, "pde", passed=1) is None


def test_points_have_outgrown_when_the_residual_between_them_is_larger():
    store, system = store_and_system(count=200)
    callback = FreshPoints(ratio=3.0)
    assert not callback._outgrown(store, system, "pde", 3.0)
    pool = store.draw("pde", 4000, UniformRandom())
    smallest = np.argsort(sizes(system, "pde", store, pool))[:200]
    store.replace({"pde": pool[smallest.tolist()]})
    assert callback._outgrown(store, system, "pde", 3.0)


def height(system, name, rows):
    """A score of one's own: points gather at late times."""
    return rows[:, 2] ** 8


def test_a_score_of_ones_own_by_its_import_path():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ResidualResampling, "callback")
    chosen = parser.parse_args(["--callback.score", f"{__name__}.height", "--callback.floor", "0"])
    callback = parser.instantiate_classes(chosen).callback
    store, system = store_and_system()
    change = callback._change(store, system, "pde", passed=1)
    assert change.new[:, 2].mean() > 1.6  # the mean of t under t^8 on [0, 2] is 1.8


def test_a_cap_keeps_points_out_of_a_spot_with_all_of_the_residual():
    store, system = store_and_system()

    def late(cap):
        change = ResidualResampling(score=height, floor=0.0, cap=cap)._change(store, system, "pde", passed=1)
        return float((change.new[:, 2] > 1.6).double().mean())

    # Under t^8 a share of 1 - 0.8^9 = 0.87 is in the last fifth; there a density of twice the uniform one leaves 0.4.
    assert late(None) > 0.7
    assert late(2.0) == pytest.approx(0.4, abs=0.15)


def test_a_cap_is_refused_where_the_largest_scores_are_taken():
    with pytest.raises(ConfigurationError, match=r"ResidualAddition\.cap: RAR-G takes the largest scores"):
        ResidualAddition(greedy=True, cap=3.0)


@pytest.mark.parametrize("score", [lambda s, n, rows: -rows[:, 0].abs(), lambda s, n, rows: rows])
def test_a_bad_score_is_refused(score):
    store, system = store_and_system()
    with pytest.raises(ConfigurationError, match="score"):
        ResidualResampling(score=score, pool=300)._change(store, system, "pde", passed=1)


# ---------------------------------------------------------------------------------------- in training runs


def changes(run, name="pde"):
    return [not torch.equal(a[name], b[name]) for a, b in itertools.pairwise(run.seen)]


def two_phases(**options):
    adam = functools.partial(torch.optim.Adam, lr=1e-3)
    return [Phase(adam, steps=2), Phase(adam, steps=3, **options)]


def test_points_change_before_the_first_step_of_a_phase():
    run = PointsSeen(FreshPoints(every=None, at_switch=True), phases=two_phases(), steps=5)
    assert changes(run) == [False, True, False, False]
    run = PointsSeen(RetainResample(every=None, at_switch=True), phases=two_phases(points={"pde": 33}), steps=5)
    assert [len(points["pde"]) for points in run.seen] == [21, 21, 33, 33, 33]


def test_points_do_not_change_while_they_stand_for_their_region():
    assert not any(changes(PointsSeen(FreshPoints(every=1, ratio=1e12))))


def test_points_are_added_up_to_the_most():
    run = PointsSeen(ResidualAddition(every=1, count=5, most=30, pool=200), steps=5)
    assert [len(points["pde"]) for points in run.seen] == [21, 26, 30, 30, 30]
    for one, other in itertools.pairwise(run.seen):
        assert torch.equal(other["pde"][: len(one["pde"])], one["pde"])


class Told(L.Callback):
    def __init__(self):
        self.phases = []

    def after_switch(self, trainer, pl_module):
        self.phases.append(pl_module.phase)


def test_callbacks_are_told_of_switches_and_kept_trials_only():
    module, told = small_module(phases=PHASES["trials"]()), Told()
    trainer = quiet_trainer(callbacks=[told])
    trainer.fit(module, small_data(module.problem))
    events = [d.event for d in phases_of(trainer).decisions]
    assert "trial undone" in events
    assert told.phases == [1, 2]


BAD = {
    "ResidualAddition.count": lambda: ResidualAddition(count=0),
    "ResidualAddition.most": lambda: ResidualAddition(most=0),
    "ResidualAddition.pool": lambda: ResidualAddition(pool=0),
    "RetainResample.speed": lambda: RetainResample(speed=0.0),
    "RetainResample.tolerance": lambda: RetainResample(tolerance=-1.0),
    "RetainResample.steepness": lambda: RetainResample(steepness=0.0),
    "RetainResample.ratio": lambda: RetainResample(causal=True, ratio=2.0),
    "FreshPoints.ratio": lambda: FreshPoints(ratio=0.5),
    "FreshPoints.every": lambda: FreshPoints(every=None),
    "ResidualResampling.every": lambda: ResidualResampling(every=None, at_switch=True, ratio=10.0),
    "score 'residul'": lambda: ResidualResampling(score="residul"),
    "RetainResample.causal": lambda: PointsSeen(RetainResample(causal=True), Poisson2D()),
    "ResidualAddition.conditions": lambda: PointsSeen(ResidualAddition(conditions=["walls"])),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_options_are_refused_in_one_line(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


class OnlyData(Problem):
    """A problem whose conditions bring their own points."""

    def __init__(self):
        x = Interval("x", 0, 1)
        super().__init__(x, ("u",), {"data": Observations([[0.0], [1.0]], u=[1.0, 2.0])})


@pytest.mark.parametrize("callback", [ResidualResampling, ResidualAddition, RetainResample])
def test_where_there_is_no_equation_they_say_so_instead_of_doing_nothing(callback):
    with pytest.raises(
        ConfigurationError, match=rf"^{callback.__name__}\.conditions: there is no differential equation"
    ):
        PointsSeen(callback(), Regression1D())
    with pytest.raises(ConfigurationError, match="no condition has points to draw"):
        PointsSeen(callback(), OnlyData())


def test_fresh_points_say_when_there_are_none_to_draw():
    assert len(PointsSeen(FreshPoints(), Regression1D()).seen) == 4
    with pytest.raises(ConfigurationError, match=r"^FreshPoints\.conditions: no condition has points to draw"):
        PointsSeen(FreshPoints(), OnlyData())


def test_addition_says_when_there_are_enough_points_already():
    with pytest.warns(UserWarning, match=r"^ResidualAddition\.most: 'pde' has 21 points already"):
        run = PointsSeen(ResidualAddition(every=1, most=21, pool=101))
    assert len(run.seen[-1]["pde"]) == 21


@pytest.mark.parametrize("name", POINT_CALLBACKS)
def test_changing_points_resume_bitwise(tmp_path, name):
    """On mini-batches and, under L-BFGS, on all points."""

    def run(folder, **options):
        phases = [Phase(ADAM, steps=5), Phase(QUASI_NEWTON, steps=4)]
        return full_run(folder, phases=phases, batch_size=8, callbacks=POINT_CALLBACKS[name](), **options)

    whole, *_, data = run(tmp_path / "whole", every=1)
    assert data.store.version > 0
    for path in sorted((tmp_path / "whole").glob("*.ckpt"))[::3]:
        again, *_, resumed = run(tmp_path / "again", ckpt_path=path, every=100)
        assert resumed.store.version == data.store.version
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"
