"""Optimizers, phases and networks in a few words."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from pinnlab.networks.scaling import network_in_words
from pinnlab.problems.window import Window


def optimizer_in_words(build: Any) -> str:
    """What builds an optimizer, as a call: a class, a `functools.partial` of one, or another function by its name.

    Examples:
        >>> import functools, torch
        >>> optimizer_in_words(functools.partial(torch.optim.Adam, lr=0.005))
        'Adam(lr=0.005)'
    """
    if not isinstance(build, functools.partial):
        return getattr(build, "__name__", type(build).__name__)
    # A recipe's class is the argument of a function that builds it; it comes with all options, defaults included.
    kind = next((argument for argument in build.args if isinstance(argument, type)), build.func)
    told = {key: value for key, value in build.keywords.items() if not _is_default(kind, key, value)}
    arguments = ", ".join(f"{key}={_short(value)}" for key, value in told.items())
    return f"{optimizer_in_words(kind)}({arguments})" if arguments else optimizer_in_words(kind)


def phase_in_words(phase: Any) -> str:
    """A `Phase` as a call, without the options that it leaves as they are."""
    own = {field.name: (getattr(phase, field.name), field.default) for field in dataclasses.fields(phase)}
    options = {name: value for name, (value, default) in own.items() if name != "optimizer" and value != default}
    if "scheduler" in options:
        options["scheduler"] = optimizer_in_words(options["scheduler"])
    told = [f"{name}={value}" for name, value in options.items()]
    return f"Phase({', '.join([optimizer_in_words(phase.optimizer), *told])})"


def start_lines(module: Any, points: Mapping[str, int]) -> list[str]:
    """What a run is about, in four lines: problem, network, points, phases.

    Args:
        module: the `PINN`.
        points: how many each condition has.
    """
    dtype = str(module.dtype).removeprefix("torch.")
    phases = ", then ".join(map(_length_of, module.phases))
    return [
        f"problem  {module.problem.whole if isinstance(module.problem, Window) else module.problem!r}",
        f"network  {network_in_words(module.trial.network)}, {dtype} on {module.device}",
        f"points   {counts_in_words(points)}",
        f"phases   {phases}",
    ]


def module_in_words(module: Any, seed: int) -> dict[str, Any]:
    """What a `PINN` is, by name, in primitives.

    Args:
        module: the `PINN`.
        seed: of its network.
    """
    return {
        "problem": module.problem.name,
        "network": network_in_words(module.trial.network),
        "phases": ", ".join(map(phase_in_words, module.phases)),
        "dtype": str(module.dtype).removeprefix("torch."),
        "seed": seed,
    }


def in_one(words: Mapping[str, str]) -> str:
    """Words by name: one of them where all are the same.

    Examples:
        >>> in_one({"pde": "Sobol()", "boundary": "Sobol()"}), in_one({"pde": "Grid()", "boundary": "Sobol()"})
        ('Sobol()', 'pde Grid(), boundary Sobol()')
    """
    same = set(words.values())
    return same.pop() if len(same) == 1 else ", ".join(f"{name} {word}" for name, word in words.items())


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Numbers by name.

    Examples:
        >>> counts_in_words({"pde": 1000, "boundary": 2})
        'pde 1,000, boundary 2'
    """
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _length_of(phase: Any) -> str:
    """A phase's optimizer, and how long it goes on."""
    several = "" if phase.updates == 1 else f" of {phase.updates} updates"
    steps = "" if phase.steps is None else f" {phase.steps:,} steps{several}"
    until = "" if phase.until is None else f" until {type(phase.until).__name__}"
    return f"{optimizer_in_words(phase.optimizer)}{steps}{' or' if steps and until else ''}{until}"


def _is_default(kind: Any, key: str, value: Any) -> bool:
    """Whether an option is what a class has without it; also where it is an object that looks like the default."""
    parameters = inspect.signature(kind).parameters
    return key in parameters and _short(parameters[key].default) == _short(value)


def _short(value: Any) -> str:
    if isinstance(value, list) and value and all(map(callable, value)):  # what a scheduler is made of
        return f"[{', '.join(map(optimizer_in_words, value))}]"
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__}(...)"
