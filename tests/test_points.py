"""The point store and the data module."""

import pytest
import torch

from pinnlab.datamodule import CollocationDataModule
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.points import PointStore
from pinnlab.problems import Burgers, Neumann, Observations, Problem, Residual
from pinnlab.samplers import Grid, Sobol, UniformRandom


def store(seed=0, **options):
    problem = Burgers(exact_conditions=False)
    counts = {"pde": 20, "wall": 8, "start": 5}
    return PointStore(problem, counts, dict.fromkeys(counts, Sobol()), seed, **options)


def test_full_batch_is_every_point():
    s = store()
    assert {name: len(rows) for name, rows in s.batch().items()} == {"pde": 20, "wall": 8, "start": 5}
    assert s.problem.domain.contains(s.points("pde")).all()


def test_draws_depend_on_seed_and_counter_only():
    assert torch.equal(store().rows["pde"], store().rows["pde"])
    assert not torch.equal(store().rows["pde"], store(seed=1).rows["pde"])
    s = store()
    assert not torch.equal(s.draw("pde", 4), s.draw("pde", 4))


def test_replace_counts_the_version_up_and_reaches_the_batch():
    s = store()
    s.batch()
    new = s.draw("pde", 11, UniformRandom())
    s.replace({"pde": new})
    assert s.version == 1
    assert torch.equal(s.batch()["pde"], new)


def test_mini_batches_pass_over_all_points():
    s = store(batch_size=5)
    seen = torch.cat([s.batch()["pde"] for _ in range(4)])
    assert len(seen.unique(dim=0)) == 20
    second = torch.cat([s.batch()["pde"] for _ in range(4)])
    assert len(second.unique(dim=0)) == 20
    assert not torch.equal(seen, second)
    s.full_batch = True
    assert len(s.batch()["pde"]) == 20


@pytest.mark.parametrize("batch_size", [None, 6])
def test_state_continues_exactly(batch_size):
    one, two = store(batch_size=batch_size), store(seed=5, batch_size=batch_size)
    for _ in range(5):
        one.batch()
    one.replace({"pde": one.draw("pde", 20)})
    two.load_state_dict(one.state_dict())
    for _ in range(7):
        a, b = one.batch(), two.batch()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert torch.equal(one.draw("wall", 3), two.draw("wall", 3))


def test_state_is_a_copy():
    s = store()
    state = s.state_dict()
    state["rows"]["pde"].zero_()
    assert s.rows["pde"].abs().sum() > 0


def test_dtype_and_extras():
    x = Interval("x", 0, 1)
    problem = Problem(
        x,
        ["u"],
        {
            "pde": Residual(x, lambda u: u.xx),
            "flux": Neumann(x.boundary(), u=0.0),
            "data": Observations([[0.5]], u=[3.0]),
        },
    )
    s = PointStore(problem, {"pde": 4, "flux": 2}, {"pde": Grid(), "flux": Grid()}, 0, dtype=torch.float32)
    assert {rows.dtype for rows in s.batch().values()} == {torch.float32}
    assert sorted(s.rows["flux"].tolist()) == [[0.0, -1.0], [1.0, 1.0]]
    assert s.rows["data"].tolist() == [[0.5, 3.0]]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"points": {"pde": 5}}, "data.points.wall"),
        ({"points": {"pde": 5, "wall": 0, "start": 1}}, "data.points.wall"),
        ({"points": 5, "samplers": {"wal": Grid()}}, "'wal'"),
        ({"points": 5, "batch_size": -1}, "data.batch_size"),
    ],
)
def test_bad_counts(options, key):
    data = CollocationDataModule(Burgers(exact_conditions=False), **options)
    with pytest.raises(ConfigurationError, match=key):
        data.setup("fit")


@pytest.mark.parametrize("key", ["held_out", "evaluation_points", "steps_per_epoch"])
def test_bad_sizes(key):
    with pytest.raises(ConfigurationError, match=f"data.{key}"):
        CollocationDataModule(Burgers(), **{key: -1})


def test_store_before_setup_says_so():
    with pytest.raises(ConfigurationError, match="once training"):
        _ = CollocationDataModule(Burgers()).store


def test_held_out_points_are_not_training_points():
    data = CollocationDataModule(Burgers(), points=50, held_out=40, evaluation_points=500)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    assert len(batch["held_out"]["pde"]) == 40
    assert torch.cdist(batch["held_out"]["pde"], data.store.points("pde")).min() > 0
    assert batch["reference"].shape == (len(batch["points"]), 1)
