"""`pinnlab.load`: the solution of a run, with problem and network built from what its checkpoint says."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from torch import nn

from pinnlab.cli.bad_input import bad_input, refused
from pinnlab.cli.building import HINTS, built
from pinnlab.cli.catalog import resolve_names
from pinnlab.cli.own_files import check_classes, use_own_file
from pinnlab.cli.places import check
from pinnlab.cli.runs import checkpoint_of, recipe_of
from pinnlab.errors import ConfigurationError
from pinnlab.networks import ByUnknown
from pinnlab.problems.base import Problem
from pinnlab.solution import Solution
from pinnlab.training.checkpoint_io import read_checkpoint, refusal
from pinnlab.training.checkpoints import OF_A_WINDOW
from pinnlab.training.module import PINN
from pinnlab.training.windows import is_of_a_window, pieced_of

OPTIONS = ("scale_inputs", "engine", "dtype", "seed")
"""Those of the module that decide about the trial function; the seed where a network keeps random numbers to itself."""


def load(
    path: str | os.PathLike[str],
    problem: Problem | None = None,
    network: Callable[[int, int], nn.Module] | nn.Module | ByUnknown | None = None,
) -> Solution:
    """The solution of a run.

    Problem and network are built from the configuration that the checkpoint holds, of a run of the command as of one in
    Python. Only classes that are problems, networks or what their arguments ask for are called, whatever a file says.

    Args:
        path: the folder of a run, such as `runs/burgers/version_0`, or a checkpoint.
        problem: in place of what the checkpoint says; needed where that cannot be built again.
        network: the same, as it was given to `PINN`.

    Raises:
        ConfigurationError: there is no run, its file is damaged, or problem or network cannot be built from it.
    """
    checkpoint = checkpoint_of(Path(path))
    saved = read_checkpoint(checkpoint)
    recipe = _recipe(saved, checkpoint)
    model, missing = recipe.get("model") or {}, recipe.get("missing") or {}
    if is_of_a_window(saved) and (problem is not None or "problem" in missing):
        raise refusal(saved, OF_A_WINDOW)
    folder = None
    try:
        folder = use_own_file(recipe, [checkpoint])
    except ConfigurationError as error:
        if problem is None:
            raise ConfigurationError(f"{error}; or {_give('problem', checkpoint)}") from error
    if problem is None:
        check_classes(recipe.get("problem"), checkpoint)
        problem = _built("problem", recipe, missing, checkpoint, folder)
    if network is None:
        network = _built("network", model, missing, checkpoint)
    elif isinstance(network, nn.Module):
        network = copy.deepcopy(network)  # the parameters of the run are written into it
    options = {key: model[key] for key in OPTIONS if key in model}
    for key, value in options.items():
        check(value, HINTS[key], f"model.{key}")
    module = PINN(problem, network, **options)
    if "pinnlab_march" in saved:
        return Solution(pieced_of(module, saved), run=str(path))
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])
    return Solution(module, run=str(path))


def _recipe(saved: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of problem and network, classes by their paths."""
    own = saved.get("pinnlab_march", saved["pinnlab"]).get("recipe")
    found = recipe_of(saved) if "pinnlab_config" in saved else own
    if not isinstance(found, dict) or not isinstance(found.get("model", {}), (dict, type(None))):
        return {"missing": dict.fromkeys(("problem", "network"), f"{checkpoint.name} says nothing of it")}
    named = resolve_names({key: found[key] for key in ("problem", "model") if key in found})
    if "seed_everything" in found:  # of the command, which gives it to the module
        named["model"] = {"seed": found["seed_everything"], **(named.get("model") or {})}
    return {**found, **named}


def _built(
    key: str, owner: Mapping[str, Any], missing: Mapping[str, str], checkpoint: Path, folder: Path | None = None
) -> Any:
    """The problem or the network that a recipe names.

    Raises:
        ConfigurationError: it cannot be built.
    """
    give = _give(key, checkpoint)
    if key in missing:
        raise ConfigurationError(f"{key}: cannot be built from the checkpoint: {missing[key]}; {give}")
    spec = owner.get(key)
    if spec is None and key == "network":
        return None  # the module's own default
    try:
        return built(key, spec, folder)
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        told = bad_input(error) or refused(error)
        if told is None:
            raise
        raise ConfigurationError(f"{told}; {give}") from error


def _give(key: str, checkpoint: Path) -> str:
    return f"give it: pinnlab.load({str(checkpoint)!r}, {key}=...)"
