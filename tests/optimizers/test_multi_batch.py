"""Multi-batch L-BFGS on a logistic regression and on small functions."""

from __future__ import annotations

import copy
import functools
import io
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import MultiBatchLBFGS, is_multi_eval, wants_overlap


def flat(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


class Overlap:
    """The overlap of batches whose loss is a function of rows, by autograd."""

    def __init__(self, loss, x, before, after, number):
        self.loss, self.x, self.before, self.after, self.number = loss, x, before, after, number
        self.evaluations = 0

    def gradient(self, rows):
        self.evaluations += 1
        with torch.enable_grad():
            return torch.autograd.grad(self.loss(self.x, rows), self.x)[0]

    def first(self):
        return self.gradient(self.before)

    def last(self):
        return self.gradient(self.after)


class Batches:
    """Windows over a stream of shuffled rows; the neighbours share `common` of them."""

    def __init__(self, loss, x, rows, size, common, seed=0):
        self.loss, self.x, self.rows, self.size, self.common = loss, x, rows, size, common
        generator = torch.Generator().manual_seed(seed)
        self.order = torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(60)])
        self.number = 0

    def step(self, optimizer):
        self.number += 1
        start = (self.number - 1) * (self.size - self.common)
        rows = self.rows[self.order[start : start + self.size]]

        def closure():
            optimizer.zero_grad()
            loss = self.loss(self.x, rows)
            loss.backward()
            return loss

        if not wants_overlap(optimizer):
            return optimizer.step(closure)
        overlap = Overlap(self.loss, self.x, rows[: self.common], rows[-self.common :], self.number)
        return optimizer.step(closure, overlap=overlap)


@functools.cache
def logistic_regression():
    """Correlated features of very different size and the probabilities that a true model gives them.

    As in a least-squares problem with vanishing residual, batches agree about the minimum and not on the way there.

    Returns:
        The loss of some rows, all rows (features and probability), and the minimum.
    """
    generator = np.random.default_rng(0)
    rotation = np.linalg.qr(generator.standard_normal((20, 20)))[0]
    features = generator.standard_normal((2000, 20)) * np.logspace(0, -1.5, 20) @ rotation
    probabilities = 1 / (1 + np.exp(-features @ (3 * generator.standard_normal(20))))

    def value(w):
        logits = features @ w
        loss = np.logaddexp(0, logits) - probabilities * logits
        return loss.mean(), features.T @ (1 / (1 + np.exp(-logits)) - probabilities) / 2000

    best = minimize(
        value, np.zeros(20), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "gtol": 1e-12, "ftol": 0}
    )
    rows = torch.from_numpy(np.column_stack([features, probabilities]))

    def loss(w, some):
        logits = some[:, :-1] @ w
        return (nn.functional.softplus(logits) - some[:, -1] * logits).mean()

    return loss, rows, float(best.fun)


def excess(build, passes=30, size=200):
    """How far above the minimum the loss of all rows is; every gradient is paid for by its rows."""
    loss, rows, minimum = logistic_regression()
    w = flat(*[0.0] * 20)
    optimizer = build([w])
    common = size // 4 if wants_overlap(optimizer) else 0
    cost = size + 2 * common
    batches = Batches(loss, w, rows, size, common)
    for _ in range(passes * len(rows) // cost):
        batches.step(optimizer)
    return float(loss(w, rows).detach()) - minimum


def test_comes_close_to_the_minimum_of_the_whole_sum():
    start = math.log(2) - logistic_regression()[2]
    assert 0 <= excess(MultiBatchLBFGS) < 5e-3 * start


def test_beats_first_order_methods_at_equal_cost():
    ours = excess(MultiBatchLBFGS)
    for kind, rates in ((torch.optim.SGD, (0.1, 0.3, 1.0, 3.0)), (torch.optim.Adam, (3e-3, 1e-2, 3e-2, 0.1, 0.3))):
        best = min(excess(functools.partial(kind, lr=lr)) for lr in rates)
        assert ours < best, f"{kind.__name__}: {best}"


def test_without_shared_rows_the_pairs_are_noise():
    """The point of the overlap: differences of gradients on different rows give worse curvature."""
    loss, rows, minimum = logistic_regression()
    w = flat(*[0.0] * 20)
    optimizer = MultiBatchLBFGS([w])
    generator = torch.Generator().manual_seed(0)
    for number in range(1, 200):
        batch = rows[torch.randperm(len(rows), generator=generator)[:200]]

        def closure(batch=batch):
            optimizer.zero_grad()
            value = loss(w, batch)
            value.backward()
            return value

        optimizer.step(closure, overlap=Overlap(loss, w, batch[:50], batch[-50:], number))
    assert float(loss(w, rows).detach()) - minimum > 3 * excess(MultiBatchLBFGS)


def quadratic(x, rows):
    """Every row is one convex quadratic: a diagonal and a centre."""
    k = x.numel()
    return 0.5 * (rows[:, :k] * (x - rows[:, k:]).square()).sum(1).mean()


def diagonal_rows(count=12):
    generator = torch.Generator().manual_seed(1)
    diagonal = torch.rand(count, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.5, 5.0, 50.0])
    return torch.cat([diagonal, torch.randn(count, 3, generator=generator, dtype=torch.float64)], 1)


