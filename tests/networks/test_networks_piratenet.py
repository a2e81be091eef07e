from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import FourierFeatures, PeriodicEmbedding, PirateNet

EMBEDDINGS = {
    "default": None,
    "fourier": partial(FourierFeatures, features=9),
    "periodic": partial(PeriodicEmbedding, columns=[0]),
}


def points(n: int) -> torch.Tensor:
    return torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("embedding", EMBEDDINGS.values(), ids=EMBEDDINGS.keys())
@pytest.mark.parametrize("blocks", [1, 5])
def test_starts_linear_in_its_embedding(embedding, blocks: int):
    network = PirateNet(2, 3, blocks=blocks, embedding=embedding).double()
    x = points(6)
    expected = network.embedding(x) @ network.last.weight.T + network.last.bias
    assert torch.equal(network(x), torch.nn.functional.linear(network.embedding(x), network.last.weight))
    torch.testing.assert_close(network(x), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("factorised", [False, True])
def test_agrees_with_its_formula(factorised: bool):
    torch.manual_seed(0)
    network = PirateNet(2, 1, width=5, blocks=2, embedding=EMBEDDINGS["fourier"], factorised=factorised).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))

    def layer(module, x):
        return np.tanh(x @ module.weight.detach().numpy().T + module.bias.detach().numpy())

    x = network.embedding(points(7)).numpy()
    u, v = layer(network.gate_u, x), layer(network.gate_v, x)
    for block in network.blocks:
        alpha = block.alpha.item()
        f = layer(block.first, x)
        g = layer(block.second, f * u + (1 - f) * v)
        h = layer(block.third, g * u + (1 - g) * v)
        x = alpha * h + (1 - alpha) * x
    expected = x @ network.last.weight.detach().numpy().T + network.last.bias.detach().numpy()
    np.testing.assert_allclose(network(points(7)).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factorised", [False, True])
def test_least_squares_start_reproduces_what_is_linear_in_the_embedding(factorised: bool):
    torch.manual_seed(0)
    network = PirateNet(2, 2, blocks=3, factorised=factorised).double()

    def target(x: torch.Tensor) -> torch.Tensor:
        wave = network.embedding(x)
        return torch.stack([2 + 3 * wave[:, 0] - wave[:, 5], wave[:, 20]], 1)

    network.last_layer_least_squares(points(300), target(points(300)))
    elsewhere = points(500)[300:]
    torch.testing.assert_close(network(elsewhere), target(elsewhere), rtol=0, atol=1e-8)


def test_least_squares_start_agrees_with_numpy_on_any_target():
    torch.manual_seed(0)
    network = PirateNet(2, 1, embedding=EMBEDDINGS["periodic"]).double()
    x = points(50)
    y = torch.exp(x[:, :1]) * x[:, 1:]
    network.last_layer_least_squares(x, y)
    design = np.concatenate([network.embedding(x).numpy(), np.ones((50, 1))], 1)
    solution = np.linalg.lstsq(design, y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(network.last.weight.detach().numpy(), solution[:-1].T, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(network.last.bias.detach().numpy(), solution[-1], rtol=1e-9, atol=1e-11)


def test_least_squares_start_with_fewer_points_than_features_interpolates():
    torch.manual_seed(0)
    network = PirateNet(2, 1, embedding=partial(FourierFeatures, features=40, scale=5.0)).double()
    y = torch.sin(5 * points(30)[:, :1])
    network.last_layer_least_squares(points(30), y)
    torch.testing.assert_close(network(points(30)), y, rtol=0, atol=1e-9)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_least_squares_start_wants_one_target_per_point_and_output():
    with pytest.raises(ConfigurationError, match=r"targets must have the shape \(4, 1\), not \(4,\)"):
        PirateNet(2, 1).last_layer_least_squares(torch.zeros(4, 2), torch.zeros(4))


def test_default_size_is_as_documented():
    assert sum(p.numel() for p in PirateNet(2, 1).parameters()) == 8483


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be a positive integer"),
        ({"blocks": 0}, "blocks must be a positive integer"),
        ({"activation": "tanhh"}, "unknown activation 'tanhh'"),
        ({"outputs": 0}, "outputs must be a positive integer"),
    ],
)
def test_bad_options_are_named(options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        PirateNet(**{"inputs": 2, "outputs": 1, **options})
