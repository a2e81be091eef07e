"""Corrections: the function that was there before stays, and only what is new is trained."""

from functools import partial

import lightning as L
import pytest
import torch
from torch import nn
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.derivatives import Wanted, partials
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, Correction, Subdomains, last_layer, seen_inside
from pinnlab.optimizers import GainRatio, LeastSquares, LevenbergMarquardt
from pinnlab.problems import MultiscalePoisson

WINDOWS = partial(Subdomains, grid=[4], network=partial(SIREN, hidden=[6], first_frequency=6.0))


def trained(problem, network, optimizer, steps):
    L.seed_everything(0, verbose=False)
    module = PINN(problem, network, [Phase(optimizer, steps=steps)], compile=False)
    data = CollocationDataModule(problem, points={"pde": 200}, evaluation_points=200)
    quiet_trainer(val_check_interval=None, limit_val_batches=0).fit(module, data)
    return module, module.measure_errors(data)["u"]


def test_it_begins_with_the_function_before():
    before, x = MLP(2, 1, hidden=[5]), torch.rand(7, 2)
    network = Correction(2, 1, before=before, network=partial(Subdomains, grid=2))
    assert torch.equal(network(x), before(x))
    assert all(name.startswith("network.") for name, p in network.named_parameters() if p.requires_grad)
    with torch.no_grad():
        before.last.bias.add_(1.0)
    assert not torch.equal(network(x), before(x))  # a copy


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(LevenbergMarquardt, form="sparse", damping=GainRatio(initial=1e-10, lowest=1e-20)),
        partial(LeastSquares, sparse=True),
    ],
)
def test_windows_correct_a_network_step_by_step(optimizer):
    """Through a sparse Jacobian of the new numbers only."""
    problem = MultiscalePoisson(octaves=2, exact_conditions=True)
    first, error = trained(problem, partial(MLP, hidden=[8]), LevenbergMarquardt, 5)
    kept = [p.detach().clone() for p in first.trial.network.parameters()]
    correct = partial(Correction, before=first.trial.network, network=WINDOWS)
    second, after = trained(problem, correct, optimizer, 12)
    assert after < error / 10
    frozen = [p for p in second.trial.network.parameters() if not p.requires_grad]
    assert all(torch.equal(a, b) for a, b in zip(kept, frozen, strict=True))


def test_parts_and_last_layer_are_those_of_the_new_network():
    network = Correction(1, 1, before=WINDOWS(1, 1), network=WINDOWS)
    assert set(last_layer(network)) == {"network.networks.0.last.weight", "network.networks.0.last.bias"}
    assert set(seen_inside(network, torch.rand(3, 1)).numbers) == {
        f"network.networks.0.{name}" for name in ("hidden.0.weight", "hidden.0.bias", "last.weight", "last.bias")
    }
    assert seen_inside(Correction(1, 1, before=MLP(1, 1), network=MLP), torch.rand(3, 1)) is None


def test_derivatives_are_those_of_nested_reverse_mode():
    before = MLP(2, 1, hidden=[5]).double()
    network = Correction(2, 1, before=before, network=partial(Subdomains, grid=2), scale=0.3).double()
    with torch.no_grad():
        for parameter in network.network.parameters():
            parameter.add_(0.1)
    x = torch.rand(20, 2, dtype=torch.float64)
    wanted = Wanted(frozenset([(0, 0), (1,)]))
    exact, found = (partials(network, x, wanted, engine=engine).partials for engine in ("reverse", "taylor"))
    for index in wanted.partials:
        torch.testing.assert_close(found[index], exact[index], rtol=1e-9, atol=1e-11)


def test_what_is_no_network_is_refused():
    with pytest.raises(ConfigurationError, match="before: must be a trained network"):
        Correction(1, 1, before="first", network=MLP)
    with pytest.raises(ConfigurationError, match="network must build a Module"):
        Correction(1, 1, before=MLP(1, 1), network=3)
    with pytest.raises(ConfigurationError, match="no last layer"):
        Correction(1, 1, before=MLP(1, 1), network=lambda inputs, outputs: nn.Sequential(nn.Linear(inputs, outputs)))
