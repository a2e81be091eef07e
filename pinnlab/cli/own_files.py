"""Problems in files of the user's own on the command line: `pinnlab fit my_problem.py`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from sysconfig import get_paths
from typing import Any

from pinnlab.cli.catalog import names_recipe
from pinnlab.errors import ConfigurationError, suggest

LEVELS = 5
"""Folders above a checkpoint in which the file of its problem is looked for: `runs/NAME/version_0/checkpoints/`."""


def is_file(place: str) -> bool:
    """Whether a word of the command line is a Python file, or a class in one: `my_problem.py:Burgers`."""
    return split(place)[0].suffix == ".py"


def split(place: str) -> tuple[Path, str | None]:
    """The file and the class of `my_problem.py:Burgers`; None for no class."""
    file, colon, name = place.rpartition(":")
    return (Path(file), name) if colon and file.endswith(".py") else (Path(place), None)


def check_name(path: Path) -> None:
    """Refuses the name of a file that Python could not import, or would import as something else.

    Raises:
        ConfigurationError: it is no name, or that of a module which is installed.
    """
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier():
        raise ConfigurationError(f"{path}: is no name of a Python file; take letters, digits and _, as my_problem.py")
    if is_taken(name):
        raise ConfigurationError(f"{path}: {name} is an installed module; take another name, as my_{name}.py")


def is_taken(name: str) -> bool:
    """Whether Python, pinnlab or an installed package has a module of this name."""
    paths = get_paths()
    installed = PathFinder.find_spec(name, [paths["purelib"], paths["platlib"]])
    return name in (*sys.stdlib_module_names, "pinnlab") or installed is not None


def with_file(command: str, place: str, rest: Sequence[str]) -> list[str]:
    """A command line in which a problem is named by its file, as `fit my_problem.py --seed_everything 3`.

    The recipe beside the file is taken, unless the line names another one; without any, `settings` are.

    Returns:
        The same with options.

    Raises:
        ConfigurationError: the file is not there, has a name that is taken, or no single problem.
    """
    from pinnlab.cli.starting import settings  # imports torch, as the next one; the rest does not
    from pinnlab.problems.own_file import import_file, problem_in, problems_in

    path, name = split(place)
    check_file(path)
    options = [f"--problem_file={path.resolve()}"]
    given = names_recipe(rest)
    recipe = path.with_suffix(".yaml")
    has_recipe = recipe.is_file() and not given
    named = _named(recipe, path.stem) if has_recipe else None
    if named is not None and named not in (known := problems_in(import_file(path))):
        raise ConfigurationError(
            f"{recipe.name}: problem: {path.name} defines no {named}{suggest(named, known)}; change one of the two"
        )
    if named is None or name not in (None, named):
        options.append(f"--problem={path.stem}.{problem_in(path, name).__name__}")
    if has_recipe:
        return [command, "-c", str(recipe), *options, *rest]
    return [command, *options, *([] if given else settings(problem_in(path, name), path, rest)), *rest]


def check_file(path: Path) -> None:
    """Refuses a file that is not there, or that cannot be imported by its name.

    Raises:
        ConfigurationError: it is so.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file; `pinnlab new {path}` writes one to begin with")
    check_name(path)


def use_own_file(config: Mapping[str, Any], recipes: Sequence[Path]) -> Path | None:
    """Imports the file that a configuration's problem is in, if it is one of the user's.

    It is `problem_file`, or the module's file beside a recipe or in the current folder. The folders of recipes go to
    the end of the path, for networks and other classes in files there.

    Args:
        config: the whole configuration.
        recipes: the files that it was read from.

    Returns:
        The folder in which the problem of a run is built, see `folder_again`; None for no other than the current one.

    Raises:
        ConfigurationError: `problem_file` is nowhere or has another name, or the file cannot be imported.
    """
    from pinnlab.problems.own_file import folder_again, found_again, import_file, working_in

    for recipe in recipes:
        beside = str(recipe.parent.resolve())
        if recipe.suffix != ".ckpt" and beside not in sys.path:
            sys.path.append(beside)
    problem, file = config.get("problem"), config.get("problem_file")
    path = problem.get("class_path") if isinstance(problem, Mapping) else problem
    module = path.rpartition(".")[0] if isinstance(path, str) else ""
    if not module or "." in module:
        return None
    folders = list(_folders(recipes))
    if file is not None and Path(str(file)).stem == module:
        found: Path | None = found_again(Path(str(file)), folders)
        if found != Path(str(file)).resolve():
            warnings.warn(f"problem_file: {file} is not there; {found} is taken", stacklevel=2)
    else:
        places = (place / f"{module}.py" for place in folders if not is_taken(module))
        found = next((place for place in places if place.is_file()), None)
    if found is None and file is not None and PathFinder.find_spec(module) is None:
        raise ConfigurationError(
            f"problem_file: {file} is not {module}.py, where the problem {path} of the run is; give the file that name"
        )
    if found is None:
        return None
    began = config.get("problem_folder")
    folder = None if began is None else folder_again(Path(str(began)), Path(str(file or found)), found)
    with working_in(folder):
        import_file(found)
    return folder


def check_classes(content: Any, run: Path) -> None:
    """Refuses the recipe of a run one of whose classes has another name now, or is gone.

    Whatever is given beside it, the parser needs all of them.

    Args:
        content: of the recipe, or a part of it.
        run: its checkpoint.

    Raises:
        ConfigurationError: a module lacks a class.
    """
    from pinnlab.cli.places import import_path

    for item in content.values() if isinstance(content, Mapping) else content if isinstance(content, list) else ():
        check_classes(item, run)
    path = content.get("class_path") if isinstance(content, Mapping) else None
    module, _, name = str(path).rpartition(".")
    if module in sys.modules and import_path(str(path), "class_path") is None:
        raise ConfigurationError(
            f"{run}: was made with {path}, and there is no {name} in {module}; give the class that name again"
        )


def _folders(recipes: Sequence[Path]) -> Iterator[Path]:
    """Where the file of a problem may be: beside the recipe, here, above the checkpoint."""
    yield from (recipe.parent for recipe in recipes if recipe.suffix != ".ckpt")
    yield Path.cwd()
    for recipe in recipes:
        if recipe.suffix == ".ckpt":
            yield from list(recipe.resolve().parents)[:LEVELS]


def _named(recipe: Path, module: str) -> str | None:
    """The class of a module that is a recipe's problem; None where the recipe has another problem, or none."""
    from pinnlab.cli.yaml_file import read_yaml

    content = read_yaml(recipe)
    problem = content.get("problem") if isinstance(content, Mapping) else None
    path = problem.get("class_path") if isinstance(problem, Mapping) else problem
    owner, _, name = str(path).rpartition(".")
    return name if owner == module else None
