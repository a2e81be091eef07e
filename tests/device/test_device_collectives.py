"""Collectives take contiguous tensors that are on the device: NCCL, which talks between GPUs, refuses all others."""

import pytest
import torch
import torch.distributed as dist
import torchmetrics.metric
from card import CARD, CardTensor, card, card_trainer_options
from devices import fetched
from test_device_fits import CALLBACKS
from training import (
    ADAM,
    BATCH_SIZES,
    PHASES,
    QUASI_NEWTON,
    THREE_PHASES,
    quiet_trainer,
    small_data,
    small_module,
)

from pinnlab.analysis.curvature import curvature
from pinnlab.analysis.ntk import kernel_spectra
from pinnlab.callbacks import Rollback
from pinnlab.numerics import distributed
from pinnlab.problems import Wave1D
from pinnlab.training.march import March
from pinnlab.training.marching import train_windows
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

COLLECTIVES = [name for name in dir(dist) if name.startswith(("all_", "broadcast", "gather", "reduce", "scatter"))]


ALWAYS = (
    "dense", "gauss_newton", "last_layer", "newton_cg", "multi_batch", "schwarz", "multi_preconditioned", "trials",
    "several", "gradient_norm", "lra", "ntk", "growth_by_test", "continuation_by_loss", "spectrum", "signatures",
)  # fmt: skip
"""Of the phases and callbacks those that bring collectives of their own."""
ON_DEMAND = [pytest.param(name, marks=pytest.mark.slow) for name in (*PHASES, *CALLBACKS) if name not in ALWAYS]


@pytest.fixture
def twins(monkeypatch):
    """Two ranks, of which the other one has what this one has; counts collectives, those of metrics too."""
    seen = []

    def see(tensor):
        assert isinstance(tensor, CardTensor), "a collective on the CPU"
        assert tensor.is_contiguous(), "a collective of a tensor with another layout"
        seen.append(tensor)

    def all_reduce(tensor, op=dist.ReduceOp.SUM):
        see(tensor)
        if op == dist.ReduceOp.SUM:
            tensor.mul_(2)

    def all_gather(parts, tensor, group=None):
        for part in parts:
            see(part)
            part.copy_(tensor)

    for name in COLLECTIVES:
        monkeypatch.setattr(dist, name, lambda *unused, name=name, **more: pytest.fail(f"{name} is not known here"))
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    monkeypatch.setattr(dist, "all_gather", all_gather)
    monkeypatch.setattr(dist, "get_backend", lambda: "nccl")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda own: own.to(CARD))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(torchmetrics.metric, "jit_distributed_available", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda group=None: 2)
    monkeypatch.setattr(dist, "get_rank", lambda group=None: 0)
    monkeypatch.setattr(dist, "barrier", lambda group=None: None)
    return seen


@pytest.mark.parametrize("name", ["plain", *ALWAYS, *ON_DEMAND])
def test_collectives_are_on_the_device(name, twins):
    module = small_module(phases=PHASES[name]() if name in PHASES else THREE_PHASES)
    data = small_data(module.problem, batch_size=BATCH_SIZES.get(name))
    callbacks = CALLBACKS[name]() if name in CALLBACKS else []
    with card():
        options = {"val_check_interval": 5 if name == "plain" else 100, **card_trainer_options()}
        quiet_trainer(callbacks=[*callbacks, Rollback(every=4)], **options).fit(module, data)
    assert len(twins) > 20


def test_what_is_asked_after_a_run_meets_on_the_device(twins):
    """Where the model no longer is."""
    module = small_module()
    data = small_data(module.problem)
    with card():
        quiet_trainer(**card_trainer_options()).fit(module, data)
        assert module.device.type == "cpu"
        twins.clear()
        errors = module.measure_errors(data)
        around = module.linearization(data.store.batch())
        found = [around.gram()[0], around.times(torch.ones_like(around.point)), *module.mean_squares({}).values()]
        found += [spectrum.eigenvalues for spectrum in kernel_spectra(around).values()]
        found += [curvature(around, top=3, probes=1, steps=5).eigenvalues]
    assert len(twins) > 10
    assert errors["u"] > 0
    assert {tensor.device.type for tensor in found} == {"cpu"}


def test_columns_that_lie_one_behind_the_other_are_summed(twins):
    """As those of a QR, which Lanczos' method multiplies with."""
    columns = torch.arange(6.0).view(2, 3).T
    with card() as there:
        found = distributed.all_sum(columns.to(there))
        assert torch.equal(fetched(distributed.gather(columns.to(there))), torch.cat([columns, columns]))
    assert torch.equal(fetched(found), 2 * columns)


def test_windows_of_time_meet_on_the_device(twins):
    """Also at their end, when all of them are measured together, on the CPU."""
    module = small_module(Wave1D(), phases=[Phase(ADAM, steps=3), Phase(QUASI_NEWTON, steps=1)])
    with card():
        trainer = quiet_trainer(**card_trainer_options())
        train_windows(
            module, small_data(module.problem), trainer, March(windows=2, tolerance=1e-9, every=2, halvings=1)
        )
    assert len(twins) > 20
