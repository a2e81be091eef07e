"""The point store and the data module."""

import pytest
import torch

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers, Neumann, Observations, Problem, Residual
from pinnlab.samplers import Grid, Sobol, UniformRandom
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.point_store import PointStore, rows_of_all_ranks
from pinnlab.training.points_seen import PointCount


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
    s.batches.full = True
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


def test_float32_rounds_what_is_handed_out_and_float64_gives_the_points_back():
    s, drawn = store(), store()
    s.batch()
    s.to(torch.float32)
    for name, rows in s.batch().items():
        assert torch.equal(rows, drawn.rows[name].float())
        assert torch.equal(s.rows[name], rows)
    other = store(seed=5, dtype=torch.float32)
    other.load_state_dict(s.state_dict())
    for each in (s, other):
        each.replace({"wall": drawn.points("wall").flip(0)})
        each.to(torch.float64)
        assert torch.equal(each.batch()["pde"], drawn.rows["pde"])
        assert torch.equal(each.batch()["wall"], drawn.rows["wall"].flip(0))


@pytest.mark.parametrize("counts", [7, {"pde": 7, "start": 3}])
def test_redraw_gives_other_numbers_of_points(counts):
    s, before = store(), store()
    s.redraw(counts)
    expected = dict.fromkeys(s.rows, 7) if counts == 7 else {"pde": 7, "wall": 8, "start": 3}
    assert {name: len(rows) for name, rows in s.batch().items()} == expected
    assert s.version == 1
    assert torch.equal(s.rows["pde"], before.draw("pde", 7))
    assert counts == 7 or torch.equal(s.rows["wall"], before.rows["wall"])


def test_state_is_a_copy():
    s = store()
    state = s.state_dict()
    state["rows"]["pde"].zero_()
    assert s.rows["pde"].abs().sum() > 0


def measured(values, places=(0.1, 0.5, 0.9), sigma=1.0):
    line = Interval("x", 0, 1)
    data = Observations(torch.tensor(places).double()[:, None], u=torch.tensor(values), sigma=sigma)
    problem = Problem(line, ["u"], {"ode": Residual(line, lambda u: u.x), "data": data})
    return PointStore(problem, {"ode": 5}, {"ode": Sobol()}, seed=0)


def test_data_that_are_not_those_of_the_checkpoint_are_told():
    state = measured([1.0, 2.0, 3.0]).state_dict()
    told = (
        "condition 'data': brings other points or values than in the checkpoint; the solution is fitted to those of the"
    )
    for other in (measured([1.0, 2.0, 3.1]), measured([1.0, 2.0, 3.0], (0.1, 0.5, 0.8)), measured([1.0], (0.1,))):
        with pytest.warns(UserWarning, match=told):
            other.load_state_dict(state)
        assert torch.equal(other.rows["data"], state["rows"]["data"])
    same = measured([1.0, 2.0, 3.0 + 1e-12])
    same.weigh("data")
    same.load_state_dict(state)  # warnings are errors


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
        ({"points": {"pde": 5}}, "data.points.wall: .* got none; give each a number, or one number for all"),
        ({"points": {"pde": 5, "wall": 0, "start": 1}}, "data.points.wall: .* got 0"),
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


def overlapping(rank=0, world=1, monkeypatch=None, **options):
    if monkeypatch is not None:
        monkeypatch.setattr("pinnlab.numerics.distributed.rank", lambda: rank)
        monkeypatch.setattr("pinnlab.numerics.distributed.world_size", lambda: world)
    s = store(**{"batch_size": 8, **options})
    s.batches.overlapping = True
    return s


def rows_of(points):
    return {tuple(row) for row in points.tolist()}


