"""Networks whose modules have several names, or share tensors, train as those do that name everything once."""

import functools

import pytest
import torch
from cases import SharingNetwork, Wave
from torch import nn
from torch.nn.functional import linear
from training import quiet_trainer

from pinnlab.networks import Tiles
from pinnlab.optimizers import LeastSquares, LevenbergMarquardt, SSBroyden
from pinnlab.problems import Poisson1D, Tiled
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

OPTIMIZERS = {
    "adam": functools.partial(torch.optim.Adam, lr=1e-2),
    "ssbroyden": functools.partial(SSBroyden, iterations=3),  # many would double rounding errors many times
    "levenberg-marquardt": LevenbergMarquardt,
    "least squares": LeastSquares,
}


class Plain(nn.Module):
    """`SharingNetwork` with one name for everything; it draws the same numbers."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.wave, middle, again = Wave(), nn.Linear(5, 5), nn.Linear(5, 5)
        self.first, self.middle, self.bias = nn.Linear(inputs, 5), middle, again.bias
        self.last = nn.Linear(5, outputs)

    def forward(self, x):
        h = self.wave(self.middle(self.wave(self.first(x))))
        return self.last(self.wave(linear(h, self.middle.weight, self.bias)))


def trained(network, optimizer, problem=None, **options):
    torch.manual_seed(0)
    problem = problem or Poisson1D()
    module = PINN(problem, network, phases=[Phase(OPTIMIZERS[optimizer], steps=4)], seed=3, **options)
    quiet_trainer().fit(module, CollocationDataModule(problem, 30))
    return module


RUNS = [(name, False) for name in OPTIMIZERS] + [pytest.param(n, True, marks=pytest.mark.slow) for n in OPTIMIZERS]


@pytest.mark.parametrize(("optimizer", "compiled"), RUNS)
def test_a_run_is_that_of_the_network_that_shares_nothing(optimizer, compiled):
    shared = trained(SharingNetwork, optimizer, compile=compiled)
    plain = trained(Plain, optimizer, compile=False)
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    torch.testing.assert_close(shared(x), plain(x), rtol=1e-6, atol=1e-9)
    assert all(isinstance(p, nn.Parameter) for p in shared.trial.network.state_dict(keep_vars=True).values())


@pytest.mark.usefixtures("traced")
def test_a_traced_run_is_that_of_the_network_that_shares_nothing():
    test_a_run_is_that_of_the_network_that_shares_nothing("adam", True)


@pytest.mark.parametrize("optimizer", ["adam", "levenberg-marquardt"])
def test_many_of_them_as_one(optimizer):
    shared, plain = (
        trained(functools.partial(Tiles, grid=2, network=own), optimizer, Tiled(Poisson1D(), [2]), compile=False)
        for own in (SharingNetwork, Plain)
    )
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    torch.testing.assert_close(shared(x), plain(x), rtol=1e-6, atol=1e-9)
