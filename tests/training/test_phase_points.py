"""Phases that bring their own numbers of points."""

import lightning as L
import pytest
import torch
from training import ADAM, PHASES, QUASI_NEWTON, Poison, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers, Observations, Problem
from pinnlab.samplers import Sobol, seed_for
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

COUNTS = {"pde": 21, "wall": 21, "start": 21}
"""What `small_data` draws."""


class Watch(L.Callback):
    """Keeps the store's rows and the batch of every step."""

    def __init__(self):
        self.rows, self.batches, self.versions, self.losses = [], [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, *unused):
        store = trainer.datamodule.store
        self.rows.append({name: rows.clone() for name, rows in store.rows.items()})
        self.batches.append({name: len(rows) for name, rows in batch.items()})
        self.versions.append((store.version, pl_module.objective_version()))

    def on_train_batch_end(self, trainer, pl_module, *unused):
        self.losses.append(pl_module.current_loss())


def fit(phases, *callbacks, problem=None, **options):
    module, watch = small_module(problem, phases), Watch()
    data = small_data(module.problem, **options)
    trainer = quiet_trainer(callbacks=[watch, *callbacks])
    trainer.fit(module, data)
    return watch, trainer, module, data


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def with_data():
    problem = Burgers(viscosity=0.1, exact_conditions=False)
    data = Observations([[0.5, 0.5], [0.2, 0.1]], u=[0.0, 0.1])
    return Problem(problem.domain, ["u"], {**problem.conditions, "data": data})


def test_each_phase_has_its_numbers_of_points():
    phases = [Phase(ADAM, steps=2, points=7), Phase(QUASI_NEWTON, steps=2, points={"pde": 40}), Phase(ADAM, steps=1)]
    watch, _, _, data = fit(phases)
    assert watch.batches[:2] == [dict.fromkeys(COUNTS, 7)] * 2
    assert watch.batches[2:] == [{"pde": 40, "wall": 7, "start": 7}] * 3
    assert {name: len(rows) for name, rows in data.store.rows.items()} == watch.batches[-1]
    assert same(watch.rows[2], watch.rows[4])
    assert data.store.problem.domain.contains(data.store.points("pde")).all()


def test_points_not_named_stay_as_they_are():
    watch, _, _, _ = fit([Phase(ADAM, steps=2), Phase(ADAM, steps=2, points={"pde": 21})])
    assert same(watch.rows[0], watch.rows[1])
    assert not torch.equal(watch.rows[1]["pde"], watch.rows[2]["pde"])  # as many as before, but others
    for name in ("wall", "start"):
        assert torch.equal(watch.rows[1][name], watch.rows[2][name])


def test_points_are_the_next_numbered_draw_of_the_design():
    watch, _, module, data = fit([Phase(ADAM, steps=1), Phase(ADAM, steps=1, points={"wall": 5, "pde": 9})])
    for number, (name, count) in enumerate({"wall": 5, "pde": 9}.items(), len(COUNTS) + 1):
        expected = Sobol().sample(module.problem.conditions[name].region, count, seed_for(data.seed, name, number))
        assert torch.equal(watch.rows[1][name], expected)


def test_the_loss_is_the_one_on_the_new_points():
    watch, _, _, _ = fit([Phase(ADAM, steps=1), Phase(ADAM, steps=1, points=13)])
    other = small_module(phases=[Phase(ADAM, steps=1)])
    quiet_trainer().fit(other, small_data(other.problem))  # the same first step
    residuals = other.system.residuals(watch.rows[1])
    assert watch.losses[1] == pytest.approx(sum(r.square().mean() for r in residuals.values()).item(), rel=1e-12)


def test_optimizers_hear_that_the_objective_changed():
    watch, _, module, _ = fit([Phase(ADAM, steps=2), Phase(QUASI_NEWTON, steps=2, points=9)])
    assert watch.versions == [(0, 0)] * 2 + [(1, 1)] * 2
    assert module.loss_version == 1


def test_observations_are_left_alone():
    watch, _, _, _ = fit([Phase(ADAM, steps=1), Phase(ADAM, steps=1, points=9)], problem=with_data())
    assert watch.batches == [{**COUNTS, "data": 2}, {**dict.fromkeys(COUNTS, 9), "data": 2}]
    assert torch.equal(watch.rows[0]["data"], watch.rows[1]["data"])


def test_mini_batches_are_drawn_from_the_new_points():
    watch, _, _, _ = fit([Phase(ADAM, steps=2), Phase(ADAM, steps=2, points={"pde": 5, "wall": 50})], batch_size=8)
    assert watch.batches == [dict.fromkeys(COUNTS, 8)] * 2 + [{"pde": 5, "wall": 8, "start": 8}] * 2


def test_a_second_fit_starts_with_the_first_phase_again():
    module = small_module(phases=[Phase(ADAM, steps=1, points=6), Phase(ADAM, steps=1, points=12)])
    data, watch = small_data(module.problem), Watch()
    for _ in range(2):
        quiet_trainer(callbacks=[watch]).fit(module, data)
    assert [batch["pde"] for batch in watch.batches] == [6, 12, 6, 12]


def test_a_resumed_run_goes_on_with_the_points_it_had(tmp_path):
    whole = Watch()
    _, _, _, data = full_run(tmp_path / "whole", every=1, phases=PHASES["points"](), callbacks=[whole])
    for step in (2, 3, 5, 6, 8, 10, 11):  # phases begin after 3, 6 and 10 steps
        path, watch = tmp_path / "whole" / f"step={step}.ckpt", Watch()
        _, _, _, resumed = full_run(tmp_path / "again", path, every=100, phases=PHASES["points"](), callbacks=[watch])
        for rows, expected in zip(watch.rows, whole.rows[step:], strict=True):
            assert same(rows, expected), step
        assert resumed.store.counter == data.store.counter


def test_rollback_within_a_phase_does_not_draw_again():
    rollback = Rollback(every=2)
    phases = [Phase(ADAM, steps=2), Phase(ADAM, steps=6, points=9)]
    watch, _, module, data = fit(phases, Poison(5), rollback)
    assert rollback.returns == 1
    assert same(watch.rows[2], watch.rows[-1])
    assert data.store.version == 1
    assert all(p.isfinite().all() for p in module.parameters())


REFUSED = {
    "unknown": ({"wal": 9}, r"^unknown condition in model\.phases\.1\.points 'wal' \(did you mean 'wall'\?\).*$"),
    "data": ({"data": 9}, r"^unknown condition in model\.phases\.1\.points 'data'.*known: pde, start, wall$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_names_are_refused_at_set_up(case):
    points, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        fit([Phase(ADAM, steps=1), Phase(ADAM, steps=1, points=points)], problem=with_data())


@pytest.mark.parametrize(("points", "key"), [(0, "points"), ({"pde": 5, "wall": 0}, r"points\.wall")])
def test_a_phase_refuses_zero_points(points, key):
    with pytest.raises(ConfigurationError, match=rf"model\.phases\.{key}: must be at least 1, got 0"):
        Phase(ADAM, steps=1, points=points)


@pytest.mark.parametrize("options", [{"points": 5}, {"dtype": "float32"}])
def test_without_a_data_module_there_is_nothing_to_change(options):
    module = small_module(phases=[Phase(ADAM, steps=1, **options)])
    data = small_data(module.problem)
    data.setup("fit")
    with pytest.raises(
        ConfigurationError, match=rf"^model\.phases(\.0)?\.{next(iter(options))}: .*CollocationDataModule$"
    ):
        quiet_trainer().fit(module, [data.store.batch()])
