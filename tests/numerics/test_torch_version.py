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
