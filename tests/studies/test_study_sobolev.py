"""The study of Sobolev losses: symbols, shares of waves, errors by wave, and the report against numbers by hand."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from pinnlab import PINN, CollocationDataModule
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, PeriodicEmbedding
from pinnlab.samplers import Lattice
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.runner import merged, train
from pinnlab.studies.sobolev.report import learned, predicted
from pinnlab.studies.sobolev.runs import (
    AT,
    COLUMNS,
    LOSSES,
    ORDERS,
    STUDY,
    WAVE_NUMBERS,
    Loss,
    Prediction,
    Waves,
    probe,
    wave_errors,
    wave_residual,
)


def module_and_data(order, periodic=True, enhance=None):
    problem = Waves(order, periodic)
    torch.manual_seed(0)
    embedding = partial(PeriodicEmbedding, columns=[0]) if periodic else None
    model = PINN(problem, partial(MLP, hidden=[6, 5], embedding=embedding), compile=False, enhance=enhance, seed=1)
    data = CollocationDataModule(problem, points=24, sampler=Lattice(), evaluation_points=50)
    data.setup("fit")
    return model, data


def test_weights_are_the_binomial_ones():
    assert Loss(1, 4).weights() == {"x": pytest.approx((4 * math.pi) ** -2)}
    assert Loss(2, 1).weights() == {"x": pytest.approx(2 / math.pi**2), "xx": pytest.approx(math.pi**-4)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_waves_residual_has_the_symbol(order, loss):
    chosen = LOSSES[loss]
    points = (torch.arange(24, dtype=torch.float64)[:, None] + 0.3) / 12 - 1
    for k in WAVE_NUMBERS:
        omega = math.pi * k
        residual = wave_residual(
            Waves(order), {"pde": points}, {"pde": torch.tensor(1 / 24)}, chosen.weights() if chosen else {}, k
        )
        symbol = ((1 + omega**2) / (1 + 4 * math.pi**2)) ** order
        if chosen:
            symbol *= (1 + (k / chosen.from_wave) ** 2) ** chosen.order
        assert float(residual.square().sum()) == pytest.approx(symbol / 2, rel=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_the_solution_has_no_residual(order):
    points = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    problem = Waves(order, periodic=False)
    _, data = module_and_data(order, periodic=False)
    batch = data.store.batch()
    factors = {name: torch.tensor(1.0) for name in batch}
    assert set(batch) == ({"pde", "ends"} if order else {"pde"})
    waves = wave_residual(problem, batch, factors, {}, 1)
    assert waves.shape == (sum(len(rows) for rows in batch.values()),)
    assert torch.equal(problem.reference_values(points)[:, 0], problem.solution(points[:, 0]))
    with pytest.raises(ConfigurationError, match=r"problem\.order: must be 0, 1 or 2, got 3"):
        Waves(3)


@pytest.mark.parametrize(("order", "periodic", "enhance"), [(0, True, {}), (2, False, {"x": 0.1, "xx": 0.01})])
def test_shares_are_quotients_of_the_dense_kernel(order, periodic, enhance):
    model, data = module_and_data(order, periodic, {"pde": enhance} if enhance else None)
    found = Prediction(enhance)
    found.on_train_start(SimpleNamespace(datamodule=data), model)
    batch = data.store.batch()
    linearization = model.linearization(batch)
    rows = torch.stack([linearization.transposed_times(unit) for unit in torch.eye(linearization.shape[0]).double()])
    kernel = rows @ rows.T
    factors = dict(zip(batch, (w / len(batch[n]) for w, n in zip(model.loss_weights, batch, strict=True)), strict=True))
    for k, share in zip(WAVE_NUMBERS, found.shares, strict=True):
        q = wave_residual(model.problem, batch, factors, enhance, k)
        assert share == pytest.approx(float(q @ kernel @ q / q.square().sum() / torch.linalg.eigvalsh(kernel)[-1]))
        assert 0 < share < 1


def test_errors_by_wave():
    problem = Waves(0)

    def off(points):
        x = points[:, 0]
        return (problem.solution(x) + 0.3 * torch.sin(2 * math.pi * x) + 0.1)[:, None]

    off.problem, off.loss_weights = problem, torch.ones(1, dtype=torch.float64)
    found = wave_errors(None, off)
    assert found["wave_2"] == pytest.approx(0.3)
    assert found["wave_1"] == pytest.approx(0, abs=1e-12)
    assert found["error"] == pytest.approx(math.sqrt((0.09 / 2 + 0.01) / 1.5))
    assert found["slope_error"] == pytest.approx(0.3 * 2 / math.sqrt(sum(k**2 for k in WAVE_NUMBERS)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", ["gd/h2_2", "gauss_newton/plain"])
def test_a_run_keeps_all_columns(setting):
    config = merged(STUDY.config("tanh_1", setting, 0), {"model": {"compile": False}})
    config["trainer"]["callbacks"][0]["init_args"]["evaluations"] = 20
    summary, trained = train(config)
    kept = {**STUDY.measure(summary), **probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert len(numbers(kept["share"])) == len(WAVE_NUMBERS)
    assert len(numbers(kept["wave_4"])) >= 2


def test_when_a_wave_is_learned():
    assert learned([1.0, 0.5, 0.05, 0.2, 0.1, 0.01]) == AT[4]
    assert learned([1.0, 0.5, 0.05]) == AT[2]
    assert learned([1.0, 0.5]) == math.inf
    assert predicted(0.0) == math.inf
    assert 0.8 ** predicted(1.0) == pytest.approx(0.1)
    assert 0.9998 ** predicted(1e-3) == pytest.approx(0.1)
