"""The parameters in which a network is linear."""

import pytest
import torch
from cases import NETWORKS
from torch import nn
from torch.func import functional_call, jacrev

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, ScaledInput, last_layer

WITH_LAST = [name for name in NETWORKS if name not in ("attention", "layers-of-torch")]


@pytest.mark.parametrize("name", WITH_LAST)
def test_outputs_are_linear_in_the_last_layer(name):
    """The derivative by it is the same wherever it is."""
    torch.manual_seed(0)
    network = NETWORKS[name](2, 2).double()
    x, own = torch.rand(3, 2, dtype=torch.float64), dict(network.named_parameters())
    names = last_layer(network)
    assert {key.rpartition(".")[2] for key in names} <= {"weight", "bias", "direction"}

    def outputs(last):
        return functional_call(network, {**own, **last}, (x,))

    here = {key: own[key].detach() for key in names}
    there = {key: torch.randn_like(value) for key, value in here.items()}
    for one, other in zip(jacrev(outputs)(here).values(), jacrev(outputs)(there).values(), strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_names_inside_of_a_scaled_network():
    network = ScaledInput(ScaledInput(MLP(1, 1, hidden=[3]), [0.0], [1.0]), [0.0], [1.0])
    assert last_layer(network) == ["network.network.last.weight", "network.network.last.bias"]
    assert last_layer(MLP(1, 1, hidden=[3], factorised=True)) == ["last.direction", "last.bias"]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_without_one_is_named(frozen):
    network = MLP(1, 1, hidden=[3]).requires_grad_(False) if frozen else nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(
        ConfigurationError, match=rf"model\.network: {type(network).__name__} has no trained last layer"
    ):
        last_layer(network)
