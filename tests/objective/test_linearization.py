"""Residual, Jacobian and Hessian of the loss against dense derivatives of the eager residual by `torch.autograd`."""

import pytest
import torch
from linearized import CASES, Case, close, draw
from terms import TERMS

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, FourierFeatures, ModifiedMLP, PirateNet
from pinnlab.numerics.compilation import can_compile, outer_products
from pinnlab.objective import linearized_functions as module
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial

needs_compiler = pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler on this machine")
ENGINES = pytest.mark.parametrize("engine", ["taylor", "reverse"])


@ENGINES
@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("name", CASES)
def test_everything_against_dense_derivatives(name, engine, memory, monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 3)  # several blocks of rows
    monkeypatch.setattr(module, "_BLOCK_BYTES", 0)
    case = Case(name, engine, memory=memory)
    point = case.flat()
    r, rows = case.residual(point), case.jacobian()
    shape = tuple(rows.shape)
    v, u, elsewhere = draw(shape[1]), draw(shape[0]), point + 0.1 * draw(shape[1])
    found = case.linearization()
    assert found.shape == shape
    assert close(found.loss(), r @ r)
    assert found.loss().shape == ()
    assert close(found.residual(), r)
    assert close(found.gradient(), 2 * rows.T @ r)
    assert close(found.gram()[0], rows.T @ rows)
    assert close(found.gram()[1], rows.T @ r)
    assert close(found.gradient(), 2 * rows.T @ r)  # from the rows that are there now
    assert close(found.kernel(), rows @ rows.T)
    assert torch.equal(found.kernel(), found.kernel().T)
    both = torch.cat([rows, r[:, None]], 1)
    assert close(found.triangle().T @ found.triangle(), both.T @ both)
    several = torch.stack([point, elsewhere])
    assert found.losses(several) == [float(found.loss()), float(found.loss(elsewhere))]
    at_once = case.functions.losses_at_once(found._rows.at(None), several, case.batch, case.factors)
    assert close(at_once, torch.tensor(found.losses(several), dtype=torch.float64))
    assert close(found.times(v), rows @ v)
    assert close(found.transposed_times(u), rows.T @ u)
    times, transposed_times = found.products()
    for _ in range(2):
        assert close(times(v), rows @ v)
        assert close(transposed_times(u), rows.T @ u)
    assert close(found.gram_times(v), rows.T @ (rows @ v))
    assert close(found.gram_times(draw(shape[1], 3)), rows.T @ (rows @ draw(shape[1], 3)))
    hessian = case.hessian()
    assert close(found.hessian_times(v), hessian @ v)
    assert close(found.hessian_times(draw(shape[1], 3)), hessian @ draw(shape[1], 3))
    assert close(found.loss(elsewhere), case.residual(elsewhere).square().sum())
    assert close(found.residual(elsewhere), case.residual(elsewhere))
    assert close(found.residual(), r)
    gradient = torch.func.grad(lambda p: case.residual(p).square().sum())(elsewhere)
    assert close(found.gradient(elsewhere), gradient)
    assert torch.equal(case.flat(), point)
    assert not any(t.requires_grad for t in (found.loss(), found.residual(), found.kernel(), *found.gram()))


