"""Where a problem's functions find what they read: attributes, variables, entries of lists and mappings, globals."""

from __future__ import annotations

import collections
import contextlib
import functools
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from pinnlab.domains import Region
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem

MOST = 2000
"""Places that are looked at, the nearest ones first; a look at so many takes 0.2 ms."""

LONG = 500
"""Entries of a list or mapping up to which each is a place; of a longer one only its length is seen."""

NUMBERS = (bool, int, float, complex, str, bytes, np.number, type(None))
CONTAINERS = (list, tuple, set, collections.deque, dict)

_ROWS = (list, tuple, set, collections.deque)
_DATA = (*NUMBERS, *CONTAINERS, Tensor, np.ndarray, types.SimpleNamespace, functools.partial, nn.Module)
_METHODS = (staticmethod, classmethod, property, functools.cached_property)
_OPAQUE = (Region, Trial, types.ModuleType, np.ndarray, Tensor, *NUMBERS)
_FOREIGN = ("torch", "numpy", "scipy", "builtins", "math", "functools", "lightning", "collections", "typing")
_MAKING = ("__init__", "__new__", "__post_init__")
_Access = tuple[Callable[[], Any], Callable[[Any], None]]


@dataclass(frozen=True, eq=False)
class Reading:
    """One place: an attribute, an entry of a list or mapping, a variable of a closure, a global name.

    Attributes:
        name: the way to it, such as `viscosity` or `material.table`.
        get: its value; None where there is none any more.
        set: gives it another one.
        counted: whether a container that is there is another one when its length is: not the record of a run, which
            no function of the conditions speaks of.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], None]
    counted: bool


def places_of(problem: Problem) -> list[Reading]:
    """All places that a problem's functions may read, each once, in an order that depends on the problem only.

    Nothing of the user's is called on the way, neither properties nor other descriptors.
    """
    found = _Places(_package(type(problem)))
    found.follow(_Way("", "", None), problem)
    return found.collected()


class _Way(NamedTuple):
    """How a place is reached.

    Attributes:
        name: attributes and entries, joined.
        full: the same, from the function or module that a variable belongs to.
        asked: the name by which functions ask for it, or for the container that has it; None: no name is needed.
    """

    name: str
    full: str
    asked: str | None

    def entry(self, key: str) -> _Way:
        return _Way(_joined(self.name, key), _joined(self.full, key), self.asked)

    def attribute(self, key: str) -> _Way:
        return self.entry(key)._replace(asked=key)

    def is_asked(self, names: Collection[str]) -> bool:
        """Whether functions that speak of these names, or the framework, ask for it."""
        key = self.asked or "__call__"
        by_framework = key.startswith("__") or hasattr(Problem, key) or self.name.startswith("conditions.")
        return key not in _MAKING and (by_framework or key in names)


class _Places:
    """Collects the places under an object, level by level; what was seen is not followed twice."""

    def __init__(self, package: str) -> None:
        self._package = package  # of the problem: the user's, even if it was installed
        self._places: list[tuple[_Way, _Access]] = []
        self._rolling: set[int] = set()  # numbers of those that are entries of a queue
        self._known: set[tuple[int, str]] = set()
        self._followed: dict[int, Any] = {}  # kept alive, so that numbers stay unique
        self._functions: list[tuple[_Way, types.FunctionType]] = []
        self._waiting: collections.deque[tuple[_Way, Any]] = collections.deque()

    def follow(self, way: _Way, value: Any) -> None:
        """Has the places inside of a value collected, too."""
        if isinstance(value, types.FunctionType):
            self._functions.append((way, value))
        if not isinstance(value, _OPAQUE) and id(value) not in self._followed:
            self._followed[id(value)] = value
            self._waiting.append((way, value))

    def collected(self) -> list[Reading]:
        """The places under what was to be followed."""
        while self._waiting and len(self._places) < MOST:
            self._inside(*self._waiting.popleft())
        names, asked = self._names(), self._asked()
        return [
            Reading(name, *access, way.is_asked(asked))
            for number, (name, (way, access)) in enumerate(zip(names, self._places, strict=True))
            if number not in self._rolling or way.is_asked(asked)
        ][:MOST]

    def _names(self) -> list[str]:
        """Names that differ; where variables are called like other places, with what they belong to."""
        short = collections.Counter(way.name for way, _ in self._places)
        names, taken = [], collections.Counter[str]()
        for way, _ in self._places:
            name = way.name if short[way.name] == 1 else way.full
            taken[name] += 1
            names.append(name if taken[name] == 1 else f"{name} ({taken[name]})")
        return names

    def _asked(self) -> set[str]:
        """The names that functions of the conditions speak of, and functions that go by these names, and so on."""
        asked: set[str] = set()
        waiting = self._functions
        while called := [function for way, function in waiting if way.is_asked(asked)]:
            waiting = [(way, function) for way, function in waiting if not way.is_asked(asked)]
            for function in called:
                asked.update(_spoken(function.__code__))
        return asked

    def _add(self, way: _Way, owner: Any, key: str, access: _Access) -> None:
        if (id(owner), key) not in self._known:
            self._known.add((id(owner), key))
            if isinstance(owner, collections.deque):
                self._rolling.add(len(self._places))
            self._places.append((way, access))
            self.follow(way, access[0]())

    def _inside(self, way: _Way, value: Any) -> None:
        if isinstance(value, functools.partial):
            self.follow(way, value.func)
            self._entries(way, value.keywords)
            self._items(way, value.args)
        elif isinstance(value, types.MethodType):
            self.follow(way, value.__func__)
            self.follow(way, value.__self__)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, _METHODS):
            for part in ("__func__", "fget", "func"):
                self.follow(way, getattr(value, part, None))
        elif isinstance(value, dict):
            self._entries(way, value)
        elif isinstance(value, _ROWS):
            self._items(way, value)
        elif isinstance(value, type):
            self._class(way, value, value, {})
        elif not _is_of(type(value), _FOREIGN) or isinstance(value, nn.Module):
            self._attributes(way, value)

    def _attributes(self, way: _Way, owner: Any) -> None:
        """An object's own attributes, and those that it has from its class."""
        skipped = ("wanted", "domain", "constructed_with", "_named") if isinstance(owner, Problem) else ()
        own: dict[str, Any] = {}
        with contextlib.suppress(Exception):  # slots only, or what stands in for another object
            own = owner.__dict__
        for key in [key for key in own if key not in skipped]:
            self._add(way.attribute(key), own, repr(key), _item(own, key))
        self._class(way, owner, type(owner), own)

    def _class(self, way: _Way, owner: Any, kind: type, own: dict[str, Any]) -> None:
        """What a class of the user's, and those that it is derived from, give to an object or are asked for by name."""
        for base in [base for base in kind.__mro__ if self._is_own(base)]:
            for key, value in vars(base).items():
                if isinstance(value, types.MemberDescriptorType):  # of `__slots__`
                    if owner is not kind:
                        self._add(way.attribute(key), owner, key, _slot(value, owner))
                elif hasattr(type(value), "__get__") and not isinstance(value, _DATA):
                    self.follow(way.attribute(key), value)
                elif not key.startswith("__") and key not in own and _is_followed(value, kind.__module__):
                    self._add(way.attribute(key), owner, key, _inherited(own, kind, base, key))

    def _is_own(self, kind: type) -> bool:
        """Whether a class is of the user's: attributes of others are theirs, and may be anything when asked for."""
        return _is_users(kind) and (_package(kind) == self._package or not _is_installed(kind.__module__))

    def _entries(self, way: _Way, mapping: dict[Any, Any]) -> None:
        for key in list(mapping) if len(mapping) <= LONG else ():
            self._add(way.entry(str(key)), mapping, repr(key), _item(mapping, key))

    def _items(self, way: _Way, items: Any) -> None:
        for i, item in enumerate(items) if len(items) <= LONG else ():
            if isinstance(items, (list, collections.deque)):
                self._add(way.entry(str(i)), items, str(i), _item(items, i))
            else:
                self.follow(way.entry(str(i)), item)

    def _function(self, function: types.FunctionType) -> None:
        name = function.__name__
        outer, _, inner = function.__qualname__.rpartition(".<locals>.")
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if key != "__class__":  # of `super()`: what it has is the object's own
                with contextlib.suppress(ValueError):  # a variable that has no value yet
                    _ = cell.cell_contents
                    self._add(_Way(key, _joined(_plain(outer or inner), key), key), cell, key, _cell(cell))
        way = _Way(name, _plain(function.__qualname__), None)
        self._items(way, function.__defaults__ or ())
        self._entries(way, function.__kwdefaults__ or {})
        if _is_users(function):
            module = function.__module__
            start = _Way("", _plain(module or "globals"), None)
            self._named(start, module, function.__globals__, _spoken(function.__code__))

    def _named(self, way: _Way, module: str | None, scope: dict[str, Any], names: list[str]) -> None:
        """What a function asks a module for by name, and the user's modules in it, as `settings.viscosity`."""
        for key in [key for key in names if key in scope]:
            value = scope[key]
            if not isinstance(value, types.ModuleType):
                if _is_followed(value, module):
                    self._add(way.attribute(key), scope, key, _item(scope, key))
            elif id(value) not in self._followed and not _is_installed(value.__name__):
                self._followed[id(value)] = value
                self._named(way.attribute(key), value.__name__, vars(value), names)


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
    return _package(value) in packages


