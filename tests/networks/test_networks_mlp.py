from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, FactorisedLinear, FourierFeatures, ModifiedMLP


def affine(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def random_biases(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return network.double()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (9, 2))


@pytest.mark.parametrize("factorised", [False, True])
def test_mlp_agrees_with_its_formula(x: np.ndarray, factorised: bool):
    torch.manual_seed(0)
    network = random_biases(MLP(2, 3, hidden=[5, 4], activation="sin", factorised=factorised))
    h = np.sin(affine(network.hidden[0], x))
    h = np.sin(affine(network.hidden[1], h))
    expected = affine(network.last, h)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("factorised", [False, True])
def test_modified_mlp_agrees_with_its_formula(x: np.ndarray, factorised: bool):
    torch.manual_seed(0)
    network = random_biases(ModifiedMLP(2, 3, hidden=[5, 5], factorised=factorised))
    u, v = np.tanh(affine(network.gate_u, x)), np.tanh(affine(network.gate_v, x))
    h = x
    for layer in network.hidden:
        z = np.tanh(affine(layer, h))
        h = z * u + (1 - z) * v
    expected = affine(network.last, h)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("network", "layers"), [(MLP, 4), (ModifiedMLP, 6)])
def test_factorised_means_every_layer(network: type[nn.Module], layers: int):
    modules = list(network(2, 1, factorised=True).modules())
    assert sum(isinstance(module, FactorisedLinear) for module in modules) == layers
    assert not any(isinstance(module, nn.Linear) for module in modules)


def test_embedding_comes_first():
    network = MLP(3, 1, hidden=[4], embedding=partial(FourierFeatures, features=6))
    x = torch.randn(2, 3)
    rest = torch.tanh(network.hidden[0](network.embedding(x)))
    assert network.hidden[0].in_features == 12
    torch.testing.assert_close(network(x), network.last(rest))


def test_default_size_is_as_documented():
    assert sum(p.numel() for p in MLP(2, 1).parameters()) == 921


@pytest.mark.parametrize("network", [MLP, ModifiedMLP])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "hidden must list at least one layer width"),
        ({"hidden": 20}, "hidden must list at least one layer width"),
        ({"hidden": "20"}, "hidden must list at least one layer width"),
        ({"hidden": [20, 0]}, r"hidden\[1\] must be a positive integer, not 0"),
        ({"hidden": [2.5]}, r"hidden\[0\] must be a positive integer, not 2.5"),
        ({"activation": "tan"}, "unknown activation 'tan'"),
        ({"outputs": 0}, "outputs must be a positive integer"),
        ({"inputs": -1}, "inputs must be a positive integer"),
    ],
)
def test_bad_options_are_named(network: type[nn.Module], options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        network(**{"inputs": 2, "outputs": 1, **options})


def test_gates_want_equal_widths():
    with pytest.raises(ConfigurationError, match=r"hidden must list equal widths .* not \[20, 10\]"):
        ModifiedMLP(2, 1, hidden=[20, 10])
