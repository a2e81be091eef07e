"""What is right with every version of torch that pyproject.toml admits."""

import pytest
import torch
from compiling import needs_compiler

from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.torch_version import VERSION, differentiable_in_inference_mode


def norms(parameters, inputs):
    scaled = parameters["w"] * inputs["rows"]
    return torch.stack([scaled.norm(dim=-1), torch.linalg.vector_norm(scaled[:, :1], dim=(-1,)), scaled[:, 0].abs()])


@needs_compiler
@pytest.mark.parametrize("columns", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_compiled_norms_drop_their_axis(columns):
    parameters, rows = {"w": torch.tensor(2.0)}, torch.arange(-5.0, 7.0).reshape(-1, columns)
    with torch.no_grad():
        found = CompiledValue(norms)(parameters, {"rows": rows})
    expected = torch.stack([2 * rows.square().sum(1).sqrt(), 2 * rows[:, 0].abs(), 2 * rows[:, 0].abs()])
    assert found.shape == expected.shape
    assert torch.allclose(found, expected)


PRECISE = {
    "expm1": torch.expm1,
    "atanh": torch.atanh,
    "elu": torch.nn.functional.elu,
    "celu": lambda x: torch.nn.functional.celu(x, 2.0),
    "selu": torch.nn.functional.selu,
    "erf": torch.erf,
    "slope of elu": lambda x: torch.func.vjp(torch.nn.functional.elu, x)[1](torch.ones_like(x))[0],
}


def precise(parameters, inputs):
    return {name: function(inputs["rows"]) for name, function in PRECISE.items()}


@pytest.mark.parametrize("code", ["traced", pytest.param("made", marks=[needs_compiler, pytest.mark.slow])])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 2e-15), (torch.float32, 1e-6)])
def test_compiled_functions_keep_their_digits_near_zero(code, dtype, rounding, request):
    if code == "traced":
        request.getfixturevalue("traced")
    powers = 10.0 ** torch.arange(-30, 1.0, 0.5, dtype=torch.float64)
    rows = torch.cat([powers, -powers, torch.tensor([0.0, 0.9, 80.0, -80.0, -2000.0, -torch.inf])]).to(dtype)
    value = CompiledValue(precise)
    with torch.no_grad():
        found, expected = value({}, {"rows": rows}), precise({}, {"rows": rows})
    (graph,) = value._graphs.values()
    assert not any(word in graph._graph.code for word in ("aten.expm1", "aten.atanh", "elu.default"))
    assert ("torch.float64" in graph._graph.code) == (dtype == torch.float32)  # the error function
    for name, wanted in expected.items():
        assert torch.allclose(found[name], wanted, rtol=rounding, atol=0.0, equal_nan=True), name


@pytest.mark.parametrize("made_inside", [True, False])
def test_derivatives_of_functions_exist_in_inference_mode(made_inside):
    @differentiable_in_inference_mode
    def slope_and_curvature(at, *, scale):
        slope = torch.func.grad(lambda x: scale["a"] * x.sin())
        return slope(at["x"]), torch.func.vjp(slope, at["x"])[1](torch.ones_like(at["x"]))[0]

    x, a = torch.tensor(0.3, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        x = x.clone() if made_inside else x
        slope, curvature = slope_and_curvature({"x": x}, scale={"a": a})
    assert not slope.requires_grad
    assert torch.allclose(slope, 2 * x.cos())
    assert torch.allclose(curvature, -2 * x.sin())


def test_a_version_that_can_is_left_alone():
    assert (differentiable_in_inference_mode(abs) is abs) == (VERSION >= (2, 12))
