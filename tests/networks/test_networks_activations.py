from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from cases import Wave
from torch import nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks import ACTIVATIONS, MLP, ModifiedMLP, activation

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


@pytest.mark.parametrize(
    ("given", "expected"), [(torch.arctan, torch.arctan), (nn.Mish, nn.functional.mish), (nn.ELU(0.5), nn.ELU(0.5))]
)
def test_functions_and_modules_of_ones_own(given, expected):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    assert torch.equal(activation(given)(x), expected(x))


@pytest.mark.parametrize("build", [partial(MLP, hidden=[4, 3]), partial(ModifiedMLP, hidden=[4, 4])])
def test_each_network_trains_parameters_of_its_own(build):
    build = partial(build, activation=Wave())
    one, other = (build(1, 1).double() for _ in range(2))
    own = [p for name, p in one.named_parameters() if name.endswith("activation.frequency")]
    assert len(own) == 1
    one(torch.rand(5, 1, dtype=torch.float64)).sum().backward()
    assert own[0].grad.abs() > 0
    assert all(p.grad is None for p in other.parameters())


@pytest.mark.filterwarnings("ignore")
def test_it_is_named_in_a_recipe_by_its_class(tmp_path):
    from commanded import in_folder

    from pinnlab.cli.commands import command

    options = ["--model.network.init_args.activation", "{class_path: torch.nn.ELU, init_args: {alpha: 0.5}}"]
    with in_folder(tmp_path):
        made = command(["fit", "-c", "poisson1d", *options, "--trainer.max_steps", "1", "--model.compile", "false"])
    (own,) = [module for module in made.model.modules() if isinstance(module, nn.ELU)]
    assert own.alpha == 0.5
