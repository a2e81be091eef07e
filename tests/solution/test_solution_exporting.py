"""Exported solutions give the same values where pinnlab is not there."""

from functools import partial

import numpy as np
import pytest
import torch
from known_solutions import waves
from torch import nn

from pinnlab import PINN
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, FourierFeatures, PirateNet, Subdomains, Tiles
from pinnlab.problems import Burgers, Heat1D, Poisson1D, Tiled

MODELS = {
    "mlp": lambda: PINN(Burgers(), partial(MLP, hidden=[6, 5])),
    "soft": lambda: PINN(Heat1D(), partial(MLP, hidden=[6], embedding=partial(FourierFeatures, features=3))),
    "siren": lambda: PINN(Poisson1D(), partial(SIREN, hidden=[6, 5])),
    "piratenet": lambda: PINN(Burgers(), partial(PirateNet, width=6, blocks=1)),
    "subdomains": lambda: PINN(Burgers(), partial(Subdomains, grid=[3, 2], network=partial(MLP, hidden=[4]))),
    "tiles": lambda: PINN(Tiled(Burgers(), [3, 2]), partial(Tiles, grid=[3, 2], network=partial(MLP, hidden=[4]))),
}


def points_of(model, count):
    low, high = (torch.tensor(c, dtype=torch.float64) for c in (model.problem.domain.low, model.problem.domain.high))
    random = torch.rand(count, len(low), dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    return low + (high - low) * random


@pytest.mark.filterwarnings("ignore")  # torch's own
@pytest.mark.parametrize("name", MODELS)
def test_pt2_gives_the_same_values_for_any_number_of_points(tmp_path, name):
    solution = MODELS[name]().solution()
    path = solution.export(tmp_path / "model.pt2")
    module = torch.export.load(path).module()
    for count in (1, 5, 333):
        points = points_of(solution, count)
        torch.testing.assert_close(module(points), solution(points), rtol=1e-14, atol=1e-14)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ("siren", "tiles"))) for n in MODELS]
)
def test_onnx_gives_the_same_values(tmp_path, name):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    solution = MODELS[name]().solution()
    path = solution.export(tmp_path / "model.onnx")
    onnx.checker.check_model(onnx.load(path))
    program = ReferenceEvaluator(str(path))
    for count in (1, 5, 333):
        points = points_of(solution, count).numpy()
        (values,) = program.run(["solution"], {"points": points})
        np.testing.assert_allclose(values, solution(points), rtol=1e-12, atol=1e-13)


def test_another_ending(tmp_path):
    with pytest.raises(ConfigurationError, match=r"model.pt must end with .pt2 or .onnx"):
        waves().export(tmp_path / "model.pt")


class Branching(nn.Module):
    """Decides by a value, which cannot be exported."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, points):
        if float(points.sum()) > 1e9:
            return 2 * points[:, :1]
        return self.factor * points[:, :1] ** 2


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_exported_is_told_in_one_line(tmp_path):
    solution = PINN(Poisson1D(), Branching(), engine="reverse").solution()
    with pytest.raises(ConfigurationError, match="export: the network cannot be exported") as caught:
        solution.export(tmp_path / "model.pt2")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
