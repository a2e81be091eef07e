from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import CornerFeatures, FeatureSum, Graded, RandomFeatures, last_layer


def test_agrees_with_its_formula_and_leaves_time_as_it_is():
    torch.manual_seed(0)
    options = {"corners": [[0.2, -0.1], [-1.0, 1.0]], "sizes": [[0.5, 1.0], [2.0, 2.0]], "powers": [0.54, -0.46]}
    network = CornerFeatures(3, 2, count=4, **options).double()
    x = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    own, expected = {name: value.detach().numpy() for name, value in network.state_dict().items()}, 0.0
    for k in range(2):
        away = (x[:, :2] - own["corners"][k]) / own["sizes"][k]
        r = np.linalg.norm(away, axis=1, keepdims=True)
        seen = np.concatenate([np.log(r), away / r, x[:, 2:]], axis=1)
        sines = np.sin(seen @ own["directions"][k].T + own["phases"][k]) / np.sqrt(8)
        expected = expected + r ** own["powers"] * (sines @ own[f"last.{k}.weight"].T)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_the_corner_itself_has_a_finite_value():
    network = CornerFeatures(2, 2, corners=[[0.0, 0.0]], sizes=[[0.5, 1.0]], powers=[0.54, -0.46]).double()
    assert network(torch.zeros(1, 2).double()).isfinite().all()


def fit(network, x, target):
    """The largest error on a third of the points of a least-squares fit to the others."""
    network = network.double()
    with torch.no_grad():
        columns = []
        for layer in network.last if isinstance(network.last, torch.nn.ModuleList) else [network.last]:
            for k in range(layer.in_features):
                for other in network.modules():
                    if isinstance(other, torch.nn.Linear):
                        other.weight.zero_()
                        other.bias is None or other.bias.zero_()
                layer.weight[0, k] = 1.0
                columns.append(network(x)[:, 0])
    matrix, count = torch.stack(columns, 1).numpy(), 2 * len(x) // 3
    found = np.linalg.lstsq(matrix[:count], target[:count].numpy(), rcond=1e-13)[0]
    return np.abs(matrix[count:] @ found - target[count:].numpy()).max()


def test_terms_of_a_reentrant_corner_are_what_few_features_fit():
    """Of unlike exponents, neither of which is given; as many sines of the coordinates miss them by far more."""
    torch.manual_seed(0)
    angle, radius = 1.5 * torch.pi * torch.rand(900).double(), 10 ** (-3 * torch.rand(900).double())
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    field = radius ** (2 / 3) * torch.sin(2 * angle / 3) + radius ** (4 / 3) * torch.cos(4 * angle / 3)
    corner = CornerFeatures(2, 1, corners=[[0.0, 0.0]], sizes=[[1.0, 1.0]], powers=[0.5], count=120)
    own, plain = fit(corner, x, field), fit(RandomFeatures(2, 1, count=120, scale=4.0), x, field)
    assert own < 1e-3
    assert plain > 100 * own


def test_a_layer_is_what_graded_sines_fit():
    torch.manual_seed(0)
    x = 1 - 2 * 10 ** (-4 * torch.rand(300, 1).double())
    layer = torch.exp((x[:, 0] - 1) / 0.01)
    graded = partial(RandomFeatures, count=60, embedding=partial(Graded, width=0.01))
    own, plain = (fit(build(1, 1), x, layer) for build in (graded, partial(RandomFeatures, count=60)))
    assert own < 1e-5
    assert plain > 1e3 * own


def test_a_sum_is_that_of_its_networks_and_has_all_last_layers():
    torch.manual_seed(0)
    corner = partial(CornerFeatures, corners=[[2.0, 0.0], [0.0, 2.0]], sizes=[[1.0, 1.0]] * 2, powers=[0.5], count=3)
    network = FeatureSum(2, 1, networks=[partial(RandomFeatures, count=5), corner])
    for parameter in network.last.parameters():
        assert not parameter.any()  # it starts from zero
        torch.nn.init.normal_(parameter)
    x = torch.rand(7, 2)
    torch.testing.assert_close(network(x), network.networks[0](x) + network.networks[1](x))
    layers = ("networks.0.last.weight", "networks.0.last.bias", "networks.1.last.0.weight", "networks.1.last.1.weight")
    assert last_layer(network) == list(layers)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigurationError, match="sizes: must be like corners"):
        CornerFeatures(2, 1, corners=[[0.0, 0.0]], sizes=[[0.1]], powers=[0.5])
    with pytest.raises(ConfigurationError, match="one for each unknown"):
        CornerFeatures(2, 2, corners=[[0.0, 0.0]], sizes=[[1.0, 1.0]], powers=[0.5])
    with pytest.raises(ConfigurationError, match="at least one"):
        FeatureSum(2, 1, networks=[])
    with pytest.raises(ConfigurationError, match="Linear has no last layer"):
        FeatureSum(2, 1, networks=[torch.nn.Linear])
