"""What a run was made of, as class paths and arguments: what `pinnlab.load` builds problem and network from again."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from pinnlab.networks import ByUnknown
from pinnlab.problems.base import Problem


class NotDescribable(Exception):
    """Something has no words that it could be built from again; the message says why."""


def description(problem: Problem, network: Any, **options: bool | int | str) -> dict[str, Any]:
    """A recipe's keys `problem` and `model` of a module; primitives only, for a checkpoint.

    Args:
        problem: what is solved.
        network: as `PINN` was given it.
        options: those of `PINN` that decide about the trial function or its derivatives.

    Returns:
        `problem` and `model.network` as class paths with arguments, and `model`'s options. What cannot be described is
        missing there, and `missing` says why.
    """
    recipe: dict[str, Any] = {"model": dict(options), "missing": {}}
    for key, owner, describe in (
        ("problem", recipe, lambda: _object(type(problem), problem.constructed_with)),
        ("network", recipe["model"], lambda: _network(network)),
    ):
        try:
            owner[key] = describe()
        except NotDescribable as reason:
            recipe["missing"][key] = str(reason)
    return recipe


def _network(network: Any) -> Any:
    if network is None:
        return None
    if isinstance(network, nn.Module):
        raise NotDescribable(f"it was given as an object, a {type(network).__name__}")
    return _value(network.networks if isinstance(network, ByUnknown) else network)


def _object(owner: Any, given: tuple[tuple[Any, ...], Mapping[str, Any]]) -> dict[str, Any]:
    """A class with the arguments that an object of it was built with."""
    path = _path(owner)
    try:
        bound = inspect.signature(owner.__init__).bind_partial(None, *given[0], **given[1])
    except (TypeError, ValueError) as error:
        raise NotDescribable(f"the arguments of {owner.__name__} cannot be told") from error
    arguments = dict(list(bound.arguments.items())[1:])
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
        elif parameter.kind is parameter.VAR_POSITIONAL and name in arguments:
            raise NotDescribable(f"{owner.__name__} takes arguments without names")
    return _spec(path, arguments)


def _spec(path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_path": path, "init_args": {name: _value(value) for name, value in arguments.items()}}


def _value(value: Any) -> Any:
    """A primitive value, or the description of a class, of a function or of one with some of its arguments."""
    if isinstance(value, np.generic):
        return _value(value.item())
    for kind in (bool, int, float, str):  # a float of NumPy is a float, but no primitive
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, Problem):
        return _object(type(value), value.constructed_with)
    if isinstance(value, functools.partial) and inspect.isclass(value.func) and not value.args:
        return _spec(_path(value.func), value.keywords)
    if inspect.isclass(value):
        return _spec(_path(value), {})
    if inspect.isfunction(value):
        return _path(value)
    raise NotDescribable(f"it has an argument of class {type(value).__name__}")


def _path(target: Any) -> str:
    """The dotted path of a class or function that Python imports by it."""
    found: Any = sys.modules.get(target.__module__)
    for name in target.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not target or target.__module__ == "__main__":
        raise NotDescribable(f"{target.__qualname__} is in no module that can be imported")
    return f"{target.__module__}.{target.__qualname__}"


class KeepsArguments:
    """A class whose objects know what they were built with, so that one like it can be built for another problem."""

    constructed_with: dict[str, Any]
    """The arguments by name, without those left out."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Keeps the arguments; `copy` and `pickle` give none, and bring those of before."""
        made = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind_partial(None, *arguments, **named).arguments
        except TypeError:  # a wrong call is the constructor's to refuse
            bound = {"self": None, **named}
        made.__dict__["constructed_with"] = dict(list(bound.items())[1:])
        return made
