"""Where the tests of devices compute: on a card that is not there, always, and on a GPU with `pytest -m cuda`."""

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