@ENGINES
@pytest.mark.parametrize("name", CASES)
def test_loss_sums_and_gradient_come_out_of_the_jacobian(name, engine):
    case = Case(name, engine)
    known = case.linearization().evaluated()
    if not bool((case.factors > 0).all()):
        assert known is None  # a sum cannot be divided by a factor of zero again
        return
    loss, sums, gradient = known
    assert loss == case.linearization().loss()  # bit for bit: trial steps are compared with it
    r = case.residual(case.flat())
    assert close(sums, case.system.squared_sums(case.system.trial.tensors(), case.batch).detach())
    assert close(torch.dot(case.factors, sums), r @ r)
    assert close(gradient, 2 * case.jacobian().T @ r)
    assert not sums.requires_grad
    assert Case(name, engine, memory=0).linearization().evaluated() is None  # J is not kept


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_the_last_layer_and_its_columns(memory):
    case = Case("inverse", memory=memory)  # with coefficients behind the network
    found, start = case.linearization(), 0
    expected = []
    for name, parameter in case.system.trial.named_parameters():
        expected += range(start, start + parameter.numel()) if "last" in name else []
        start += parameter.numel()
    columns = found.last_layer()
    assert columns.tolist() == expected
    both = torch.cat([case.jacobian()[:, columns], case.residual(case.flat())[:, None]], 1)
    triangle = found.triangle(columns=columns)
    assert triangle.shape[1] == len(columns) + 1
    assert close(triangle.T @ triangle, both.T @ both)


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_rows_scaled_to_norm_one(memory):
    case = Case("oscillator", memory=memory)  # the second condition has weight zero: its rows are zero
    rows, r, point = case.jacobian(), case.residual(case.flat()), case.flat()
    norms = rows.norm(dim=1)
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    assert int((norms == 0).sum()) == 2
    scaled, (v, u) = case.linearization().row_scaled(), (draw(rows.shape[1]), draw(rows.shape[0]))
    expected = scale[:, None] * rows
    assert close(scaled.residual(), scale * r)
    assert close(scaled.gram()[0], expected.T @ expected)
    assert close(scaled.gram()[1], expected.T @ (scale * r))
    assert close(scaled.kernel(), expected @ expected.T)
    assert close(scaled.times(v), expected @ v)
    assert close(scaled.transposed_times(u), expected.T @ u)
    times, transposed_times = scaled.products()
    assert close(times(v), expected @ v)
    assert close(transposed_times(u), expected.T @ u)
    assert close(scaled.gram_times(v), expected.T @ (expected @ v))
    assert close(scaled.residual(point), scale * r)
    assert close(scaled.gradient(), 2 * rows.T @ r)
    assert close(scaled.loss(point), r @ r)


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("name", CASES)
def test_the_part_of_one_condition(name, memory, monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 3)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 0)
    case = Case(name, memory=memory)
    r, rows, v, v3 = case.residual(case.flat()), case.jacobian(), draw(len(case.flat())), draw(len(case.flat()), 3)
    whole = case.linearization()
    scaled = whole.row_scaled()
    norms = rows.norm(dim=1, keepdim=True)
    for condition, own in whole.row_numbers().items():
        part, u = whole.of_condition(condition), draw(len(own))
        assert part.shape == (len(own), rows.shape[1])
        assert close(part.loss(), r[own] @ r[own])
        assert close(part.gradient(), 2 * rows[own].T @ r[own])
        assert close(part.residual(), r[own])
        assert close(part.gram()[0], rows[own].T @ rows[own])
        assert close(part.kernel(), rows[own] @ rows[own].T)
        assert close(part.times(v), rows[own] @ v)
        assert close(part.transposed_times(u), rows[own].T @ u)
        assert close(part.gram_times(v3), rows[own].T @ (rows[own] @ v3))
        assert list(part.row_numbers()) == [condition]
        expected = torch.where(norms > 0, rows / norms, 0.0)[own]
        assert close(scaled.of_condition(condition).kernel(), expected @ expected.T)
    assert whole.evaluations < 2 + 3 * len(case.batch) if memory else True  # J is computed once
    assert close(whole.residual(), r)
    assert close(whole.kernel(), rows @ rows.T)
    with pytest.raises(ConfigurationError, match=r"unknown condition 'wal'"):
        whole.of_condition("wal")


def test_frozen_parameters_have_no_column():
    case = Case("burgers", frozen=["network.hidden.0.weight", "network.last.bias"])
    assert case.linearization().shape[1] == sum(p.numel() for p in case.system.trial.parameters()) - 10 - 1
    assert close(case.linearization().gram()[0], case.jacobian().T @ case.jacobian())
    assert close(case.linearization().hessian_times(draw(len(case.flat()))), case.hessian() @ draw(len(case.flat())))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_a_rank_may_have_no_points_of_a_condition(memory):
    case = Case("burgers", memory=memory)
    case.batch["wall"] = case.batch["wall"][:0]
    rows, r, found = case.jacobian(), case.residual(case.flat()), case.linearization()
    assert found.shape == rows.shape
    assert close(found.residual(), r)
    assert close(found.kernel(), rows @ rows.T)
    assert close(found.times(draw(rows.shape[1])), rows @ draw(rows.shape[1]))
    assert close(found.transposed_times(draw(rows.shape[0])), rows.T @ draw(rows.shape[0]))
    assert close(found.hessian_times(draw(rows.shape[1])), case.hessian() @ draw(rows.shape[1]))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_it_stays_where_the_first_call_was(memory):
    case = Case("burgers", memory=memory)
    found, other = case.linearization(), case.linearization()
    move = [p.add_ for p in case.system.trial.parameters()]
    r, rows = case.residual(case.flat()), case.jacobian()
    found.loss()
    with torch.no_grad():
        for add in move:
            add(0.1)
    assert close(found.residual(), r)
    assert close(found.gram()[0], rows.T @ rows)
    assert close(other.gram()[0], case.jacobian().T @ case.jacobian())
    assert close(found.kernel(), rows @ rows.T)  # not disturbed by the other one


def test_evaluations_count_passes_over_the_points():
    found, n = Case("burgers").linearization(), len(Case("burgers").flat())
    counts = [found.evaluations]
    for call in (
        found.loss, found.gradient, found.gram, found.kernel, found.residual, found.gradient,
        lambda: found.times(draw(n)), lambda: found.hessian_times(draw(n)), lambda: found.hessian_times(draw(n, 4)),
    ):  # fmt: skip
        call()
        counts.append(found.evaluations)
    assert counts == [0, 1, 2, 3, 3, 3, 3, 3, 4, 8]
    matrix_free = Case("burgers", memory=0).linearization()
    matrix_free.times(draw(n))
    matrix_free.transposed_times(draw(matrix_free.shape[0]))
    matrix_free.gram()
    assert matrix_free.evaluations == 3
    times, _ = found.products()
    times(draw(n))
    assert found.evaluations == 10  # what products share, and one of them