@pytest.mark.parametrize(("overlap", "common"), [(0.25, 2), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_successive_mini_batches_share_rows(overlap, common):
    s = overlapping(overlap=overlap)
    previous, after = None, None
    for _ in range(15):  # several passes over 20 points
        batch = s.batch()
        before, now_after = s.shared(batch)
        assert len(batch["pde"]) == 8
        assert len(before["pde"]) == len(now_after["pde"]) == common
        assert torch.equal(before["pde"], batch["pde"][:common])
        if previous is not None:
            assert torch.equal(before["pde"], after["pde"])
            assert torch.equal(before["pde"], previous["pde"][-common:])
        previous, after = batch, now_after


def test_conditions_without_more_rows_than_a_batch_are_shared_whole():
    s = overlapping()
    batch = s.batch()
    before, after = s.shared(batch)
    for name in ("wall", "start"):  # 8 and 5 rows
        assert torch.equal(before[name], s.rows[name])
        assert torch.equal(after[name], s.rows[name])


def test_overlapping_mini_batches_see_all_rows_equally_often():
    s = overlapping(overlap=0.25)  # 6 new rows a step: 10 steps are 3 passes over 20 points
    new = torch.cat([s.batch()["pde"][:6] for _ in range(10)])
    found, times = new.unique(dim=0, return_counts=True)
    assert len(found) == 20
    assert (times == 3).all()


@pytest.mark.parametrize("overlap", [False, True])
def test_a_pass_is_shuffled_once(monkeypatch, overlap):
    s, drawn = overlapping() if overlap else store(batch_size=8), []
    randperm = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda n, **options: drawn.append(n) or randperm(n, **options))
    for _ in range(11):
        s.batch()
    passes = 4 if overlap else 6  # 66 rows of 20, six new ones a batch; two batches of eight from each 20
    assert drawn.count(20) == passes


def test_rows_are_shared_only_when_mini_batches_are_asked_to_overlap():
    s = store(batch_size=8)
    one, two = s.batch(), s.batch()
    assert s.shared(two) is None
    assert not rows_of(one["pde"]) & rows_of(two["pde"])
    for options in ({"batch_size": None}, {"batch_size": 20}):  # everything is in every batch
        s = overlapping(**options)
        assert s.shared(s.batch()) is None
    s = overlapping()
    s.batches.full = True
    assert s.shared(s.batch()) is None


def test_overlapping_state_continues_exactly():
    one, two = overlapping(), overlapping(seed=5)
    for _ in range(4):
        one.batch()
    one.replace({"pde": one.draw("pde", 23)})
    two.load_state_dict(one.state_dict())
    for _ in range(7):
        a, b = one.batch(), two.batch()
        for x, y in zip((a, *one.shared(a)), (b, *two.shared(b)), strict=True):
            assert all(torch.equal(x[name], y[name]) for name in x)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_out_the_rows_of_a_batch_and_of_its_overlaps(monkeypatch, world):
    whole = overlapping()
    expected = []
    for _ in range(6):
        batch = whole.batch()
        expected.append((batch, *whole.shared(batch)))
    ranks = []
    for rank in range(world):
        s = overlapping(rank, world, monkeypatch)
        ranks.append([])
        for _ in range(6):
            batch = s.batch()
            ranks[-1].append((batch, *s.shared(batch)))
    for step, wanted in enumerate(expected):
        for part in range(3):
            for name, rows in wanted[part].items():
                found = torch.cat([r[step][part][name] for r in ranks])
                assert sorted(found.tolist()) == sorted(rows.tolist())


@pytest.mark.parametrize("overlap", [0, 1, -0.5, float("nan")])
def test_bad_overlap(overlap):
    with pytest.raises(ConfigurationError, match=r"data\.overlap"):  # nan is none, and refused a line earlier
        CollocationDataModule(Burgers(), points=5, batch_size=3, overlap=overlap).setup("fit")


def test_batches_of_another_size_begin_a_new_pass_that_was_not_seen_before():
    s = store(batch_size=5)
    seen = [s.batch()["pde"] for _ in range(6)]  # a pass and a half
    s.resize_batches(10)
    assert s.batch_sizes() == {"pde": 10, "wall": 8, "start": 5}
    grown = [s.batch()["pde"] for _ in range(4)]
    for two in (grown[:2], grown[2:]):
        assert rows_of(torch.cat(two)) == rows_of(s.rows["pde"])
    orders = [torch.cat(seen[:4]), torch.cat(grown[:2]), torch.cat(grown[2:])]
    for k, order in enumerate(orders):
        assert not any(torch.equal(order, other) for other in orders[:k])
    assert s.version == 0


@pytest.mark.parametrize("size", [None, 20, 21])
def test_batches_as_large_as_the_largest_condition_are_full(size):
    s = store(batch_size=5)
    s.resize_batches(size)
    assert s.batches.size is None
    assert all(torch.equal(rows, s.rows[name]) for name, rows in s.batch().items())


@pytest.mark.parametrize("overlap", [False, True])
def test_resized_state_continues_exactly(overlap):
    one, two = store(batch_size=3), store(seed=5)
    one.batches.overlapping = two.batches.overlapping = overlap
    for size in (None, 4, 6):
        one.batch()
        one.resize_batches(size)
    one.batch()
    two.load_state_dict(one.state_dict())
    assert two.batches.size == 6
    for _ in range(7):
        a, b = one.batch(), two.batch()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_first_batch_of_another_size_is_no_neighbour_of_the_last():
    s = overlapping()
    s.batch()
    number = s.batches.cursor
    s.resize_batches(12)
    before = s.batch()
    assert (
        s.batches.cursor == number + 2
    )  # an optimizer that waits for the next number finds that its neighbour is missing
    _, kept = s.shared(before)
    now, _ = s.shared(s.batch())
    assert len(now["pde"]) == 3
    assert torch.equal(now["pde"], kept["pde"])


@pytest.mark.parametrize("size", [0, -3])
def test_batches_cannot_be_empty(size):
    with pytest.raises(ConfigurationError, match=r"data\.batch_size"):
        store().resize_batches(size)


def test_points_are_counted_by_batches_and_evaluations():
    count = PointCount()
    assert count.seen(0) == 0
    count.begin_step(0, {"a": 10, "b": 3})
    assert count.seen(2) == 26
    count.begin_step(2, {"a": 10, "b": 3})
    count.begin_step(5, {"a": 20, "b": 3})
    assert (count.largest, count.seen(5), count.seen(6)) == (20, 65, 88)
    again = PointCount(6, 88)
    again.begin_step(6, {"a": 20, "b": 3})
    assert again.seen(7) == count.seen(7) == 111


def test_rows_of_all_ranks_come_from_the_store_or_from_the_batch(monkeypatch):
    s, rows = store(batch_size=7), {"pde": torch.zeros(3, 2)}
    monkeypatch.setattr("pinnlab.numerics.distributed.world_size", lambda: 2)
    assert rows_of_all_ranks(rows, s, s.rows) == {"pde": 7, "wall": 7, "start": 5}
    assert rows_of_all_ranks(rows, None, ["pde"]) == {"pde": 6}
