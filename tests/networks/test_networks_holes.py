from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import HoleFeatures, Root


def test_agrees_with_its_formula_and_leaves_time_as_it_is():
    torch.manual_seed(0)
    options = {"centers": [[0.2, -0.1], [-0.5, 0.5]], "radii": [[0.1, 0.2], [0.3, 0.3]]}
    network = HoleFeatures(3, 2, count=5, scale=2.0, hole_count=4, **options).double()
    x = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    own = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    phases = [x @ own["directions"].T + own["phases"]]
    for k in range(2):
        away = (x[:, :2] - own["centers"][k]) / own["radii"][k]
        seen = np.concatenate([away / (away**2).sum(1, keepdims=True), x[:, 2:]], axis=1)
        phases.append(seen @ own["hole_directions"][k].T + own["hole_phases"][k])
    features = np.sin(np.concatenate(phases, axis=1)) / np.sqrt(13)
    expected = features @ own["last.weight"].T + own["last.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_a_dipole_in_a_hole_is_what_few_features_fit():
    """Its field x / |x|^2 is steep at the hole; sines of the coordinates alone miss it by a hundred times as much."""
    torch.manual_seed(0)
    angle, radius = 2 * torch.pi * torch.rand(600).double(), 0.1 + 0.9 * torch.rand(600).double()
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    field = 0.1 * x[:, 0] / x.square().sum(-1)
    errors = []
    for radii in ([[0.1, 0.1]], [[1e6, 1e6]]):  # with a hole so large the inverted coordinates are the same everywhere
        features = HoleFeatures(
            2, 80, centers=[[0.0, 0.0]], radii=radii, count=40, hole_count=40, hole_scale=1.0
        ).double()
        features.last.weight.data.copy_(torch.eye(80))
        columns = features(x).detach().numpy()
        left = np.linalg.lstsq(columns[:400], field[:400].numpy(), rcond=1e-14)[0]
        errors.append(np.abs(columns[400:] @ left - field[400:].numpy()).max())
    assert errors[0] < 5e-5
    assert errors[1] > 100 * errors[0]


def test_an_even_network_is_its_own_mirror_image_and_smooth_in_what_comes_first():
    torch.manual_seed(0)
    options = {"centers": [[0.4, 0.3]], "radii": [[0.2, 0.2]], "count": 6, "hole_count": 5}
    network = HoleFeatures(3, 2, even=[0, 1], embedding=partial(Root, column=2), **options).double()
    x = torch.rand(20, 3).double()
    for mirror in ([-1.0, 1, 1], [1, -1.0, 1], [-1.0, -1, 1]):
        torch.testing.assert_close(network(x * torch.tensor(mirror).double()), network(x), rtol=0, atol=1e-14)
    plain = HoleFeatures(3, 2, **options).double()
    plain.load_state_dict(network.state_dict())
    rooted = Root(3, column=2).double()(x)
    images = [plain(rooted * torch.tensor([a, b, 1]).double()) - plain.last.bias for a in (1, -1) for b in (1, -1)]
    torch.testing.assert_close(sum(images) + plain.last.bias, network(x), rtol=0, atol=1e-14)
    with pytest.raises(ConfigurationError, match="even: must be a whole number from 0 to 2, got 3"):
        HoleFeatures(3, 1, even=[3], **options)


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="radii: must be like centers"):
        HoleFeatures(2, 1, centers=[[0.0, 0.0]], radii=[[0.1]])
    with pytest.raises(ConfigurationError, match="at most 1 numbers"):
        HoleFeatures(1, 1, centers=[[0.0, 0.0]], radii=[[0.1, 0.1]])
