"""What can be named in recipes and on the command line: classes by their short names, and shipped recipes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pinnlab.errors import unknown

RUNS = "runs"
"""The folder of all runs, unless the trainer, its logger or an option of the command has another."""

KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "problems": ("pinnlab.problems", "pinnlab.problems.base.Problem"),
        "domains": ("pinnlab.domains", "pinnlab.domains.domain.Domain"),
        "conditions": ("pinnlab.problems", "pinnlab.problems.conditions.Condition"),
        "networks": ("pinnlab.networks", "torch.nn.Module"),
        "samplers": ("pinnlab.samplers", "pinnlab.samplers.base.Sampler"),
        "optimizers": ("pinnlab.optimizers", "torch.optim.Optimizer"),
        "dampings": ("pinnlab.optimizers", "pinnlab.optimizers.damping.Damping"),
        "criteria": ("pinnlab.criteria", "pinnlab.criteria.Criterion"),
        "weight rules": ("pinnlab.objective.balancing", "pinnlab.objective.balancing.WeightRule"),
        "growth rules": ("pinnlab.training.batch_growth", "pinnlab.training.batch_growth.GrowthRule"),
        "callbacks": ("pinnlab.callbacks", "lightning.pytorch.Callback"),
    }
)
"""Each kind's package and base class."""

_FOREIGN = {
    "optimizers": ("torch.optim", "torch.optim.Optimizer"),
    "schedulers": ("torch.optim.lr_scheduler", "torch.optim.lr_scheduler.LRScheduler"),
    "own schedulers": ("pinnlab.training.schedulers", "torch.optim.lr_scheduler.LRScheduler"),
    "lightning callbacks": ("lightning.pytorch.callbacks", "lightning.pytorch.Callback"),
    "loggers": ("lightning.pytorch.loggers", "lightning.pytorch.loggers.Logger"),
    "own loggers": ("pinnlab.reporting.loggers", "lightning.pytorch.loggers.Logger"),
}

_BUILT_HERE = ("torch.optim.lr_scheduler.SequentialLR", "torch.optim.lr_scheduler.ChainedScheduler")
"""Paths of classes that want objects which no recipe can give; pinnlab's of the same name builds them."""


def classes(package: str, base: str) -> dict[str, type]:
    """The concrete public classes of a package that derive from a base, by name."""
    module_name, _, base_name = base.rpartition(".")
    base_class = getattr(importlib.import_module(module_name), base_name)
    found = inspect.getmembers(importlib.import_module(package), inspect.isclass)
    return {
        name: cls
        for name, cls in found
        if issubclass(cls, base_class) and cls is not base_class and not inspect.isabstract(cls) and name[0] != "_"
    }


def class_paths() -> dict[str, str]:
    """Full import paths by short names; pinnlab's own classes win over torch's and Lightning's of the same name."""
    paths: dict[str, str] = {}
    for package, base in [*_FOREIGN.values(), *KINDS.values()]:
        paths.update({name: f"{cls.__module__}.{cls.__name__}" for name, cls in classes(package, base).items()})
    return paths


BY_UNKNOWN = "pinnlab.networks.composed.ByUnknown"
"""What stands for networks by the names of unknowns."""

CLASS_KEYS = (
    "class_path",
    "problem",
    "network",
    "optimizer",
    "scheduler",
    "until",
    "propose",
    "embedding",
    "sampler",
    "logger",
    "damping",
    "rule",
)


def resolve_names(config: Any, paths: Mapping[str, str] | None = None) -> Any:
    """Replaces short class names in a configuration by import paths, and paths of earlier versions by today's.

    A configuration that was saved beside the logs or in a checkpoint names classes by their paths, as they were then.

    Args:
        config: what was read from YAML.
        paths: import paths by short names; default: all that pinnlab knows. Others stay, for `places.check` to refuse.
    """
    known = class_paths() if paths is None else paths
    if isinstance(config, list):
        return [resolve_names(item, known) for item in config]
    if not isinstance(config, dict):
        return config
    resolved: dict[str, Any] = {}
    for key, value in config.items():
        if key == "init_args" and value is None:
            continue  # nothing stands under it
        is_name = key in CLASS_KEYS and isinstance(value, str)
        if key == "network" and _is_by_unknown(value):
            value = {"class_path": BY_UNKNOWN, "init_args": {"networks": value}}
        if key == "networks" and isinstance(value, dict):
            named = {u: {"network": own} for u, own in value.items()}
            resolved[key] = {u: own["network"] for u, own in resolve_names(named, known).items()}
        else:
            resolved[key] = _resolved(value, known) if is_name else resolve_names(value, known)
    return resolved


def _is_by_unknown(value: Any) -> bool:
    """Whether a network is written as several, each by the name of its unknown: `{u: MLP, k: {class_path: SIREN}}`."""
    if not isinstance(value, dict) or "class_path" in value:
        return False
    return bool(value) and all(
        isinstance(own, str) or (isinstance(own, dict) and "class_path" in own) for own in value.values()
    )


def _resolved(name: str, known: Mapping[str, str]) -> str:
    if "." not in name:
        return known.get(name, name)
    today = known.get(name.rpartition(".")[2], "")
    has_moved = name.startswith("pinnlab.") and today.startswith("pinnlab.") and not _exists(name)
    return today if has_moved or name in _BUILT_HERE else name


def _exists(path: str) -> bool:
    """Whether a dotted path still leads to something."""
    module, _, name = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False


def recipes_folder() -> Path:
    """Where the shipped recipes are: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    """The shipped recipes, by name."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def names_recipe(arguments: Iterable[str]) -> bool:
    """Whether one of the words of a command line is the option for a recipe."""
    return any(word in ("-c", "--config") or word.startswith("--config=") for word in arguments)


def find_recipe(name: str) -> Path:
    """The file of a recipe: an existing file, or a shipped recipe by its name.

    Raises:
        ConfigurationError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in recipe_names():
        return recipes_folder() / f"{name}.yaml"
    raise unknown("recipe (and no such file)", name, recipe_names())