def test_a_pair_is_the_change_of_the_gradient_on_the_shared_rows():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x], lr=0.5)
    batches = Batches(quadratic, x, rows, 6, 2)
    points = []
    for _ in range(3):
        points.append(x.detach().clone())
        batches.step(optimizer)
    for k in range(2):
        s = points[k + 1] - points[k]
        shared = rows[batches.order[(k + 1) * 4 : (k + 1) * 4 + 2]]
        torch.testing.assert_close(optimizer.state[x]["pairs"][k, 0], s)
        torch.testing.assert_close(optimizer.state[x]["pairs"][k, 1], shared[:, :3].mean(0) * s)


def test_a_step_is_that_of_dense_bfgs_with_the_same_pairs():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x], lr=0.5, max_norm=0)
    batches = Batches(quadratic, x, rows, 6, 2)
    for _ in range(4):
        batches.step(optimizer)
    before = x.detach().numpy().copy()
    batches.step(optimizer)
    pairs = optimizer.state[x]["pairs"][: optimizer.state[x]["written"]].numpy()
    assert len(pairs) == 4
    s, y = pairs[-1]
    inverse = np.eye(3) * (s @ y) / (y @ y)
    for s, y in pairs:
        v = np.eye(3) - np.outer(y, s) / (s @ y)
        inverse = v.T @ inverse @ v + np.outer(s, s) / (s @ y)
    batch = rows[batches.order[16:22]].numpy()
    gradient = (batch[:, :3] * (before - batch[:, 3:])).mean(0)
    np.testing.assert_allclose(x.detach().numpy(), before - 0.5 * inverse @ gradient, rtol=1e-10)


def test_pairs_of_little_curvature_are_skipped():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x], curvature=1e4)  # more than any row has
    batches = Batches(quadratic, x, rows, 6, 2)
    for _ in range(5):
        batches.step(optimizer)
    assert "written" not in optimizer.state[x]


def test_negative_curvature_is_skipped():
    x = flat(0.3)
    optimizer = MultiBatchLBFGS([x])
    batches = Batches(lambda x, rows: (-rows * x.square()).mean(), x, torch.ones(12, 1, dtype=torch.float64), 6, 2)
    for _ in range(4):
        batches.step(optimizer)
    assert "written" not in optimizer.state[x]
    assert float(x.detach()) > 0.3  # still downhill


def test_a_gap_in_the_sequence_of_batches_makes_no_pair():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x])
    batches = Batches(quadratic, x, rows, 6, 2)
    batches.step(optimizer)
    batches.number += 1  # what a rollback leaves behind
    batches.step(optimizer)
    assert "written" not in optimizer.state[x]
    batches.step(optimizer)
    assert optimizer.state[x]["written"] == 1


def test_a_change_of_the_objective_makes_no_pair_and_keeps_the_others():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x])
    batches = Batches(quadratic, x, rows, 6, 2)
    for _ in range(3):
        batches.step(optimizer)
    batches.rows = diagonal_rows(12) + 1
    optimizer.objective_changed()
    batches.step(optimizer)
    assert optimizer.state[x]["written"] == 2
    batches.step(optimizer)
    assert optimizer.state[x]["written"] == 3


