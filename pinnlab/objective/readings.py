"""What a problem's functions read beside their arguments: numbers, flags and tables that somebody may change in a run.

A compiled function takes whatever it closes over for constants. So the places that the functions of a problem read are
looked at before every step. A number or tensor that changes becomes an argument of the compiled functions, and costs
nothing from then on; anything else has them compiled anew.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from pinnlab.domains import Region
from pinnlab.errors import unknown
from pinnlab.objective.trial_function import Trial, device_of
from pinnlab.problems.base import Problem

MOST = 2000
"""Places that are looked at, the nearest ones first; a look at so many takes 0.2 ms."""

LONG = 500
"""Entries of a list or mapping up to which each is a place; of a longer one only its length is seen."""

_SMALL = 4096
"""Bytes of an array of NumPy up to which a change in place is seen; tensors count such changes themselves."""

_NUMBERS = (bool, int, float, complex, str, bytes, np.number, type(None))
_ROWS = (list, tuple, set, collections.deque)
_DATA = (*_NUMBERS, *_ROWS, Tensor, np.ndarray, dict, types.SimpleNamespace, functools.partial, nn.Module)
_METHODS = (staticmethod, classmethod, property, functools.cached_property)
_OPAQUE = (Region, Trial, types.ModuleType, np.ndarray, Tensor, *_NUMBERS)
_FOREIGN = ("torch", "numpy", "scipy", "builtins", "math", "functools", "lightning", "collections", "typing")


@dataclass(frozen=True, eq=False)
class Reading:
    """One place: an attribute, an entry of a list or mapping, a variable of a closure, a global name.

    Attributes:
        name: the way to it, such as `viscosity` or `material.table`.
        get: its value.
        set: gives it another one.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], None]


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
        places = {place.name: place for place in _walk(self._problem)}
        self._varying = {name: places[name] for name in state["_varying"]}
        self.settle()

    def settle(self) -> None:
        """Takes things as they are: what was changed so far is no change."""
        self._places = _walk(self._problem)
        self._seen = [_state(place.get()) for place in self._places]
        self._fill()

    def look(self) -> list[str]:
        """The names of the places that changed since the last look."""
        changed = [
            place for place, before in zip(self._places, self._seen, strict=True) if not _same(before, place.get())
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
        known = {name for name, place in self._varying.items() if _is_number(place.get())}
        if len(known) < len(self._varying):  # None by now, or a function
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


def _state(value: Any) -> Any:
    """What a value is compared by later."""
    if isinstance(value, Tensor):
        return value, None if value.is_inference() else value._version
    if isinstance(value, np.ndarray):
        return value, value.tobytes() if value.nbytes <= _SMALL else None
    if isinstance(value, (*_ROWS, dict)):
        return value, len(value)
    return (value,)


def _same(before: Any, value: Any) -> bool:
    if value is before[0]:
        return len(before) == 1 or before[1:] == _state(value)[1:]
    simple = isinstance(value, _NUMBERS) and type(value) is type(before[0])
    return simple and (value == before[0] or (value != value and before[0] != before[0]))


def _walk(problem: Problem) -> list[Reading]:
    """All places, each once, in an order that depends on the problem only."""
    found = _Places()
    found.follow("", problem)
    return found.collected()


class _Places:
    """Collects the places under an object, level by level; what was seen is not followed twice."""

    def __init__(self) -> None:
        self._places: dict[str, Reading] = {}
        self._known: set[tuple[int, str]] = set()
        self._followed: dict[int, Any] = {}  # kept alive, so that numbers stay unique
        self._waiting: collections.deque[tuple[str, Any]] = collections.deque()

    def follow(self, name: str, value: Any) -> None:
        """Has the places inside of a value collected, too."""
        if not isinstance(value, _OPAQUE) and id(value) not in self._followed:
            self._followed[id(value)] = value
            self._waiting.append((name, value))

    def collected(self) -> list[Reading]:
        """The places under what was to be followed."""
        while self._waiting and len(self._places) < MOST:
            self._inside(*self._waiting.popleft())
        return list(self._places.values())[:MOST]

    def _add(self, name: str, owner: Any, key: str, get: Callable[[], Any], set_: Callable[[Any], None]) -> None:
        if (id(owner), key) in self._known:
            return
        self._known.add((id(owner), key))
        own, count = name, 1
        while own in self._places:  # variables of two functions, say
            count += 1
            own = f"{name} ({count})"
        self._places[own] = Reading(own, get, set_)
        self.follow(own, get())

    def _inside(self, name: str, value: Any) -> None:
        if isinstance(value, functools.partial):
            self.follow(name, value.func)
            self._entries(name, value.keywords)
            self._items(name, value.args)
        elif isinstance(value, types.MethodType):
            self.follow(name, value.__func__)
            self.follow(name, value.__self__)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, _METHODS):
            for part in ("__func__", "fget", "func"):
                self.follow(name, getattr(value, part, None))
        elif isinstance(value, dict):
            self._entries(name, value)
        elif isinstance(value, _ROWS):
            self._items(name, value)
        elif isinstance(value, type):
            self._class(name, value, value)
        elif not _is_of(type(value), _FOREIGN) or isinstance(value, nn.Module):
            self._attributes(name, value)

    def _attributes(self, name: str, owner: Any) -> None:
        """An object's own attributes, and those that it has from its class."""
        skipped = ("wanted", "domain", "constructed_with", "_named") if isinstance(owner, Problem) else ()
        self._entries(name, getattr(owner, "__dict__", {}), skipped)
        self._class(name, owner, type(owner))

    def _class(self, name: str, owner: Any, kind: type) -> None:
        """What a class of the user's, and those that it is derived from, give to an object or are asked for by name."""
        own: Any = getattr(owner, "__dict__", {}) if owner is not kind else {}
        for base in [base for base in kind.__mro__ if _is_users(base)]:
            for key, value in vars(base).items():
                if isinstance(value, (types.FunctionType, *_METHODS)):
                    self.follow(_joined(name, key), value)
                elif isinstance(value, types.MemberDescriptorType):  # of `__slots__`
                    if owner is not kind and hasattr(owner, key):
                        self._add(_joined(name, key), owner, key, *_attribute(owner, key, owner))
                elif not key.startswith("__") and key not in own and _is_followed(value, kind.__module__):
                    self._add(_joined(name, key), owner, key, *_attribute(owner, key, base))

    def _entries(self, name: str, mapping: dict[Any, Any], skipped: tuple[str, ...] = ()) -> None:
        for key in list(mapping) if len(mapping) <= LONG else ():
            if key not in skipped:
                self._add(_joined(name, str(key)), mapping, repr(key), *_item(mapping, key))

    def _items(self, name: str, items: Any) -> None:
        for i, item in enumerate(items) if len(items) <= LONG else ():
            if isinstance(items, (list, collections.deque)):
                self._add(_joined(name, str(i)), items, str(i), *_item(items, i))
            else:
                self.follow(_joined(name, str(i)), item)

    def _function(self, function: types.FunctionType) -> None:
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # a variable that has no value yet
                _ = cell.cell_contents
                self._add(key, cell, key, *_cell(cell))
        self._items(function.__name__, function.__defaults__ or ())
        self._entries(function.__name__, function.__kwdefaults__ or {})
        if _is_users(function):
            self._named("", function.__module__, function.__globals__, _names(function.__code__))

    def _named(self, name: str, module: str | None, scope: dict[str, Any], names: list[str]) -> None:
        """What a function asks a module for by name, and the user's modules in it, as `settings.viscosity`."""
        for key in [key for key in names if key in scope]:
            value = scope[key]
            if not isinstance(value, types.ModuleType):
                if _is_followed(value, module):
                    self._add(_joined(name, key), scope, key, *_item(scope, key))
            elif id(value) not in self._followed and not _is_installed(value.__name__):
                self._followed[id(value)] = value
                self._named(_joined(name, key), value.__name__, vars(value), names)


