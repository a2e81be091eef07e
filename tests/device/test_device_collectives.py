"""Collectives take tensors that are on the device: NCCL, which talks between GPUs, refuses all others."""

import pytest
import torch.distributed as dist
from card import CardTensor, card, card_trainer_options
from test_device_fits import CALLBACKS, THREE_PHASES
from training import BATCH_SIZES, PHASES, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback
from pinnlab.numerics import distributed

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

COLLECTIVES = [name for name in dir(dist) if name.startswith(("all_", "broadcast", "gather", "reduce", "scatter"))]


@pytest.fixture
def twins(monkeypatch):
    """Two ranks, of which the other one has what this one has; counts collectives."""
    seen = []

    def see(tensor):
        assert isinstance(tensor, CardTensor), "a collective on the CPU"
        seen.append(tensor)

    def all_reduce(tensor, op=dist.ReduceOp.SUM):
        see(tensor)
        if op == dist.ReduceOp.SUM:
            tensor.mul_(2)

    def all_gather(parts, tensor):
        for part in parts:
            see(part)
            part.copy_(tensor)

    for name in COLLECTIVES:
        monkeypatch.setattr(dist, name, lambda *unused, name=name, **more: pytest.fail(f"{name} is not known here"))
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    monkeypatch.setattr(dist, "all_gather", all_gather)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    return seen


@pytest.mark.parametrize("name", ["plain", *PHASES, *CALLBACKS])
def test_collectives_are_on_the_device(name, twins):
    module = small_module(phases=PHASES[name]() if name in PHASES else THREE_PHASES)
    data = small_data(module.problem, batch_size=BATCH_SIZES.get(name))
    callbacks = CALLBACKS[name]() if name in CALLBACKS else []
    with card():
        trainer = quiet_trainer(callbacks=[*callbacks, Rollback(every=4)], **card_trainer_options())
        trainer.fit(module, data)
        module.measure_errors(data)
    assert len(twins) > 20
