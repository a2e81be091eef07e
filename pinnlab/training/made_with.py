"""What a run is made with, in words: what a checkpoint keeps, so that going on with something else is told."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError
from pinnlab.objective.readings import Readings
from pinnlab.problems.base import Problem

OTHER_PROBLEM = (
    "data.problem: is another object than the module's; write CollocationDataModule(module.problem, ...), and to copy "
    "both copy.deepcopy((module, data))"
)
"""What is told where module and data have to have one problem."""

_DEPTH = 4  # of objects within objects; a criterion in a criterion in a criterion is seen
_LATER = ("model.enhance.", "model.dtype")  # keys of which checkpoints of earlier versions say nothing
_PLAIN = (bool, int, float, str, type(None))


def made_with(module: Any, data: Any) -> dict[str, str]:
    """Problem with its arguments, network, weights, phases and points of a run, by the keys that a recipe has.

    Args:
        module: the `PINN`.
        data: its data module; None for none.
    """
    problem: Problem = module.problem
    found = dict(_problem(problem, module.system.readings))
    for name, part in module.trial.network.named_modules():
        found[".".join(filter(None, ["model.network", name]))] = in_words(part, 1)
    for name, weight in zip(problem.conditions, module.weights.own.tolist(), strict=True):
        found[f"model.weights.{name}"] = in_words(weight)
    for name, enhancement in module.system.enhancements.items():
        by = {" ".join(problem.coordinates[i] for i in index): weight for index, weight in enhancement.weights.items()}
        found[f"model.enhance.{name}"] = in_words(by)
    found["model.dtype"] = str(module.own_dtype).removeprefix("torch.")
    for number, phase in enumerate(module.phases):
        for key in ("optimizer", "steps", "until", "scheduler", "width", "dtype", "points", "updates"):
            value = phase.sample_optimizer() if key == "optimizer" else getattr(phase, key)
            found[f"model.phases.{number}.{key}"] = in_words(value)
    for name in getattr(data, "counts", {}):
        found[f"data.points.{name}"] = in_words(data.counts[name])
        found[f"data.samplers.{name}"] = in_words(data.samplers[name])
    for key in ("batch_size", "overlap", "seed"):
        if hasattr(data, key):
            found[f"data.{key}"] = in_words(getattr(data, key))
    return found


def check_measured(module: Any, data: Any) -> None:
    """Refuses data of a problem that is not the module's: errors would be measured against its reference.

    A copy will do, where training needs the same object, whose numbers may change on the way.

    Args:
        module: the `PINN`.
        data: its data module; None for none.

    Raises:
        ConfigurationError: the class of its problem is another one, as of a cell that was run again, or a number.
    """
    own: Problem = module.problem
    other = getattr(data, "problem", own)
    if other is own:
        return
    words, others = (dict(_problem(problem, Readings(problem, module.trial))) for problem in (own, other))
    if type(other) is not type(own) or words != others:
        raise ConfigurationError(OTHER_PROBLEM)


def differences(saved: Mapping[str, str], own: Mapping[str, str], prefixes: tuple[str, ...]) -> list[str]:
    """One line for each key on which a checkpoint's run and this one differ.

    A number of the problem of which the checkpoint says nothing changed by itself there, as by a `Continuation`; a look
    at the checkpoint needs none. Neither do keys count that came later than the checkpoint. Objects of one class are
    compared in what both sides know of them: an option that came with a later version, or went, makes no difference. Of
    a scheduler only what was written is known, so it is compared as a whole.

    Args:
        saved: `made_with` of the checkpoint's run.
        own: that of this run.
        prefixes: of the keys to look at.
    """
    keys = [key for key in {**saved, **own} if key.startswith(prefixes)]
    none = "nothing"
    return [
        f"{_of_the_user(key)}: {saved.get(key, none)} in the checkpoint, {own.get(key, none)} in this run"
        for key in keys
        if not _alike(key, saved.get(key, none), own.get(key, none))
        and (key in saved or not (_is_number_of_problem(key) or key.startswith(_LATER) or key.endswith(".updates")))
    ]


def _of_the_user(key: str) -> str:
    """The key as a recipe has it: the numbers of a window of a problem are those of the whole of it."""
    return re.sub(r"^problem\.(whole\.)+", "problem.", key)


def _alike(key: str, saved: str, own: str) -> bool:
    """Whether the words of a key in two runs say the same."""
    if saved == own or key.endswith(".scheduler"):
        return saved == own
    (name, before), (own_name, now) = _taken_apart(saved), _taken_apart(own)
    return bool(name) and name == own_name and all(_alike(key, before[k], now[k]) for k in before.keys() & now.keys())


def _taken_apart(words: str) -> tuple[str, dict[str, str]]:
    """The name of an object in words and its attributes, as `_named` joined them; no name for anything else."""
    try:
        call = ast.parse(words, mode="eval").body
    except SyntaxError:  # the words of some values are no expression
        return "", {}
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        return "", {}
    return call.func.id, {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}


def _is_number_of_problem(key: str) -> bool:
    """Whether a key of `made_with` is one that the problem's functions read."""
    return key.startswith("problem.") and not key.startswith(("problem.conditions.", "problem.domain"))


def _problem(problem: Problem, readings: Readings) -> Iterator[tuple[str, str]]:
    """Its class and domain, and the numbers that its functions read, but for those that change by themselves."""
    yield "problem", type(problem).__name__
    for name, value in readings.numbers().items():
        private = any(part.startswith("_") for part in name.split("."))
        if name not in readings.announced and not name.startswith("conditions.") and not private:
            yield f"problem.{name}", in_words(value)
    for name, coefficient in problem.coefficients.items():  # they decide what the parameter means
        ends = coefficient.bounds
        yield f"problem.coefficients.{name}.bounds", in_words(None if ends is None else [float(end) for end in ends])
    yield "problem.domain", repr(problem.domain)
    for name, condition in problem.conditions.items():
        yield f"problem.conditions.{name}", f"{type(condition).__name__} on {condition.region!r}"


def in_words(value: Any, depth: int = _DEPTH) -> str:
    """A value so that equal ones look alike: numbers to the last digit, objects by class and public attributes."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(in_words(item, depth) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {in_words(item, depth)}' for key, item in value.items())}}}"
    if isinstance(value, functools.partial):
        return _named(in_words(value.func, depth), value.keywords, depth)
    if isinstance(value, Region):
        return repr(value)
    name = getattr(value, "__qualname__", None)
    if name is not None:  # a class or function
        return str(name)
    if depth == 0:
        return type(value).__name__
    return _named(type(value).__name__, _attributes(value), depth - 1)


def _attributes(value: Any) -> dict[str, Any]:
    """What tells an object from another one of its class; of an optimizer what it was given."""
    if hasattr(value, "param_groups"):
        group = value.param_groups[0]
        own = {k: v for k, v in vars(value).items() if k not in ("defaults", "param_groups", "state", "status", "loss")}
        given = {**_public(own), **{k: v for k, v in group.items() if k != "params"}}
        known = (*_PLAIN, tuple)
        return {k: v for k, v in given.items() if isinstance(v, known) or type(v).__module__.startswith("pinnlab")}
    if isinstance(value, nn.Module):
        return {k: v for k, v in _public(vars(value)).items() if k != "training" and not isinstance(v, nn.Module)}
    return _public(getattr(value, "__dict__", {}))


def _public(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not name.startswith("_")}


def _named(name: str, attributes: Mapping[str, Any], depth: int) -> str:
    return f"{name}({', '.join(f'{key}={in_words(item, depth)}' for key, item in sorted(attributes.items()))})"
