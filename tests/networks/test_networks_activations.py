from __future__ import annotations

import math

import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import ACTIVATIONS, activation

FORMULAS = {
    "tanh": math.tanh,
    "sin": math.sin,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "swish": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "relu": lambda x: max(x, 0.0),
}


def test_every_activation_has_a_formula_here():
    assert set(ACTIVATIONS) == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_agrees_with_its_formula(name: str):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](float(value)) for value in x], dtype=torch.float64)
    torch.testing.assert_close(activation(name)(x), expected, rtol=1e-13, atol=1e-15)


def test_unknown_name_suggests_the_closest():
    with pytest.raises(ConfigurationError, match=r"unknown activation 'tahn' \(did you mean 'tanh'\?\)"):
        activation("tahn")