@pytest.mark.parametrize("max_norm", [0.01, 0.0])
def test_steps_are_no_longer_than_allowed(max_norm):
    x, rows = flat(100.0, 200.0, 300.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x], max_norm=max_norm, lr=1.0)
    batches = Batches(quadratic, x, rows, 6, 2)
    lengths = []
    for _ in range(6):
        before = x.detach().clone()
        batches.step(optimizer)
        lengths.append(float((x.detach() - before).norm()))
    if max_norm:
        assert max(lengths) == pytest.approx(max_norm)
    else:
        assert max(lengths) > 1


def test_without_overlap_all_rows_are_shared():
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x], lr=1.0, max_norm=0)
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = quadratic(x, rows)
        loss.backward()
        return loss

    for _ in range(40):
        optimizer.step(closure)
    expected = (rows[:, :3] * rows[:, 3:]).mean(0) / rows[:, :3].mean(0)
    torch.testing.assert_close(x.detach(), expected, rtol=1e-9, atol=1e-9)
    assert optimizer.evaluations == calls == 40


def test_evaluations_count_gradients_on_overlaps():
    x = flat(1.0, 2.0, 3.0)
    optimizer = MultiBatchLBFGS([x])
    batches = Batches(quadratic, x, diagonal_rows(), 6, 2)
    for _ in range(3):
        batches.step(optimizer)
    assert optimizer.evaluations == 2 + 3 + 3  # the first batch has no one before it


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_batch_that_is_not_finite_goes_back_one_step(bad):
    x, rows = flat(1.0, 2.0, 3.0), diagonal_rows()
    optimizer = MultiBatchLBFGS([x])
    batches = Batches(quadratic, x, rows, 6, 2)
    for _ in range(3):
        before = x.detach().clone()
        batches.step(optimizer)
    good, batches.rows = batches.rows, torch.full_like(rows, bad)
    batches.step(optimizer)
    assert torch.equal(x.detach(), before)
    assert optimizer.status is StopReason.RUNNING
    batches.step(optimizer)  # nothing is left to go back to
    assert optimizer.status is StopReason.STALLED
    assert torch.equal(x.detach(), before)
    batches.rows = good
    batches.step(optimizer)
    assert optimizer.status is StopReason.RUNNING
    assert x.isfinite().all()
    assert not torch.equal(x.detach(), before)


def test_state_is_loadable_and_resumes_bitwise():
    rows = diagonal_rows()

    def run(stop_at=None):
        x = flat(1.0, 2.0, 3.0)
        optimizer, batches = MultiBatchLBFGS([x], history=3), Batches(quadratic, x, rows, 6, 2)
        for step in range(9):
            if step == stop_at:
                file = io.BytesIO()
                torch.save((x.detach(), optimizer.state_dict()), file)
                file.seek(0)
                value, state = torch.load(file, weights_only=True)
                x = nn.Parameter(value)
                optimizer, batches.x = MultiBatchLBFGS([x]), x
                given = copy.deepcopy(state)
                optimizer.load_state_dict(state)
            batches.step(optimizer)
        if stop_at:
            assert str(state) == str(given)  # what was given is left alone
        return x.detach()

    whole = run()
    for step in range(9):
        assert torch.equal(run(step), whole)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"lr": 0.0}, "lr"), ({"max_norm": -1.0}, "max_norm"), ({"history": 0}, "history"), ({"curvature": 0.0}, "curv")],
)
def test_bad_options(options, key):
    with pytest.raises(ConfigurationError, match=key):
        MultiBatchLBFGS([flat(1.0)], **options)


def test_refuses_a_second_group_and_a_step_without_closure():
    optimizer = MultiBatchLBFGS([flat(1.0)])
    with pytest.raises(ConfigurationError, match="one parameter group"):
        optimizer.add_param_group({"params": [flat(2.0)]})
    with pytest.raises(ConfigurationError, match="closure"):
        optimizer.step()


def test_says_what_it_needs():
    assert is_multi_eval(MultiBatchLBFGS([flat(1.0)]))
    assert wants_overlap(MultiBatchLBFGS([flat(1.0)]))
    assert not wants_overlap(torch.optim.Adam([flat(1.0)]))
