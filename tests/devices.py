"""Where the tests of devices compute: on a card that is not there, always, and on a GPU with `pytest -m cuda`.

`pytest -m cuda -n 8` should take less than 8 minutes on 16 cores. That is an estimate: compiling decides, and a graph
took 2.6 s of a core, the mean of the 32 of `burgers_soft`, `wave`, `ks_soft` and `poisson100d`, generated and compiled
for a card of capability 9.0 without one, by torch 2.11. There are 152 graphs of the chosen problems and networks, 47 of
the chosen runs, and some of runs that go on: 600 s, which is 75 s for eight workers, and 5 minutes if a graph took four
times as long. What is not compiled took 162 s of a core on the card that is not there, but for some runs on demand.
The 906 graphs of all other problems and networks, and those of 42 runs, are left to `-m "cuda and slow"`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from card import CardTensor, card, card_trainer_options

GPU = pytest.param("cuda", marks=pytest.mark.cuda)
PLACES = ["card", GPU]


def some_compiled(names: Iterable[str], chosen: set[str]) -> list[Any]:
    """Parameters of tests of compiled code: those that are chosen always, all others with `-m "cuda and slow"`."""
    names = list(names)
    assert chosen <= set(names), chosen - set(names)
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in names]


@dataclass
class Place:
    """A device, and what a `Trainer` is told to use it."""

    device: torch.device
    trainer: dict[str, Any] = field(default_factory=dict)


@contextmanager
def at(name: str) -> Iterator[Place]:
    """One of `PLACES`."""
    if name == "cuda":
        yield Place(torch.device("cuda", 0), {"accelerator": "gpu", "devices": 1})
    else:
        with card() as device:
            yield Place(device, card_trainer_options())


def fetched(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's numbers on the CPU, from either place."""
    tensor = tensor.detach()
    return tensor.inner if isinstance(tensor, CardTensor) else tensor.cpu()
