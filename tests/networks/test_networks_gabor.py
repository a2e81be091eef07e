from __future__ import annotations

import numpy as np
import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.networks import Gabor


def test_agrees_with_its_formula():
    torch.manual_seed(0)
    network = Gabor(3, 2, atoms=5, frequency=3.0, width=0.7).double()
    with torch.no_grad():
        network.inverse_widths += torch.rand(5, 3)
    x = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    own = {name: value.detach().numpy() for name, value in network.named_parameters()}
    offsets = x[:, None] - own["centers"]
    window = np.exp(-0.5 * ((offsets * own["inverse_widths"]) ** 2).sum(-1))
    wave = np.cos(x @ own["waves"].T + own["phases"])
    expected = (window * wave) @ own["last.weight"].T + own["last.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"atoms": 0}, {"frequency": 0.0}, {"width": -1.0}, {"width": float("inf")}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Gabor(2, 1, **options)
