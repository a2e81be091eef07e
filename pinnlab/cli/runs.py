"""Runs that were made before: their folders, their checkpoints, and the recipes in these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinnlab.cli.catalog import names_recipe, recipe_names
from pinnlab.cli.own_files import is_file, with_file
from pinnlab.cli.yaml_file import parse_yaml
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.histories import largest, newest_summary
from pinnlab.training.checkpoint_io import read_checkpoint

NEED_A_RUN = ("validate", "test", "predict")
"""Commands that make no sense before training."""

LOOKING = (*NEED_A_RUN, "diagnose")
"""Commands that look at a run, and write into its folder."""

WORDS = ("last", "best")
"""What can stand for a checkpoint of the recipe's runs: the newest one, or that with the smallest error."""

_OF_ONE_CALL = ("ckpt_path", "weights_only", "config")


def with_run(arguments: Sequence[str]) -> list[str]:
    """A command line in which a run is named by its folder or checkpoint, as `predict runs/burgers/version_0`.

    Or a problem by its file, see `with_file`.

    Returns:
        The same with options: the checkpoint's own recipe, unless another one is given, and the checkpoint.

    Raises:
        ConfigurationError: there is no such run or file.
    """
    if len(arguments) < 2 or arguments[0] not in (*LOOKING, "fit") or arguments[1].startswith("-"):
        return list(arguments)
    command, place, *rest = arguments
    if is_file(place):
        return with_file(command, place, rest)
    if Path(place).suffix in (".yaml", ".yml") or (place in recipe_names() and not Path(place).exists()):
        raise ConfigurationError(f"there is no run in {place!r}; for the recipe write `pinnlab {command} -c {place}`")
    checkpoint = str(checkpoint_of(Path(place)))
    recipe = [] if names_recipe(rest) else ["-c", checkpoint]
    return [command, *recipe, "--ckpt_path", checkpoint, *rest]


def checkpoint_of(place: Path) -> Path:
    """The checkpoint of a run: the last one, of a run of the command or of any other.

    Args:
        place: a checkpoint, or the folder of a run.

    Raises:
        ConfigurationError: there is none.
    """
    if place.is_file():
        return place
    for name in ("last", "previous"):
        for path in (place / "checkpoints" / f"{name}.ckpt", place / f"{name}.ckpt"):
            if path.is_file():
                return path
    other = _newest([*(place / "checkpoints").glob("*.ckpt"), *place.glob("*.ckpt")])  # as Lightning names them
    if other is not None:
        return other
    below = _newest(path for depth in ("*", "*/*") for path in place.glob(f"{depth}/checkpoints/last.ckpt"))
    folder = "runs/burgers/version_0" if below is None else below.parents[1]
    raise ConfigurationError(f"there is no run in {str(place)!r}: name a folder such as {folder}")


def folder_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint is of, seen from here; None where it is in no such place."""
    if checkpoint.parent.name != "checkpoints":
        return None
    folder, here = checkpoint.parent.parent.resolve(), Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def recipe_in(checkpoint: Path) -> dict[str, Any]:
    """The configuration that a checkpoint's run was made with, without what was for one call.

    Raises:
        ConfigurationError: it holds none: the run was not made by the command.
    """
    saved = read_checkpoint(checkpoint)
    if not isinstance(saved.get("pinnlab_config"), str):
        raise ConfigurationError(f"{checkpoint}: holds no recipe; give the one it was made with (-c)")
    return recipe_of(saved)


def recipe_of(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in the content of a checkpoint that the command wrote, see `recipe_in`."""
    content: dict[str, Any] = parse_yaml(saved["pinnlab_config"])
    return {key: value for key, value in content.items() if key not in _OF_ONE_CALL}


def found(word: str, runs: Path) -> Path:
    """The newest or the best checkpoint of the runs in a folder.

    Args:
        word: `last` or `best`: by the largest error of an unknown in its summary, or by the loss without a reference.
        runs: such as `runs/burgers`.

    Raises:
        ConfigurationError: there is none.
    """
    checkpoints = [path for path in runs.glob("*/checkpoints/last.ckpt") if path.is_file()]
    if word == "best":
        judged = {path: _error(path) for path in checkpoints}
        checkpoints = [path for path in checkpoints if math.isfinite(judged[path])]
        chosen = min(checkpoints, key=judged.__getitem__, default=None)
    else:
        chosen = _newest(checkpoints)
    if chosen is None:
        raise ConfigurationError(f"ckpt_path: there is no {'finished ' if word == 'best' else ''}run in {runs}")
    return chosen


def _newest(paths: Iterable[Path]) -> Path | None:
    """The file that was written last; None of no files."""
    return max(paths, key=lambda path: path.stat().st_mtime, default=None)


def _error(checkpoint: Path) -> float:
    """What a run reached, by its newest summary."""
    folder = folder_of(checkpoint)
    summary = newest_summary(folder) if folder else None
    if summary is None:
        return math.inf
    reached = largest(summary["relative_l2"].values() or [summary["loss"]])
    return math.inf if reached is None else reached
