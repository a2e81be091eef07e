"""Compilation: when, how often, and what happens without a compiler."""

import warnings

import pytest
import torch
import torch._inductor.config
from compiling import CPU, example, needs_compiler, squares

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import compilation
from pinnlab.numerics.compilation import CompiledFunction, outer_products, should_compile


@pytest.mark.parametrize(
    ("option", "evaluations", "expected"), [(True, 0, True), (False, 10**6, False), ("auto", 10, False)]
)
def test_the_option(option, evaluations, expected):
    assert should_compile(option, evaluations, CPU) is expected


def test_auto_compiles_long_runs_where_it_can(monkeypatch):
    monkeypatch.setattr(compilation, "can_compile", lambda device: True)
    assert should_compile("auto", 10**5, CPU)
    monkeypatch.setattr(compilation, "can_compile", lambda device: False)
    assert not should_compile("auto", 10**5, CPU)


def test_bad_option():
    with pytest.raises(ConfigurationError, match=r"model\.compile"):
        should_compile("yes", 1, CPU)


@pytest.mark.slow
@needs_compiler
def test_one_compilation_serves_all_sizes():
    function = CompiledFunction(squares)
    torch._dynamo.reset()
    counter = torch._dynamo.utils.counters
    compiled_after_first = None
    for sizes in [(50, 20, 20), (31, 31, 31), (80, 20, 7)]:
        parameters, inputs = example(*sizes)
        result = function(parameters, inputs)
        result.sum().backward()
        assert torch.allclose(result, squares(parameters, inputs))
        (expected,) = torch.autograd.grad(squares(parameters, inputs).sum(), parameters["w"])
        assert torch.allclose(parameters["w"].grad, expected)
        compiled_after_first = compiled_after_first or counter["stats"]["unique_graphs"]
    assert counter["stats"]["unique_graphs"] == compiled_after_first
    for sizes in [(50, 1, 0), (1, 1, 1)]:  # lengths 0 and 1 are special to torch; they must be right all the same
        parameters, inputs = example(*sizes)
        assert torch.allclose(function(parameters, inputs), squares(parameters, inputs))


@pytest.mark.slow
@needs_compiler
def test_one_point_from_the_start_compiles_once():
    function = CompiledFunction(squares)
    torch._dynamo.reset()
    counter = torch._dynamo.utils.counters
    before = counter["stats"]["unique_graphs"]
    for sizes in [(50, 1, 1), (31, 1, 1), (2, 1, 1)]:
        parameters, inputs = example(*sizes)
        result = function(parameters, inputs)
        result.sum().backward()
        assert torch.allclose(result, squares(parameters, inputs))
    assert counter["stats"]["unique_graphs"] == before + 1


@pytest.mark.slow
def test_a_missing_compiler_does_not_end_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # else the kernels may come from the cache
    torch._dynamo.reset()
    function, (parameters, inputs) = CompiledFunction(squares), example(40, 50)
    no_compiler = {"cpp.cxx": (str(tmp_path / "nonexistent"),), "fx_graph_cache": False}
    with torch._inductor.config.patch(no_compiler), pytest.warns(UserWarning, match="not compiled"):
        result = function(parameters, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(parameters, inputs)
    assert torch.equal(result, squares(parameters, inputs))


def test_failure_to_compile_is_one_warning(monkeypatch):
    def broken(*args, **kwargs):
        raise torch._dynamo.exc.TorchDynamoException("no compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", broken)
    function, (parameters, inputs) = CompiledFunction(squares), example(4, 5)
    with pytest.warns(UserWarning, match="no compiler") as caught:
        result = function(parameters, inputs)
    assert len(caught) == 1
    assert torch.equal(result, squares(parameters, inputs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(parameters, inputs)


def test_one_graph_for_each_length_where_asked_for(monkeypatch):
    graphs = []
    monkeypatch.setattr(torch, "compile", lambda graph, **options: graphs.append(graph) or graph)

    def products(parameters, inputs):
        return tuple(torch.bmm(rows[:, :, None], rows[:, None, :]) for rows in inputs.values())

    decompositions = {torch.ops.aten.bmm.default: outer_products}
    function = CompiledFunction(products, decompositions, any_length=False)
    for size, made in [(5, 1), (7, 2), (5, 2)]:
        parameters, inputs = example(size)
        rows = inputs["c0"]
        with torch.no_grad():
            assert torch.equal(function(parameters, inputs)[0], rows[:, :, None] * rows[:, None, :])
        assert len(graphs) == made
    assert "bmm" not in graphs[0].code
