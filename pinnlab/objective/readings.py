"""What a problem's functions read beside their arguments: numbers, flags and tables that somebody may change in a run.

A compiled function takes whatever it closes over for constants. So the places that the functions of a problem read are
looked at before every step. A number or tensor that changes becomes an argument of the compiled functions, and costs
nothing from then on; anything else has them compiled anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from pinnlab.errors import unknown
from pinnlab.objective.places import CONTAINERS, NUMBERS, Reading, places_of
from pinnlab.objective.trial_function import Trial, device_of
from pinnlab.problems.base import Problem

_SMALL = 4096
"""Bytes of an array of NumPy up to which a change in place is seen; tensors count such changes themselves."""


class Readings:
    """The places that a problem's functions read.

    Args:
        problem: its attributes, the functions of its conditions, what these close over, and so on.
        trial: gets a buffer for each number that becomes an argument of compiled functions.

    Attributes:
        version: counts the looks that found a change.
        announced: names of the places whose changes were announced by `vary`.
    """

    def __init__(self, problem: Problem, trial: Trial) -> None:
        self._problem, self._trial = problem, trial
        self._varying: dict[str, Reading] = {}
        self.version = 0
        self.announced: set[str] = set()
        self.settle()

    def __getstate__(self) -> dict[str, Any]:
        """Without the places: the variables of a closure can be neither copied nor pickled."""
        return {**vars(self), "_places": [], "_seen": [], "_varying": list(self._varying)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Finds the places in the copy of the problem."""
        vars(self).update(state)
        places = {place.name: place for place in places_of(self._problem)}
        self._varying = {name: places[name] for name in state["_varying"]}
        self.settle()

    def settle(self) -> None:
        """Takes things as they are: what was changed so far is no change."""
        self._places = places_of(self._problem)
        self._seen = [_state(place) for place in self._places]
        self._fill()

    def look(self) -> list[str]:
        """The names of the places that changed since the last look."""
        changed = [
            place
            for place, before in zip(self._places, self._seen, strict=True)
            if ((value := place.get()) is not before[0] or len(before) > 1) and not _same(before, value)
        ]
        if changed:
            self.version += 1
            self.settle()
        return [place.name for place in changed]

    def numbers(self) -> dict[str, Any]:
        """The numbers, flags and words that the functions read, by name."""
        places = ((place.name, place.get()) for place in self._places)
        return {name: value for name, value in places if isinstance(value, (bool, int, float, str))}

    def vary(self, name: str) -> None:
        """Announces that a number will change: it is an argument of compiled functions from the start.

        Raises:
            ConfigurationError: the problem's functions read no such number or tensor.
        """
        known = {place.name: place for place in self._places if _is_number(place.get())}
        if name not in known:
            raise unknown(f"number of problem {self._problem.name}", name, known)
        self.announced.add(name)
        self._make_argument(known[name])

    def make_arguments(self, names: list[str]) -> bool:
        """Makes arguments of compiled functions of places that have changed.

        Args:
            names: what `look` returned.

        Returns:
            Whether all of them were arguments already, so that nothing is to be compiled anew; False also where one
            cannot be an argument.
        """
        known = {place.name for place in self._places if place.name in self._varying and _is_number(place.get())}
        if len(known) < len(self._varying):  # None by now, or a function, or gone
            self._keep(known)
        for place in self._places:
            if place.name in names and _is_number(place.get()):
                self._make_argument(place)
        return set(names) <= known

    def substituted(self, values: Mapping[str, Tensor] | None) -> contextlib.AbstractContextManager[None]:
        """While a function is traced, lets the problem's functions read its arguments in place of their own numbers.

        Args:
            values: the tensors by name that `Trial.tensors` has; what is not among them stays.
        """
        if not self._varying or values is None or get_proxy_mode() is None:
            return contextlib.nullcontext()
        return self._substituted([(place, values[key]) for key, place in self._keys() if key in values])

    @contextlib.contextmanager
    def _substituted(self, given: list[tuple[Reading, Tensor]]) -> Iterator[None]:
        own = [(place, place.get()) for place, _ in given]
        try:
            for place, value in given:
                place.set(value)
            yield
        finally:
            for place, value in own:
                place.set(value)

    def _keys(self) -> Iterator[tuple[str, Reading]]:
        return ((f"varying.{number}", place) for number, place in enumerate(self._varying.values()))

    def _keep(self, names: Collection[str]) -> None:
        """Leaves arguments of these names only."""
        kept = [place for name, place in self._varying.items() if name in names]
        self._varying, self._trial.varying = {}, nn.Module()
        for place in kept:
            self._make_argument(place)

    def _make_argument(self, place: Reading) -> None:
        if place.name not in self._varying:
            # Beside the parameters: compiled code for a GPU has numbers of the CPU as they were when it was recorded.
            value = _tensor(place.get()).clone().to(device_of(self._trial))
            self._trial.varying.register_buffer(str(len(self._varying)), value, persistent=False)
            self._varying[place.name] = place

    def _fill(self) -> None:
        """Writes the numbers into their buffers, in the precision and on the device that these have."""
        places = {place.name: place for place in self._places}
        for number, name in enumerate(self._varying):
            if name in places and _is_number(value := places[name].get()):
                self._varying[name] = places[name]
                _put(self._trial.varying, str(number), _tensor(value))


def _tensor(value: float | Tensor) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    buffer = module.get_buffer(name)
    if buffer.shape == value.shape:
        buffer.copy_(value)
    else:  # another table: compiled functions have a graph for each shape
        module.register_buffer(name, value.clone().to(buffer), persistent=False)


def _is_number(value: Any) -> bool:
    """Whether it can be an argument of a compiled function; integers and flags decide about the graph itself."""
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def _state(place: Reading) -> tuple[Any, ...]:
    """What a place is compared by later: its value, and what tells whether that was changed in place."""
    value = place.get()
    if isinstance(value, (Tensor, np.ndarray)) or (place.counted and isinstance(value, CONTAINERS)):
        return value, _mark(value)
    return (value,)


def _mark(value: Any) -> Any:
    if isinstance(value, Tensor):
        return None if value.is_inference() else value._version
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.nbytes <= _SMALL else None
    return len(value)


def _same(before: tuple[Any, ...], value: Any) -> bool:
    if value is before[0]:
        return len(before) == 1 or before[1] == _mark(value)
    simple = isinstance(value, NUMBERS) and type(value) is type(before[0])
    return simple and (value == before[0] or (value != value and before[0] != before[0]))