def _is_followed(value: Any, module: str | None) -> bool:
    """Whether something that a module has is data, or a function, a class or an object of the user's."""
    if isinstance(value, _DATA):
        return not any(_is_of(base, {"lightning"}) for base in type(value).__mro__)  # that trains, and is not read
    if isinstance(value, (types.FunctionType, type)):
        return value.__module__ == module or (_is_users(value) and not _is_installed(value.__module__))
    return _is_users(type(value)) and not isinstance(value, _OPAQUE)


def _is_users(value: Any) -> bool:
    """Whether a function or a class is of none of the packages that are known here, nor Python's."""
    return not _is_of(value, {"pinnlab", *_FOREIGN, *sys.stdlib_module_names})


def _is_of(value: Any, packages: Collection[str]) -> bool:
    return (value.__module__ or "").partition(".")[0] in packages  # a function that `exec` made is of none


def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to a package that was installed: nobody changes its variables."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file


def _names(code: types.CodeType) -> list[str]:
    """The global names that code speaks of, its inner functions' included, and other names besides."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return [*code.co_names, *inner]


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _item(container: Any, key: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return functools.partial(_get, container, key), functools.partial(container.__setitem__, key)


def _get(container: Any, key: Any) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    return container[key] if key < len(container) else None


def _attribute(owner: Any, key: str, holder: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """How an object's attribute is read, and set on what holds it, which may be its class."""
    return functools.partial(getattr, owner, key), functools.partial(setattr, holder, key)


def _cell(cell: types.CellType) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return functools.partial(getattr, cell, "cell_contents"), functools.partial(setattr, cell, "cell_contents")
