"""What every network must do, whatever its architecture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from cases import NETWORKS
from torch import nn
from torch.func import jacrev, vmap
from torch.overrides import TorchFunctionMode

from pinnlab.derivatives.reverse import ByFormula
from pinnlab.numerics.precision import default_dtype
from pinnlab.numerics.swapped import call_with

Factory = Callable[[int, int], nn.Module]

ARITHMETIC = {"matmul", "add", "sub", "mul", "div", "cat", "linear", "__getitem__", "unsqueeze", "sum"}
ELEMENTWISE = {"abs", "sin", "cos", "exp", "log", "log1p", "pow", "tanh", "sigmoid", "softplus", "silu", "gelu",
               "asinh", "atan"}  # fmt: skip
OF_TORCH = {"elu", "celu", "mish", "tanhshrink", "layer_norm", "rms_norm", "multi_head_attention_forward", "dropout",
            "transpose", "unflatten", "flatten"}  # fmt: skip
PLACES = {
    "detach",
    "floor",
    "long",
    "gt",
    "where",
    "minimum",
    "clamp",
    "clamp_min",
    "arange",
    "index_select",
    "reshape",
    "sum",
    "div",
    "__rsub__",
}  # where a point lies, which has no derivative, and what is made of it
QUESTIONS = {"dim", "size", "__get__", "__len__", "rand"}  # of shapes and types, which a jet answers


class Recorder(TorchFunctionMode):
    """Collects the names of the torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def formulas() -> Iterator[None]:
    """Torch's fast kernels of attention have no second derivative; the library takes the formula, as here."""
    with ByFormula():
        yield


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def factory(request: pytest.FixtureRequest) -> Factory:
    return request.param


def build(factory: Factory, inputs: int = 2, outputs: int = 3) -> nn.Module:
    """A float64 network away from its initialisation, where zero biases and skips would hide mistakes."""
    torch.manual_seed(0)
    network = factory(inputs, outputs).to(torch.float64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def points(n: int, inputs: int = 2) -> torch.Tensor:
    return torch.rand(n, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("n", [1, 6])
def test_maps_points_to_unknowns(factory: Factory, inputs: int, outputs: int, n: int):
    values = build(factory, inputs, outputs)(points(n, inputs))
    assert values.shape == (n, outputs)
    assert values.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_buffers_and_values_follow_a_cast(factory: Factory, dtype: torch.dtype):
    network = factory(2, 1).to(dtype)
    assert {t.dtype for t in [*network.parameters(), *network.buffers()]} == {dtype}
    assert network(points(3).to(dtype)).dtype == dtype


def test_is_built_in_the_default_dtype(factory: Factory):
    assert {t.dtype for t in [*factory(2, 1).parameters(), *factory(2, 1).buffers()]} == {torch.float32}


def test_a_saved_network_is_the_same_whatever_it_went_through(factory: Factory):
    """Constants that are not saved: built in another default dtype, or trained in float32 for a while."""
    network, x = build(factory), points(9)
    with default_dtype(torch.float64):
        loaded = factory(2, 3).double()
    loaded.load_state_dict(network.state_dict())
    trained = copy.deepcopy(loaded).float().double()
    trained.load_state_dict(network.state_dict())
    assert torch.equal(loaded(x), network(x))
    assert torch.equal(trained(x), network(x))


def test_follows_a_move_to_another_device(factory: Factory):
    network = factory(2, 1).to("meta")
    assert {t.device.type for t in [*network.parameters(), *network.buffers()]} == {"meta"}
    assert network(torch.empty(4, 2, device="meta")).shape == (4, 1)


def test_gradient_reaches_every_parameter(factory: Factory):
    network = build(factory)
    with torch.no_grad():
        for parameter in network.parameters():  # some start from zero, where a square has no gradient
            parameter += 0.1 * torch.randn_like(parameter)
    network(points(20)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-6, name


def test_same_seed_same_network_another_seed_another(factory: Factory):
    x = points(4).float()
    values = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        network = factory(2, 1)
        for parameter in network.parameters():
            if not parameter.any():  # one that starts from zero: what it has drawn is in its buffers
                torch.nn.init.ones_(parameter)
        values.append(network(x))
    assert torch.equal(values[0], values[1])
    assert not torch.allclose(values[0], values[2])


def test_state_dict_carries_everything_random(factory: Factory):
    network = build(factory)
    torch.manual_seed(99)
    other = factory(2, 3).to(torch.float64)
    assert not torch.allclose(network(points(4)), other(points(4)))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(points(4)), other(points(4)))
    assert torch.equal(network(points(4)), copy.deepcopy(network)(points(4)))


def test_a_point_does_not_see_the_others(factory: Factory):
    network = build(factory)
    influence = jacrev(network)(points(4)).abs().sum((1, 3))  # (rows out, rows in)
    assert (influence.diagonal() > 0).all()
    assert torch.equal(influence, torch.diag(influence.diagonal()))


def test_vmap_over_points(factory: Factory):
    network = build(factory)
    torch.testing.assert_close(vmap(network)(points(5)), network(points(5)), rtol=1e-12, atol=1e-12)


def test_vmap_of_the_gradient_with_respect_to_parameters(factory: Factory):
    network = build(factory, outputs=1)
    parameters = dict(network.named_parameters())

    def value(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return call_with(network, parameters, (x,))[0]

    rows = vmap(jacrev(value), (None, 0))(parameters, points(3))
    network(points(3)).sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(rows[name].sum(0), parameter.grad, rtol=1e-10, atol=1e-12)


def test_second_derivatives_agree_with_finite_differences(factory: Factory):
    network = build(factory, outputs=1)
    x, step = points(1)[0], 1e-4
    exact = jacrev(jacrev(lambda x: network(x)[0]))(x)
    unit = step * torch.eye(2, dtype=torch.float64)
    for i in range(2):
        second = (network(x + unit[i]) - 2 * network(x) + network(x - unit[i]))[0] / step**2
        torch.testing.assert_close(exact[i, i], second, rtol=1e-4, atol=1e-5)


def test_uses_only_operations_with_a_derivative_rule(factory: Factory):
    """Taylor mode has one rule per operation: a new operation here needs a rule there."""
    network, x = build(factory), points(3)
    with Recorder() as recorder:
        network(x)
    assert "linear" in recorder.names
    assert recorder.names <= ARITHMETIC | ELEMENTWISE | OF_TORCH | PLACES | QUESTIONS
