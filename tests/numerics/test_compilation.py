"""The option `compile`, what a graph is called by, and how products are written before they are compiled."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from compiling import example, needs_compiler, squares
from torch.fx.experimental.proxy_tensor import make_fx

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import compilation
from pinnlab.numerics.compilation import check_option, fingerprint, generate, is_known, outer_products, remember
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.precision import default_dtype


@pytest.mark.parametrize("option", [True, False, "auto"])
def test_the_option(option):
    check_option(option)


@pytest.mark.parametrize("option", ["yes", 1, None])
def test_bad_option(option):
    with pytest.raises(ConfigurationError, match=r"model\.compile"):
        check_option(option)


def graph_of(function, *examples):
    return make_fx(function)(*examples)


def test_a_fingerprint_tells_graphs_shapes_and_types_apart():
    x, longer = torch.ones(3), torch.ones(4)
    same = [fingerprint(graph_of(torch.sin, x), [x]) for _ in range(2)]
    others = [
        fingerprint(graph_of(torch.cos, x), [x]),
        fingerprint(graph_of(torch.sin, longer), [longer]),
        fingerprint(graph_of(torch.sin, x.double()), [x.double()]),
    ]
    with default_dtype(torch.float64):  # of what a graph makes without saying of which type
        others.append(fingerprint(graph_of(torch.sin, x), [x]))
    assert len(set(same)) == 1
    assert len({*same, *others}) == 5


def test_a_fingerprint_is_that_of_a_graph_on_any_gpu(monkeypatch, tmp_path):
    """Ranks, and runs that are resumed on another one, say it alike; torch keeps the code of each GPU apart."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    graph, x = graph_of(lambda x: x + torch.ones(3, device=x.device), torch.ones(3)), torch.ones(3)
    names = []
    for index in (0, 1):
        monkeypatch.setattr(compilation, "gpu_index", lambda index=index: index)
        code = graph.code.replace("device(type='cpu')", f"device(type='cuda', index={index})")
        assert code != graph.code
        placed = SimpleNamespace(code=code, named_buffers=list)
        there = SimpleNamespace(shape=x.shape, dtype=x.dtype, device=torch.device("cuda", index))
        names.append(fingerprint(placed, [there]))
        assert not is_known(names[-1])
        remember(names[-1])
        assert is_known(names[-1])
    assert names[0] == names[1] != fingerprint(graph, [x])


def test_what_was_compiled_is_known_where_its_code_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert not is_known("abc")
    remember("abc")
    assert is_known("abc")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "another"))
    assert not is_known("abc")


@pytest.mark.parametrize("folder", [None, "code"])
def test_the_folder_is_the_one_that_torch_takes(folder, monkeypatch, tmp_path):
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if folder is None:
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    else:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", folder)
    ours = compilation.cache_folder()
    assert ours == Path(cache_dir()).absolute()  # torch 2.11 leaves it relative


def test_a_compiler_that_does_not_take_the_fast_way_is_asked_again(monkeypatch):
    asked = []

    def compile(graph, examples, options=None):
        asked.append(options)
        if options:
            raise RuntimeError("no such option")
        return graph

    monkeypatch.setattr(torch._inductor, "compile", compile)
    x = torch.ones(3)
    assert torch.equal(generate(graph_of(torch.sin, x), [x])(x), x.sin())
    assert asked == [dict(compilation.FAST), None]


def test_one_graph_for_each_length_where_asked_for(monkeypatch):
    graphs = []
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples, **options: graphs.append(graph) or graph)

    def products(parameters, inputs):
        return tuple(torch.bmm(rows[:, :, None], rows[:, None, :]) for rows in inputs.values())

    decompositions = {torch.ops.aten.bmm.default: outer_products}
    function = CompiledValue(products, decompositions=decompositions, any_length=False)
    for size, made in [(5, 1), (7, 2), (5, 2)]:
        parameters, inputs = example(size)
        rows = inputs["c0"]
        assert torch.equal(function(parameters, inputs)[0], rows[:, :, None] * rows[:, None, :])
        assert len(graphs) == made
    assert "bmm" not in graphs[0].code


def test_a_function_is_called_by_its_title_or_its_name():
    assert CompiledValue(squares)._title == "squares"
    assert CompiledValue(squares, title="loss")._title == "loss"


class Idle(Compiler):
    """Begins with nothing."""

    def take(self, job):
        pass


def test_a_graph_is_for_one_device_and_the_function_uncompiled_until_its_code_is_there():
    value, (parameters, inputs) = CompiledValue(squares, Idle()), example(40, 50)
    assert torch.equal(value(parameters, inputs), squares(parameters, inputs))
    assert not value._compiler.titles
    there = {"w": parameters["w"].detach().to("meta")}
    value(there, {name: rows.to("meta") for name, rows in inputs.items()})
    assert len(value._graphs) == 2  # code for a GPU is nothing for a model that went back to the CPU


@pytest.mark.slow
@needs_compiler
def test_a_graph_is_for_one_data_type_of_the_points_and_one_of_the_parameters():
    """The code would read the memory of the points as what it was made for."""

    def function(parameters, inputs):
        return inputs["a"].sum(1) * parameters["w"].sum()

    value, rows, w = CompiledValue(function), torch.rand(40, 2, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for own, points in [(w, rows), (w, rows.float()), (w.float(), rows), (w, rows)]:
        found, expected = value({"w": own}, {"a": points}), function({"w": own}, {"a": points})
        assert found.dtype == expected.dtype
        assert torch.allclose(found, expected, rtol=1e-6)
    assert len(value._graphs) == 3


def test_a_compiler_knows_that_a_function_runs_uncompiled():
    def fails(parameters, inputs):
        if not isinstance(inputs["c0"], torch._subclasses.FakeTensor):
            return squares(parameters, inputs)
        raise ValueError("cannot be traced")

    compiler, given = Compiler(), example(40)
    value = CompiledValue(fails, compiler)
    assert compiler.complete
    with pytest.warns(UserWarning, match="cannot be traced"):
        value(*given)
    assert not compiler.complete
