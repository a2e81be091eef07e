"""Growing batches inside the Trainer: sizes step by step, what is counted, and that a resumed run does the same."""

from __future__ import annotations

import functools
import itertools
import warnings

import lightning as L
import pytest
import torch
from compiling import needs_compiler
from training import ADAM, GROWTH_CALLBACKS, PHASES, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import BatchGrowth, RunSummary, batch_growth
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.optimizers import MultiBatchLBFGS
from pinnlab.training.batch_growth import Geometric, Linear, NormTest
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import rows_of_all_ranks

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other

COUNTS = {"pde": 40, "wall": 12, "start": 6}


class Watch(L.Callback):
    """Notes the batch of every step, and counts the rows of every evaluation by itself."""

    def __init__(self):
        self.batches, self.rows, self.written = [], 0, []

    def on_train_start(self, trainer, pl_module):
        self._original = pl_module.objective.evaluate
        pl_module.objective.evaluate = self._counted

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch)

    def on_train_batch_end(self, trainer, pl_module, *unused):
        memory = pl_module.current_optimizer().state.get(next(pl_module.trial.parameters()), {})
        self.written.append(memory.get("written", 0))

    def _counted(self, parameters, batch, factors):
        self.rows += sum(map(len, batch.values()))
        return self._original(parameters, batch, factors)

    def sizes(self, name="pde"):
        return [len(batch[name]) for batch in self.batches]


def fit(growth, phases=None, steps=14, batch_size=None, callbacks=(), points=COUNTS, **options):
    watch = Watch()
    module = small_module(phases=phases or [Phase(ADAM, steps=steps)], **options)
    data = small_data(module.problem, points=points, batch_size=batch_size)
    trainer = quiet_trainer(callbacks=[growth, watch, *callbacks], log_every_n_steps=1)
    trainer.fit(module, data)
    return watch, module, data, trainer


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (BatchGrowth(Geometric(first=5), every=2), [5, 5, 10, 10, 20, 20, 40, 40, 40]),
        (BatchGrowth(Geometric(first=5, factor=4), every=2), [5, 5, 20, 20, 40, 40, 40, 40, 40]),
        (BatchGrowth(Linear(first=5, step=5), every=1), [5, 10, 10, 20, 20, 20, 20, 40, 40]),
        (BatchGrowth(Geometric(first=5), every=2, until=15), [5, 5, 10, 10, 15, 15, 15, 15, 15]),
        (BatchGrowth(Geometric(first=50), every=2), [40] * 9),
        (BatchGrowth(NormTest(first=5, theta=1e-6), every=2), [5, 5, 10, 10, 20, 20, 40, 40, 40]),
        (BatchGrowth(NormTest(first=5, theta=1e6), every=3), [5] * 9),
    ],
    ids=["geometric", "by four", "linear", "until", "larger than the set", "noisy", "quiet"],
)
def test_sizes_step_by_step(growth, expected):
    watch, module, data, _ = fit(growth, steps=9)
    assert watch.sizes() == expected
    assert watch.sizes("wall") == [min(size, 12) for size in expected]
    assert watch.sizes("start") == [min(size, 6) for size in expected]
    assert data.store.version == module.objective_version() == 0
    assert (data.store.batches.size is None) == (growth.until is None and max(expected) == 40)


def test_every_size_passes_over_all_points_before_it_repeats_one():
    watch, _, _, _ = fit(BatchGrowth(Geometric(first=5), every=8), steps=17)
    for first, last in ((0, 8), (8, 12), (12, 16)):
        rows = torch.cat([batch["pde"] for batch in watch.batches[first:last]])
        assert len(rows) == len(rows.unique(dim=0)) == 40


def test_a_closure_optimizer_gets_the_full_set_and_its_steps_do_not_count():
    phases = [Phase(ADAM, steps=3), Phase(QUASI_NEWTON, steps=4), Phase(ADAM, steps=5)]
    watch, _, data, _ = fit(BatchGrowth(Geometric(first=5), every=3), phases)
    assert watch.sizes() == [5, 5, 5, 40, 40, 40, 40, 10, 10, 10, 20, 20]
    assert data.store.batches.size == 20


def test_no_pair_of_multi_batch_lbfgs_spans_a_change_of_size():
    phases = [Phase(functools.partial(MultiBatchLBFGS, history=20), steps=10)]
    watch, _, _, _ = fit(BatchGrowth(Geometric(first=8), every=5), phases)
    made = [after - before for before, after in itertools.pairwise([0, *watch.written])]
    assert watch.sizes() == [8] * 5 + [16] * 5
    assert made == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "phases",
    [
        [Phase(ADAM, steps=5), Phase(QUASI_NEWTON, steps=2), Phase(ADAM, steps=2)],
        PHASES["trials"](),
    ],
    ids=["phases", "trials"],
)
def test_points_seen_are_the_rows_of_all_evaluations(phases):
    summary = RunSummary()
    watch, module, _, trainer = fit(BatchGrowth(Geometric(first=5), every=2, until=20), phases, callbacks=[summary])
    assert module.points_seen == watch.rows == summary.result["points_seen"]
    assert trainer.logged_metrics["training/points_seen"] == module.points_seen
    assert trainer.logged_metrics["training/batch_size"] == watch.sizes()[-1]