def fourier(inputs, outputs, hidden):
    return MLP(inputs, outputs, hidden=hidden, embedding=lambda n: FourierFeatures(n, features=3))


def pirate(inputs, outputs, hidden):
    return PirateNet(inputs, outputs, width=hidden[0], blocks=1)


def gated(inputs, outputs, hidden):
    return ModifiedMLP(inputs, outputs, hidden=hidden[:1] * 2)


@pytest.mark.parametrize(
    ("name", "network"), [("burgers", fourier), ("burgers", pirate), ("inverse", gated), ("oscillator", MLP)]
)
def test_traced_rows_in_blocks_of_one_length(name, network, monkeypatch):
    """All that compilation does but the compiling; the blocks do not divide the numbers of points."""
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples, **options: graph)
    monkeypatch.setattr(module, "_FEWEST", 5)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 0)
    case = Case(name, network=network, compiled=True)
    first = next(iter(case.batch))
    for count in (13, 9, 2):  # the second number of points makes do with the blocks of the first
        case.batch[first] = case.batch[first][:count]
        rows, r, found = case.jacobian(), case.residual(case.flat()), case.linearization()
        assert close(found.gram()[0], rows.T @ rows)
        assert close(found.residual(), r)
        assert close(found.kernel(), rows @ rows.T)


def test_block_lengths_change_seldom(monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 100)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 0)
    functions = Case("burgers", compiled=True).functions
    points = draw(1000, 2)
    for count, length in [(90, 90), (100, 90), (50, 90), (45, 90), (44, 44), (99, 44), (1000, 44), (21, 21)]:
        blocks = functions.blocks("pde", points[:count], 7)
        assert {len(part) for part, _ in blocks} == {length}
        assert torch.equal(torch.cat([part[:own] for part, own in blocks]), points[:count])
    uncompiled = Case("burgers").functions.blocks("pde", points[:230], 7)
    assert [(len(part), own) for part, own in uncompiled] == [(77, 77), (77, 77), (76, 76)]


def test_blocks_count_what_their_rows_are_computed_from(monkeypatch):
    """Those of integrals are made from many points each."""
    problem = TERMS["weak"]()
    system = ResidualSystem(problem, Trial(problem, MLP(2, len(problem.unknowns), hidden=[5, 4]).double()))
    each, layers = system.floats_per_row(), system.layers()
    monkeypatch.setattr(module, "_FEWEST", 1)
    monkeypatch.setattr(module, "_WORK_BYTES", 20 * 5 * layers * each["pde"] * 8)
    functions, rows = module.LinearizedFunctions(system), draw(1000, 2)
    assert max(len(part) for part, _ in functions.blocks("pde", rows, 7)) == 20
    assert len(functions.blocks("start", rows, 7)) == 1


def test_short_batched_products_become_outer_products():
    left, right = draw(7, 5, 3), draw(7, 3, 4)
    assert torch.allclose(outer_products(left, right), left @ right, rtol=1e-13)
    assert outer_products(draw(2, 5, 9), draw(2, 9, 4)) is NotImplemented


@pytest.mark.slow
@pytest.mark.timeout(1800)  # nine compilations
@needs_compiler
@pytest.mark.parametrize("name", ["oscillator", "neumann"])
def test_compiled_functions(name):
    eager = Case(name)
    rows, r, v, u = eager.jacobian(), eager.residual(eager.flat()), draw(len(eager.flat())), draw(len(eager.jacobian()))
    case = Case(name, compiled=True)
    for case.memory in (1 << 30, 0):
        found = case.linearization()
        assert close(found.loss(), r @ r)
        assert close(found.gradient(), 2 * rows.T @ r)
        assert close(found.gram()[0], rows.T @ rows)
        assert close(found.times(v), rows @ v)
        assert close(found.transposed_times(u), rows.T @ u)
        assert close(found.hessian_times(v), eager.hessian() @ v)
        assert close(found.hessian_times(draw(len(v), 3)), eager.hessian() @ draw(len(v), 3))


def test_sketched_rows_have_the_gram_matrix_on_average():
    case = Case("burgers", times=8)
    found, rows, r = case.linearization(), case.jacobian(), case.residual(case.flat())
    both = torch.cat([rows, r[:, None]], 1)
    total = sum(sketch.T @ sketch for sketch in (found.triangle(40, draw) for draw in range(300))) / 300
    exact = both.T @ both
    assert float((total - exact).norm() / exact.norm()) < 0.1
    assert torch.equal(found.triangle(40, 7), found.triangle(40, 7))
    assert not torch.equal(found.triangle(40, 7), found.triangle(40, 8))
    assert close(found.row_scaled().triangle().T @ found.row_scaled().triangle(), _scaled(both).T @ _scaled(both))


def _scaled(both):
    """Rows of [J r] over the norm of the row of J."""
    return both / both[:, :-1].norm(dim=1, keepdim=True)
