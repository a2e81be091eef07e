"""What a command was given, in its recipes and on its line, put together and looked at before anything is built."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L

from pinnlab.cli.catalog import class_paths, find_recipe, names_recipe, resolve_names
from pinnlab.cli.dispatch import COMMANDS
from pinnlab.cli.line import FLAGS, options, parsed, with_paths
from pinnlab.cli.numbered import check_number, is_numbered, put
from pinnlab.cli.overlay import merge, set_option
from pinnlab.cli.own_files import check_classes, use_own_file
from pinnlab.cli.places import check, hints_of
from pinnlab.cli.runs import recipe_in
from pinnlab.cli.yaml_file import read_yaml
from pinnlab.errors import LARGEST_SEED, ConfigurationError, suggest, unknown
from pinnlab.problems import Problem
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.march import March
from pinnlab.training.module import PINN

GROUPS: Mapping[str, tuple[type, frozenset[str]]] = {
    "model": (PINN, frozenset({"problem", "seed"})),
    "data": (CollocationDataModule, frozenset({"problem", "seed"})),
    "trainer": (L.Trainer, frozenset()),
}
"""Each group's class, and those of its arguments that the command fills in."""

SINGLE: Mapping[str, Any] = {
    "problem": Problem,
    "problem_file": str | None,
    "problem_folder": str | None,
    "march": March | None,
    "name": str | None,
    "seed_everything": bool | int,
    "ckpt_path": str | None,
    "weights_only": bool | None,
    "verbose": bool,
    "return_predictions": bool | None,
    "folder": str | None,
    "grid": list[int] | str | None,
    "points": str | None,
    "format": str | None,
}
"""The keys beside the groups, with their types."""

ONLY: Mapping[str, tuple[str, ...]] = {
    "verbose": ("validate", "test"),
    "folder": ("diagnose",),
    **dict.fromkeys(("return_predictions", "grid", "points", "format"), ("predict",)),
}
"""Those of these that only some commands have."""


def content_of(path: Path) -> dict[str, Any]:
    """The content of a recipe's file or of a checkpoint, classes by their paths.

    Raises:
        ConfigurationError: there is no recipe in it.
    """
    content = recipe_in(path) if path.suffix == ".ckpt" else read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a recipe is a mapping with the keys problem, model, data, trainer")
    for key in GROUPS:
        if not isinstance(content.get(key), (Mapping, str, type(None))):
            raise ConfigurationError(f"{key}: must be a mapping of options, got {content[key]}")
    resolved: dict[str, Any] = resolve_names(content)
    return resolved


def checked(arguments: Sequence[str], default: Mapping[str, Any]) -> list[str]:
    """A command line whose classes are written by their paths, after a look at all that it gives.

    Args:
        arguments: without the program's name.
        default: the configuration of the command before it is given anything.

    Raises:
        ConfigurationError: something does not fit its place; the message names the key.
    """
    if not arguments or arguments[0] not in COMMANDS:
        if names_recipe(arguments):
            raise ConfigurationError("command: name it first, as in `pinnlab fit -c burgers`")
        return list(arguments)
    paths = class_paths()
    config: dict[str, Any] = json.loads(json.dumps(default))
    rewritten, recipes, appended = [arguments[0]], list[Path](), set[str]()
    for option, value in options(arguments[1:]):
        name = option.lstrip("-")
        if value is None or not option.startswith("-"):
            rewritten += [option] if value is None else [option, value]
            if option.startswith("--"):
                _check_option(name, arguments[0])
            continue
        if name in ("c", "config"):
            recipes.append(find_recipe(value))
            content = content_of(recipes[-1])
            _check_keys(content, arguments[0], recipes[-1])
            merge(config, content)
        elif name not in FLAGS and not name.endswith(".help"):
            _check_option(name, arguments[0])
            value = with_paths(name, value, paths)
            if is_numbered(name):
                name, value = put(config, name, parsed(value))
                option = f"--{name}"
            else:
                check_number(config, name, appended)
                if name.endswith("+"):
                    appended.add(name[:-1])
                set_option(config, name, parsed(value))
        rewritten.append(f"{option if option.startswith('--') else '--config'}={value}")
    folder = use_own_file(config, recipes)
    for recipe in recipes:
        if recipe.suffix == ".ckpt":
            check_classes(content_of(recipe), recipe)
    if folder is not None:
        rewritten.append(f"--problem_folder={folder}")
    check_config(config)
    return rewritten


def check_config(config: Mapping[str, Any]) -> None:
    """Looks at a whole configuration.

    Raises:
        ConfigurationError: a key is unknown, or its value does not fit.
    """
    for key, value in config.items():
        if key in GROUPS:
            _check_group(key, value)
        elif key in SINGLE:
            check(value, SINGLE[key], key)
        elif key not in FLAGS:
            raise unknown("key", str(key), [*GROUPS, *SINGLE])
    seed = config.get("seed_everything", 0)
    if not isinstance(seed, bool) and not 0 <= int(seed) <= LARGEST_SEED:
        raise ConfigurationError(f"seed_everything: must be from 0 to {LARGEST_SEED}, got {seed}")
    check_inside("name", config.get("name"))


def check_inside(key: str, name: Any) -> None:
    """Refuses the name of a folder that would lie elsewhere.

    Raises:
        ConfigurationError: it is absolute, or has `..` in it.
    """
    if name is None:
        return
    parts = Path(str(name).replace("\\", "/")).parts
    if "\0" in str(name) or ".." in parts or Path(str(name)).is_absolute():
        raise ConfigurationError(f"{key}: {str(name)!r} leads out of the folder of the runs; give a plain name")


def _check_keys(content: Mapping[str, Any], command: str, path: Path) -> None:
    """Refuses what is no key of a recipe, or one of other commands."""
    for key in content:
        if key not in (*GROUPS, *SINGLE, *FLAGS):
            known = [*GROUPS, *(name for name in SINGLE if command in ONLY.get(name, COMMANDS))]
            raise unknown(f"key in {path}:", str(key), known)
        _check_command(str(key), command, f"{path}: {key}")


def _check_command(key: str, command: str, told: str) -> None:
    if command not in ONLY.get(key, COMMANDS):
        raise ConfigurationError(f"{told} is for `pinnlab {' and '.join(ONLY[key])}`, not for {command}; leave it out")


def _check_group(key: str, value: Any) -> None:
    if isinstance(value, str) and Path(value).is_file():
        value = read_yaml(Path(value))
    owner, filled = GROUPS[key]
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}: must be a mapping of options, got {value}")
    hints = {name: hint for name, hint in hints_of(owner).items() if name not in (*filled, "return")}
    for name, item in value.items():
        if name in hints:
            check(item, hints[name], f"{key}.{name}")
        elif name not in filled:
            raise unknown(f"option of {key}:", str(name), hints)


def _check_option(name: str, command: str) -> None:
    """Refuses what is no option of a command; options inside of a group are looked at with their values."""
    first = name.rstrip("+").split(".")[0]
    known = [*GROUPS, *SINGLE, *FLAGS]
    if first not in known and not first.isdigit():
        raise ConfigurationError(f"--{name}: there is no such option{suggest(first, known)}; see `--help`")
    _check_command(first, command, f"--{first}")
