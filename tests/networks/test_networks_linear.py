from __future__ import annotations

import numpy as np
import pytest
import torch

from pinnlab.networks import FactorisedLinear
from pinnlab.networks.linear import dense


@pytest.mark.parametrize("factorised", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(300, 300), (200, 400)])
def test_weights_are_glorot_normal_and_biases_zero(inputs: int, outputs: int, factorised: bool):
    torch.manual_seed(0)
    layer = dense(inputs, outputs, factorised)
    weight = layer.weight.detach()
    standardised = weight / (2 / (inputs + outputs)) ** 0.5
    assert weight.shape == (outputs, inputs)
    assert standardised.var().item() == pytest.approx(1.0, rel=0.03)
    assert standardised.pow(4).mean().item() == pytest.approx(3.0, rel=0.05)  # normal, not uniform
    assert not layer.bias.any()


def test_factorised_layer_agrees_with_its_formula():
    torch.manual_seed(0)
    layer = FactorisedLinear(4, 3).double()
    with torch.no_grad():
        layer.bias.normal_()
    x = np.random.default_rng(0).normal(size=(5, 4))
    s, v, b = (getattr(layer, name).detach().numpy() for name in ("log_scale", "direction", "bias"))
    expected = x @ (np.diag(np.exp(s)) @ v).T + b
    np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-13, atol=1e-14)


def test_factorised_scales_are_drawn_as_in_the_paper():
    torch.manual_seed(0)
    scale = FactorisedLinear(1, 20_000).log_scale
    assert scale.mean().item() == pytest.approx(1.0, abs=0.005)
    assert scale.std().item() == pytest.approx(0.1, rel=0.03)
