from __future__ import annotations

import numpy as np
import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import Separable


def test_agrees_with_its_formula():
    torch.manual_seed(0)
    network = Separable(3, 2, rank=4, hidden=[5]).double()
    x = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    own = {name: value.detach().numpy() for name, value in network.named_parameters()}
    product = np.ones((6, 4))
    for i in range(3):
        h = np.tanh(x[:, i : i + 1] @ own[f"factors.{i}.hidden.0.weight"].T + own[f"factors.{i}.hidden.0.bias"])
        linear = own["slopes"][i] * x[:, i : i + 1]
        product *= h @ own[f"factors.{i}.last.weight"].T + own[f"factors.{i}.last.bias"] + linear
    expected = product @ own["last.weight"].T + own["last.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 10, 30])
def test_products_of_many_are_of_order_one_at_the_start(dim):
    torch.manual_seed(0)
    network, x = Separable(dim, 1, rank=50).double(), torch.rand(200, dim, dtype=torch.float64) * 2 - 1
    factors = torch.stack([network._factor(i, x) for i in range(dim)])
    assert 1e-3 < factors.prod(0).abs().median() < 10


def test_contains_sums_of_products_exactly():
    network, x = Separable(4, 1, rank=2, hidden=[1]).double(), torch.rand(9, 4, dtype=torch.float64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for product, pair in enumerate(((0, 1), (2, 3))):
            for i in range(4):
                network.slopes[i, product] = float(i in pair)
                network.factors[i].last.bias[product] = float(i not in pair)
        network.last.weight.fill_(1.0)
    expected = x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]
    torch.testing.assert_close(network(x)[:, 0].detach(), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 2.0}, {"hidden": []}, {"activation": "tan"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Separable(2, 1, **options)
