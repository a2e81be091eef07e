"""What the `pinnlab` command answers at once: help, version, lists, and names that do not exist.

Nothing here imports torch, which takes seconds. What needs it is in `commands.py`, and in the studies.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pinnlab.cli.catalog import KINDS, find_recipe
from pinnlab.cli.help import HELP, command_help, wants_page
from pinnlab.cli.new import write_problem
from pinnlab.cli.own_files import check_file, is_file, split
from pinnlab.cli.version import __version__
from pinnlab.errors import ConfigurationError, unknown


class Command(NamedTuple):
    """What the help shows of a command.

    Attributes:
        purpose: what it does, in one line.
        example: how it is called.
    """

    purpose: str
    example: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "new": Command("write a problem of your own to begin with", "pinnlab new my_problem.py"),
        "fit": Command("train a network, and write down what it reached", "pinnlab fit -c burgers"),
        "validate": Command("measure errors and held-out residuals", "pinnlab validate runs/burgers/version_0"),
        "test": Command("measure the errors of a run", "pinnlab test runs/burgers/version_0"),
        "predict": Command("write the solution as .npz and figure", "pinnlab predict runs/burgers/version_0"),
        "diagnose": Command("show what helps or hinders training", "pinnlab diagnose runs/burgers/version_0"),
        "compare": Command("show runs side by side, in a table and a figure", "pinnlab compare burgers poisson1d"),
        "board": Command("show runs in TensorBoard, losses and errors first", "pinnlab board runs"),
        "list": Command("show problems, networks, optimizers, recipes and the rest", "pinnlab list problems"),
        "study": Command("compare methods on several problems", "pinnlab study switching"),
    }
)
"""All commands, in the order of the help."""

CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""The environment's name of torch's folder for compiled code."""

LISTED = (*KINDS, "recipes")
"""What `pinnlab list` shows, in its order."""


def answer(arguments: Sequence[str]) -> int | None:
    """Answers what needs no training.

    Args:
        arguments: as on the command line, without the program's name.

    Returns:
        The exit code, 0 or 2 for bad input; None when the command has to be carried out elsewhere.
    """
    try:
        return _answer(arguments)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _answer(arguments: Sequence[str]) -> int | None:
    if not arguments:
        print(program_help(), file=sys.stderr)
        return 2
    first, *rest = arguments
    if first in HELP:
        print(program_help())
        return 0
    if first == "--version":
        print(f"pinnlab {__version__}")
        return 0
    if first == "list":
        return _list(rest)
    if first == "new":
        return write_problem(rest)
    if wants_page(first, rest):
        print(command_help(first))
        return 0
    if first not in COMMANDS and not first.startswith("-"):
        raise unknown("command", first, COMMANDS)
    if first not in ("study", "compare", "board"):
        recipes = list(_recipes(rest))
        for recipe in recipes:
            find_recipe(recipe)
        if rest and is_file(rest[0]):
            check_file(split(rest[0])[0])
        if sys.stderr.isatty():
            _say_what_is_loaded(arguments, recipes)
    if first not in ("compare", "board"):
        _check_cache()
    return None


def _check_cache() -> None:
    """Refuses a folder for compiled code that cannot be made: torch makes it when it is imported."""
    if folder := os.environ.get(CACHE):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{CACHE}: {folder} cannot be made ({error.strerror}); name another folder"
            ) from error


def _say_what_is_loaded(arguments: Sequence[str], recipes: Sequence[str]) -> None:
    """Tells on the screen at once what the recipe says, and why there is nothing more for a while."""
    from pinnlab.cli.preview import preview  # reads YAML, which no other command needs

    for recipe in recipes:
        print(f"recipe {recipe}", *preview(recipe), sep="\n  ", file=sys.stderr)
    print(f"pinnlab {' '.join(arguments[:3])}: loading torch and Lightning takes a few seconds", file=sys.stderr)


def program_help() -> str:
    """What `pinnlab --help` shows, for a screen of 80 columns."""
    commands = [
        line
        for name, (purpose, example) in COMMANDS.items()
        for line in (f"  {name:8}  {purpose}", f"{'':12}{example}")
    ]
    return "\n".join(
        [
            "pinnlab trains physics-informed neural networks to solver-grade accuracy.",
            "",
            "usage: pinnlab COMMAND [options]",
            "       pinnlab --help | --version",
            "",
            "commands, each with an example:",
            *commands,
            "",
            "`pinnlab fit --help` shows the options of fit, and so for the others;",
            "`pinnlab list recipes` shows what can follow -c, beside files of your own.",
        ]
    )


def _list(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in HELP:
        print(f"usage: pinnlab list [KIND]\n\nKIND is one of: {', '.join(LISTED)}; without it, all are shown")
        return 0
    kind = " ".join(arguments).replace("-", " ").replace("_", " ")
    if kind and kind not in LISTED:
        raise unknown("kind", kind, LISTED)
    from pinnlab.cli.listing import show  # reads sources and draws tables, which no other command needs

    show([kind] if kind else LISTED)
    return 0


def _recipes(arguments: Sequence[str]) -> Iterator[str]:
    """The values of `-c` among the arguments of a command; what is written in another way is checked later."""
    for option, value in itertools.pairwise(arguments):
        if option in ("-c", "--config") and not value.startswith("-"):
            yield value
    for option in arguments:
        if option.startswith("--config="):
            yield option.partition("=")[2]
