"""Optimizers in words, however they were given."""

import functools

import pytest
import torch
from lightning.pytorch.cli import LightningArgumentParser, OptimizerCallable
from training import WARM_UP

from pinnlab.optimizers import LBFGS
from pinnlab.training.wording import optimizer_in_words


def from_a_recipe(*arguments):
    """What LightningCLI makes of an optimizer in a recipe."""
    parser = LightningArgumentParser()
    parser.add_argument("--optimizer", type=OptimizerCallable)
    return parser.instantiate(parser.parse_args(list(arguments))).optimizer


def build(parameters):
    """A user's function."""
    return torch.optim.Adam(parameters)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.optim.Adam, "Adam"),
        (functools.partial(torch.optim.Adam, lr=1e-3), "Adam"),
        (functools.partial(functools.partial(torch.optim.Adam, lr=1e-2), lr=5e-3), "Adam(lr=0.005)"),
        (functools.partial(LBFGS, iterations=3), "LBFGS(iterations=3)"),
        (build, "build"),
        (functools.partial(build, strange=1), "build(strange=1)"),
        (WARM_UP, "SequentialLR(schedulers=[LinearLR(total_iters=3), ExponentialLR(gamma=0.99)], milestones=[3])"),
        (from_a_recipe("--optimizer=torch.optim.Adam", "--optimizer.lr=0.005"), "Adam(lr=0.005)"),
        (from_a_recipe("--optimizer=pinnlab.optimizers.LBFGS"), "LBFGS"),
    ],
)
def test_optimizers_in_words(given, words):
    assert optimizer_in_words(given) == words
