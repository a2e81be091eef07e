"""Compiled code that returns something else than its function: noticed at once, and not used."""

import pytest
import torch
from cases import PROBLEMS
from compiling import example, squares

from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.numerics.compiled_value import CompiledValue, _Graph
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.outlines import check_numbers, check_outline, name_of, outline, shaken
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.samplers import Sobol

FAULTS = {
    "keeps an axis": lambda t: t.unsqueeze(-1),
    "rounds": lambda t: t.float(),
    "is not quite right": lambda t: 1.0001 * t,
    "is not finite": lambda t: t / 0,
    "overlaps": lambda t: t.reshape(-1)[:1].expand(t.shape) if t.ndim else t.unsqueeze(0),
}


def generator_with(fault):
    """A code generator whose code returns wrong things; right is what the graph itself computes."""

    def compile(graph, examples, options=None):
        def run(*tensors):
            return [None if t is None else fault(t) for t in graph(*tensors)]

        return run

    return compile


@pytest.mark.parametrize("fault", FAULTS)
def test_a_score_of_another_shape_falls_back_with_one_line(fault, monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", generator_with(FAULTS[fault]))
    problem = PROBLEMS["burgers"]()
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[4]).double()))
    rows = problem.conditions["pde"].rows(Sobol().sample(problem.conditions["pde"].region, 40, 1))
    expected = system.score("pde", rows)
    system.compile_scores(Compiler())
    with torch.no_grad(), pytest.warns(UserWarning, match="ResidualSystem._norms: compiled code returns") as caught:
        found = system.score("pde", rows)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert found.shape == (40,)
    assert torch.equal(found, expected)


def test_a_loss_whose_gradient_has_another_shape_is_not_compiled(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", generator_with(FAULTS["keeps an axis"]))
    parameters, inputs = example(40, 50)
    with pytest.warns(UserWarning, match=r"squares: compiled code returns \(1,\) float64"):
        loss, sums = CompiledLoss(squares)(parameters, inputs, torch.ones(2, dtype=torch.float64))
    assert torch.equal(sums, squares(parameters, inputs).detach())
    assert loss.shape == ()


def test_a_shape_that_is_traced_wrong_is_seen():
    """As that of a norm over one entry by torch 2.11: code and outline agree, the function does not."""

    def function(parameters, inputs):
        rows = inputs["a"].square()
        return rows if type(rows) is torch.Tensor else rows.sum(1, keepdim=True)

    rows = torch.rand(40, 2, dtype=torch.float64)
    with torch.no_grad(), pytest.warns(UserWarning, match=r"compiled code returns \(32, 1\) float64"):
        assert torch.equal(CompiledValue(function)({}, {"a": rows}), rows.square())


def test_a_function_that_asks_for_types_is_not_compiled(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", generator_with(lambda t: t))

    def function(parameters, inputs):
        count = inputs["a"].shape[0]
        return inputs["a"].sum(1) * (1.0 if isinstance(count, int) else 2.0)

    rows = torch.rand(40, 2, dtype=torch.float64)
    with torch.no_grad(), pytest.warns(UserWarning, match="compiled code returns other numbers") as caught:
        assert torch.equal(CompiledValue(function)({}, {"a": rows}), rows.sum(1))
    assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_roundings_of_what_is_solved_are_no_other_numbers(dtype):
    """At a solution residuals are nothing but roundings, and each code has its own."""
    generator = torch.Generator().manual_seed(0)
    rows, w = torch.rand(30, 3, dtype=dtype, generator=generator), torch.rand(3, dtype=dtype, generator=generator)
    target = (rows.double() @ w.double()).to(dtype)

    def residual(parameters, inputs):
        return inputs["a"] @ parameters["w"] - target

    expected = residual({"w": w}, {"a": rows})
    found = (rows.flip(1) * w.flip(0)).sum(1) - target
    assert not torch.equal(found, expected)
    check_numbers(residual, found, expected, residual(shaken({"w": w}, "w"), {"a": rows}))
    with pytest.raises(RuntimeError, match="other numbers"):
        check_numbers(residual, found + 1e-3, expected, residual(shaken({"w": w}, "w"), {"a": rows}))


def test_masks_and_counts_are_no_numbers_that_rounding_changes():
    one = torch.ones(3, dtype=torch.float64)
    check_numbers(None, *[(one, one > 0, torch.arange(3))] * 3)


def test_only_what_training_moves_is_shaken():
    ones = torch.ones(3, 2, dtype=torch.float64)
    tensors = {"trained": ones.clone().requires_grad_(), "moved": ones, "buffer": ones.clone()}
    found = shaken(tensors, "moved")
    for name in ("trained", "moved"):
        low, high = (found[name] - tensors[name]).detach().abs().aminmax()
        assert 0 < float(low) <= float(high) < 1e-14
    assert found["trained"].requires_grad
    assert found["buffer"] is tensors["buffer"]


def test_a_buffer_that_chooses_rows_of_a_table_is_compiled(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", generator_with(lambda t: t))
    table = torch.arange(4.0, dtype=torch.float64)
    last = torch.nextafter(torch.tensor(4.0, dtype=torch.float64), torch.tensor(0.0))  # a bit more is beyond the table

    def function(parameters, inputs):
        return parameters["w"] * table[(parameters["cells"] * inputs["a"]).long()]

    parameters = {"w": torch.ones((), dtype=torch.float64, requires_grad=True), "cells": last}
    value = CompiledValue(function)
    with torch.no_grad():
        assert float(value(parameters, {"a": torch.ones(40, dtype=torch.float64)})[0]) == 3
    assert not value._uncompiled


def test_right_code_is_used(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", generator_with(lambda t: t))
    parameters, inputs = example(40, 50)
    value = CompiledValue(squares)
    with torch.no_grad():
        assert torch.equal(value(parameters, inputs), squares(parameters, inputs))
    assert len(value._graphs) == 1


def test_an_outline_computes_nothing():
    seen = []

    def function(parameters, inputs):
        seen.append(type(parameters["w"]).__name__)
        both = torch.cat([*inputs.values()])
        return {"a": squares(parameters, inputs), "b": None, "c": both[:, None].expand(-1, 2, 3)}

    parameters, inputs = example(40, 50)
    graph = _Graph(function, parameters, inputs, symbolic=True, title="", decompositions={})
    shapes = outline(graph._leaves, graph._inputs, [*inputs.values()])
    assert set(seen) == {"FakeTensor"}
    assert [None if t is None else tuple(t.shape) for t in shapes] == [(2,), None, (90, 2, 3)]
    assert shapes[2].stride() == (3, 0, 1)
    longer = outline(graph._leaves, graph._inputs, [torch.zeros(n, 3) for n in (33, 1000)])
    assert tuple(longer[2].shape) == (1033, 2, 3)
    shapes = shapes[:2]
    check_outline(function, {"a": torch.zeros(2, dtype=torch.float64), "b": None}, shapes)
    with pytest.raises(RuntimeError, match="returns NoneType where the function returns"):
        check_outline(function, {"a": None, "b": None}, shapes)
    assert name_of(function) == "test_an_outline_computes_nothing"
