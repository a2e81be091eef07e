"""Weights of points: columns of rows that turn a mean of r^2 into one of w r^2, for everything computed from it."""

import pytest
import torch
from compiling import needs_compiler
from linearized import CASES, Case, close, draw

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.problems import Burgers
from pinnlab.samplers import Sobol
from pinnlab.training.point_store import PointStore


class Weighted(Case):
    """A case with weights beside its points, and without."""

    def __init__(self, name, **options):
        super().__init__(name, **options)
        self.plain = dict(self.batch)
        self.weights = {key: draw(len(rows)).square() for key, rows in self.plain.items()}
        self.batch = {key: torch.cat([rows, self.weights[key][:, None]], 1) for key, rows in self.plain.items()}


def means(case):
    found = case.system.residuals(case.plain)
    return torch.stack([(case.weights[key] * r.square().sum(1)).sum() for key, r in found.items()])


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_the_mean_of_weighted_squares(name):
    case = Weighted(name)
    tensors = case.system.trial.tensors()
    loss, sums = case.system.weighted_loss(tensors, case.batch, case.factors)
    assert close(sums, means(case).detach())
    assert close(loss.detach(), (case.factors @ means(case)).detach())
    slopes = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, list(case.system.trial.parameters()))])
        for value in (loss, case.factors @ means(case))
    ]
    assert close(*slopes)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("name", CASES)
def test_a_linearization_has_the_same_weights(name, memory, engine):
    case = Weighted(name, engine=engine, memory=memory)
    roots = torch.cat([
        w.sqrt().repeat_interleave(case.functions.equations(case.batch)[key]) for key, w in case.weights.items()
    ])  # fmt: skip
    case.batch, weighted = case.plain, case.batch
    r, rows = roots * case.residual(case.flat()), roots[:, None] * case.jacobian()
    case.batch = weighted
    found = case.linearization()
    assert close(found.residual(), r)
    assert close(found.loss(), (case.factors @ means(case)).detach())
    assert close(found.gram()[0], rows.T @ rows)
    assert close(2 * found.gram()[1], found.gradient())
    assert close(found.kernel(), rows @ rows.T)
    assert close(found.times(draw(rows.shape[1])), rows @ draw(rows.shape[1]))
    assert close(found.transposed_times(r), found.gradient() / 2)


def test_a_point_of_weight_zero_is_as_good_as_absent():
    case = Weighted("burgers")
    case.batch["pde"][3, -1] = 0
    loss, _ = case.system.weighted_loss(case.system.trial.tensors(), case.batch, case.factors)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in case.system.trial.parameters())
    case.batch["pde"] = torch.cat([case.batch["pde"][:3], case.batch["pde"][4:]])
    without, _ = case.system.weighted_loss(case.system.trial.tensors(), case.batch, case.factors)
    assert close(loss.detach(), without.detach())


def test_scores_leave_weights_out():
    case = Weighted("burgers")
    for key, rows in case.batch.items():
        assert torch.equal(case.system.score(key, rows), case.system.score(key, case.plain[key]))


@pytest.mark.slow
@needs_compiler
def test_the_compiled_loss_has_the_same_weights():
    case = Weighted("burgers")
    tensors = case.system.trial.tensors()
    loss, sums = CompiledLoss(case.system.squared_sums)(tensors, case.batch, case.factors)
    assert close(sums, means(case).detach())
    expected = case.factors @ means(case)
    slopes = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, list(case.system.trial.parameters()))])
        for value in (loss, expected)
    ]
    assert close(*slopes)


# ----------------------------------------------------------------------------- in the store


def store(**options):
    counts = {"pde": 20, "wall": 8, "start": 5}
    return PointStore(Burgers(exact_conditions=False), counts, dict.fromkeys(counts, Sobol()), 0, **options)


def weighed(**options):
    s = store(**options)
    s.weigh("pde")
    s.set_point_weights("pde", torch.arange(20.0))
    return s