def test_a_test_of_the_norm_counts_as_an_evaluation_of_the_batch():
    watch, module, _, _ = fit(BatchGrowth(NormTest(first=5, theta=1e6), every=3), steps=9)
    assert module.evaluations == 9 + 3
    assert module.points_seen == 12 * 15
    assert watch.rows == 9 * 15  # the tests are made uncompiled, beside the loss
    assert sum(rows_of_all_ranks(watch.batches[0], None, watch.batches[0]).values()) == 15


def test_noise_is_that_of_the_points_the_batch_was_drawn_from(monkeypatch):
    """Points that are added in the same step, before the test, do not make a whole condition a sampled one."""

    class MoreWall(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *unused):
            store = trainer.datamodule.store
            store.replace({"wall": store.draw("wall", 5)}, {"wall": torch.arange(len(store.rows["wall"]))})

    seen = []
    monkeypatch.setattr(batch_growth, "gradient_noise", lambda *arguments: seen.append(dict(arguments[4])) or 0.0)
    growth = BatchGrowth(NormTest(first=15), every=1)
    module = small_module(phases=[Phase(ADAM, steps=2)])
    data = small_data(module.problem, points=COUNTS)
    quiet_trainer(callbacks=[MoreWall(), growth]).fit(module, data)
    assert seen == [{"pde": 15}, {"pde": 15, "wall": 15}]


def test_watching_the_noise_does_not_change_the_steps():
    _, one, _, _ = fit(BatchGrowth(NormTest(first=5, theta=1e6), every=1), steps=6)
    _, two, _, _ = fit(BatchGrowth(Geometric(first=5), every=100), steps=6)
    assert one.evaluations == 2 * two.evaluations
    assert all(torch.equal(a, b) for a, b in zip(one.trial.parameters(), two.trial.parameters(), strict=True))


@pytest.mark.parametrize("name", GROWTH_CALLBACKS)
def test_resume_is_bitwise(tmp_path, name):
    whole, _, module, data = full_run(tmp_path / "whole", every=2, callbacks=GROWTH_CALLBACKS[name]())
    assert data.store.batches.size != 4
    for path in sorted((tmp_path / "whole").glob("*.ckpt"))[::3]:
        again, _, resumed, points = full_run(tmp_path / "again", path, every=100, callbacks=GROWTH_CALLBACKS[name]())
        assert resumed.points_seen == module.points_seen, path.name
        assert points.store.batches.size == data.store.batches.size
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


def test_a_second_run_begins_at_the_first_size_again():
    growth = BatchGrowth(Geometric(first=5), every=2)
    for _ in range(2):
        watch, *_ = fit(growth, steps=4)
        assert watch.sizes() == [5, 5, 10, 10]


@pytest.mark.slow
@needs_compiler
def test_a_ladder_of_sizes_compiles_one_graph(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # a graph from the cache has no guards
    builds, build = [], CompiledValue._build
    monkeypatch.setattr(CompiledValue, "_build", lambda self, *a, **k: builds.append(1) or build(self, *a, **k))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        growth = BatchGrowth(NormTest(first=32, theta=1e-6), every=1)
        watch, *_ = fit(growth, steps=8, points={"pde": 300, "wall": 60, "start": 40}, compile=True)
    assert not [w for w in caught if "not compiled" in str(w.message)]
    assert sorted(set(watch.sizes())) == [32, 64, 128, 256, 300]
    assert len(builds) == 1


@pytest.mark.parametrize(
    ("options", "key"),
    [({"every": 0}, r"BatchGrowth\.every"), ({"until": 4}, r"BatchGrowth\.until.*rule\.first \(5\)")],
)
def test_bad_numbers_are_refused(options, key):
    with pytest.raises(ConfigurationError, match=key):
        BatchGrowth(Geometric(first=5), **options)


def test_two_sizes_to_begin_with_are_refused():
    with pytest.raises(ConfigurationError, match=r"data\.batch_size.*leave it out"):
        fit(BatchGrowth(Geometric(first=5)), batch_size=7)


def test_other_data_are_refused():
    module = small_module(phases=[Phase(ADAM, steps=2)])
    with pytest.raises(ConfigurationError, match="BatchGrowth: there is no point store"):
        quiet_trainer(callbacks=[BatchGrowth(Geometric(first=5))]).fit(module, [{}])