def _package(value: Any) -> str:
    return (value.__module__ or "").partition(".")[0]  # a function that `exec` made is of none


def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to a package that was installed: nobody changes its variables."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file


def _spoken(code: types.CodeType) -> list[str]:
    """The names that code speaks of, its inner functions' included: globals, attributes, variables, words."""
    words = [word for word in code.co_consts if isinstance(word, str)]
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _spoken(part)]
    return [*code.co_names, *code.co_freevars, *words, *inner]


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _plain(owner: str) -> str:
    """A function's or module's name without what marks names as private, which numbers of checkpoints are not."""
    parts = (part.strip("_<>") for part in owner.split("."))
    return ".".join(part for part in parts if part and part != "locals")


def _item(container: Any, key: Any) -> _Access:
    get = functools.partial(dict.get if isinstance(container, dict) else _at, container, key)
    return get, functools.partial(container.__setitem__, key)


def _at(items: Any, number: int) -> Any:
    return items[number] if number < len(items) else None


def _inherited(own: Mapping[str, Any], kind: type, base: type, key: str) -> _Access:
    """What an object, or a class itself, has from a class; it is set there."""
    scopes = (own, *(vars(scope) for scope in kind.__mro__))
    return functools.partial(_first, scopes, key), functools.partial(setattr, base, key)


def _first(scopes: tuple[Mapping[str, Any], ...], key: str) -> Any:
    for scope in scopes:
        if key in scope:
            return scope[key]
    return None


def _slot(member: Any, owner: Any) -> _Access:
    return functools.partial(_tried, member.__get__, owner), functools.partial(member.__set__, owner)


def _cell(cell: types.CellType) -> _Access:
    return functools.partial(_tried, getattr, cell, "cell_contents"), functools.partial(setattr, cell, "cell_contents")


def _tried(get: Callable[..., Any], *arguments: Any) -> Any:
    """A value that may be gone by now."""
    try:
        return get(*arguments)
    except Exception:
        return None