def test_weights_are_one_until_they_are_set():
    s = store()
    before = s.batch()["pde"]
    s.weigh("pde")
    assert s.version == s.reweighed == 0
    assert torch.equal(s.batch()["pde"], torch.cat([before, torch.ones(20, 1)], 1))
    s.set_point_weights("pde", torch.arange(20.0))
    s.weigh("pde")  # does nothing now
    assert (s.version, s.reweighed) == (0, 1)
    assert torch.equal(s.batch()["pde"][:, -1], torch.arange(20.0).double())
    assert torch.equal(s.point_weights("pde"), torch.arange(20.0).double())
    assert torch.equal(s.point_weights("wall"), torch.ones(8).double())
    assert torch.equal(s.points("pde"), before)
    assert s.batch()["wall"].shape[1] == 2


def test_a_weight_stays_with_its_point_in_mini_batches():
    s = weighed(batch_size=5)
    owner = {tuple(row[:2].tolist()): float(row[2]) for row in s.rows["pde"]}
    first = [s.batch()["pde"] for _ in range(2)]
    s.set_point_weights("pde", torch.arange(20.0) + 100)  # in the middle of a pass, which goes on
    rows = torch.cat([*first, *[s.batch()["pde"] for _ in range(2)]])
    assert len(rows[:, :2].unique(dim=0)) == 20
    for i, row in enumerate(rows):
        assert float(row[2]) == owner[tuple(row[:2].tolist())] + (0 if i < 10 else 100)


def test_points_that_stay_keep_their_weights_and_new_ones_have_the_mean():
    s = weighed()
    s.replace({"pde": s.draw("pde", 4)}, {"pde": torch.tensor([3, 7])})
    assert s.point_weights("pde").tolist() == [3.0, 7.0, *[10.0] * 4]  # of the 18 that went
    s.replace({"pde": s.draw("pde", 2)}, {"pde": torch.arange(6)})
    assert s.point_weights("pde").tolist() == pytest.approx([3.0, 7.0, *[10.0] * 4, *[50 / 6] * 2])  # none went: of all
    s.redraw({"pde": 3})
    assert s.point_weights("pde").tolist() == pytest.approx([200 / 24] * 3)


def test_weights_that_stay_are_no_change():
    s = weighed()
    s.set_point_weights("pde", torch.arange(20.0))
    assert s.reweighed == 1


def test_a_new_run_has_the_points_without_weights():
    s = weighed(batch_size=5)
    points = s.points("pde").clone()
    s.weigh("pde", lambda points: points[:, 0])
    s.resize_batches(7)
    s.start_over(5)
    assert torch.equal(s.rows["pde"], points)
    assert torch.equal(s.point_weights("pde"), torch.ones(20).double())
    assert len(s.batch()["pde"]) == 5
    s.weigh("pde")
    s.redraw({"pde": 3})
    assert s.point_weights("pde").tolist() == [1.0] * 3


def test_weights_are_exact_in_any_precision():
    s = weighed()
    s.set_point_weights("pde", torch.full((20,), 0.1, dtype=torch.float64))
    s.to(torch.float32)
    assert s.rows["pde"].dtype == torch.float32
    assert s.point_weights("pde").tolist() == [0.1] * 20
    s.to(torch.float64)
    assert s.rows["pde"][:, -1].tolist() == [0.1] * 20


@pytest.mark.parametrize("other", [store, weighed])
def test_a_checkpoint_brings_its_weights(other):
    """Whether or not the run that reads it has asked for any."""
    for one in (weighed(), store()):
        two = other()
        two.load_state_dict(one.state_dict())
        assert two.weighed == one.weighed
        assert two.reweighed == one.reweighed
        for name, rows in one.rows.items():
            assert torch.equal(two.rows[name], rows)
            assert torch.equal(two.batch()[name], one.batch()[name])


def test_weights_that_nobody_asked_for_are_refused():
    with pytest.raises(ConfigurationError, match="condition 'wall': its points have no weights"):
        weighed().set_point_weights("wall", torch.ones(8))
