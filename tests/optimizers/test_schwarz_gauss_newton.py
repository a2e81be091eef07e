"""Steps by Schwarz sweeps over windows, against those of the whole least squares, and what they train."""

from functools import partial

import lightning as L
import pytest
import torch
from least_squares import vector
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, Subdomains
from pinnlab.numerics.schwarz import MODES
from pinnlab.optimizers import GainRatio, SchwarzGaussNewton
from pinnlab.optimizers.step_models import SchwarzModel, SparseModel
from pinnlab.problems import MultiscalePoisson
from pinnlab.samplers import Sobol


def linearization(network, dim=1, count=150):
    problem = MultiscalePoisson(dim=dim, octaves=2)
    model = PINN(problem, network, compile=False)
    regions = {name: condition.region for name, condition in problem.conditions.items()}
    return model.linearization({name: Sobol().sample(region, count, seed=1) for name, region in regions.items()})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dim", "levels"), [(1, 1), (1, 2), (2, 2)])
def test_many_sweeps_end_at_the_step_of_the_whole(dim, levels, mode):
    around = linearization(partial(Subdomains, grid=4, levels=levels, network=partial(MLP, hidden=[3])), dim)
    damping = around.trace() / 10
    expected = SparseModel(around).direction(damping, None)
    model = SchwarzModel(around, 300, mode)
    found = model.direction(damping, None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert float(model.curvature(found)) == pytest.approx(float(SparseModel(around).curvature(expected)), rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_step_of_one_sweep_descends(mode):
    around = linearization(partial(Subdomains, grid=[6], network=partial(MLP, hidden=[4])))
    assert float(SchwarzModel(around, 1, mode).direction(1e-8, None) @ around.gradient()) < 0


@pytest.mark.parametrize("mode", MODES)
def test_windows_are_trained(mode):
    L.seed_everything(0, verbose=False)
    problem = MultiscalePoisson(octaves=2, exact_conditions=True)
    optimizer = partial(SchwarzGaussNewton, mode=mode, sweeps=40, damping=GainRatio(initial=1e-8))
    network = partial(Subdomains, grid=[4], network=partial(SIREN, hidden=[8], first_frequency=6.0))
    module = PINN(problem, network, [Phase(optimizer, steps=20)], compile=False)
    data = CollocationDataModule(problem, points={"pde": 200}, evaluation_points=200)
    quiet_trainer(val_check_interval=None, limit_val_batches=0).fit(module, data)
    assert module.measure_errors(data)["u"] < (2e-2 if mode == "conjugate" else 0.5)  # about 1 at the start


def test_bad_options_are_refused():
    with pytest.raises(ConfigurationError, match="sweeps: must be at least 1"):
        SchwarzGaussNewton([vector([1.0])], sweeps=0)
    with pytest.raises(ConfigurationError, match="mode"):
        SchwarzGaussNewton([vector([1.0])], mode="multiplicativ")
    with pytest.raises(ConfigurationError, match="form: schwarz: needs a network of which a point sees a part"):
        SchwarzModel(linearization(partial(MLP, hidden=[4])), 1, "additive")
