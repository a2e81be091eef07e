"""Schedulers made of others: warm-up and decay, several at once; from Python and from recipes."""

import functools

import pytest
import torch
from torch.optim import lr_scheduler
from training import BOTH, LINEAR, WARM_UP

from pinnlab import Phase
from pinnlab.cli.catalog import class_paths, resolve_names
from pinnlab.errors import ConfigurationError

SGD = functools.partial(torch.optim.SGD, lr=0.1)
COSINE = functools.partial(lr_scheduler.CosineAnnealingLR, T_max=6)


def one_cycle(steps):
    return functools.partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=steps)


def in_turn(*schedulers, milestones):
    return functools.partial(lr_scheduler.SequentialLR, schedulers=list(schedulers), milestones=milestones)


def rates(scheduler, optimizer, steps=9):
    """The learning rate of each step."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(scheduler, steps=9):
    phase = Phase(SGD, steps=steps, scheduler=scheduler)
    optimizer = phase.sample_optimizer()
    return phase.schedule(optimizer), optimizer


def torchs(build):
    optimizer = Phase(SGD).sample_optimizer()
    return rates(build(optimizer), optimizer)


def linear(optimizer):
    return lr_scheduler.LinearLR(optimizer, total_iters=3)


def decay(optimizer):
    return lr_scheduler.ExponentialLR(optimizer, gamma=0.99)


def warm_up(optimizer):
    return lr_scheduler.SequentialLR(optimizer, [linear(optimizer), decay(optimizer)], [3])


def test_rates_are_torchs():
    assert rates(*ours(WARM_UP)) == torchs(warm_up)
    assert rates(*ours(BOTH)) == torchs(
        lambda optimizer: lr_scheduler.ChainedScheduler([linear(optimizer), warm_up(optimizer)])
    )


def test_a_warm_up_rises_to_the_rate_and_a_decay_falls_from_it():
    found = rates(*ours(in_turn(LINEAR, COSINE, milestones=[3])))
    assert found[0] == pytest.approx(0.1 / 3)
    assert found[3] == pytest.approx(0.1)
    assert found == sorted(found[:3]) + sorted(found[3:], reverse=True)
    assert found[8] == pytest.approx(0.05 * (1 + torch.cos(torch.tensor(torch.pi * 5 / 6)).item()))


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedScheduler"])
def test_recipes_name_them_as_torch_does(name):
    path = f"pinnlab.training.schedulers.{name}"
    assert class_paths()[name] == path
    for written in (name, f"torch.optim.lr_scheduler.{name}"):
        assert resolve_names({"scheduler": {"class_path": written}}) == {"scheduler": {"class_path": path}}


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (in_turn(LINEAR, 3, milestones=[3]), r"scheduler\.schedulers\[1\]: must build a scheduler.* got int"),
        (in_turn(LINEAR, linear(SGD([torch.zeros(1)])), milestones=[3]), r"schedulers\[1\]: .* got LinearLR"),
        (in_turn(LINEAR, LINEAR, milestones=[0]), r"scheduler\.milestones: must be steps from 1 on, .* got \[0\]"),
        (in_turn(LINEAR, milestones=[2]), r"scheduler: Sequential Schedulers expects"),
        (in_turn(LINEAR, lr_scheduler.ReduceLROnPlateau, milestones=[2]), r"scheduler: .*ReduceLROnPlateau"),
        (in_turn(WARM_UP, COSINE, milestones=[5]), r"scheduler: SequentialLR does not work inside"),
        (in_turn(LINEAR, BOTH, milestones=[5]), r"scheduler: ChainedScheduler does not work inside"),
        (in_turn(LINEAR, one_cycle(9), milestones=[2]), r"scheduler: OneCycleLR does not work inside"),
        (functools.partial(lr_scheduler.ChainedScheduler, schedulers=[one_cycle(8)]), r"total_steps=8, .* after 9"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(scheduler, message):
    with pytest.raises(ConfigurationError, match=rf"^model\.phases\.scheduler.*{message.removeprefix('scheduler')}"):
        ours(scheduler)


def test_a_cycle_may_be_one_of_several_at_once():
    assert len(rates(*ours(functools.partial(lr_scheduler.ChainedScheduler, schedulers=[one_cycle(10), LINEAR])))) == 9
