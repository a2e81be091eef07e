"""What a recipe is about, read from its file: on the screen while torch is still being loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pinnlab.cli.catalog import find_recipe
from pinnlab.errors import ConfigurationError
from pinnlab.training.march import WINDOWS


def preview(recipe: str) -> list[str]:
    """Problem, network, points, phases and windows of a recipe, a line each; none of what its file does not say.

    What is wrong in it is not looked at: that is told when the run is built.

    Args:
        recipe: the name of a shipped recipe, or of a file.

    >>> preview("burgers")[1:3]
    ['network  MLP(hidden=[20, 20, 20])', 'points   pde 3,000']
    """
    try:
        content = yaml.safe_load(find_recipe(recipe).read_text("utf-8"))
    except (ConfigurationError, OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    model = _inside(content, "model")
    lines = {
        "problem": _called(_inside(content, "problem")),
        "network": _called(_inside(model, "network")),
        "points": _points(_inside(_inside(content, "data"), "points")),
        "phases": ", then ".join(filter(None, map(_phase, _listed(_inside(model, "phases"))))),
        "windows": _windows(_inside(content, "march")),
    }
    return [f"{name:9}{text}" for name, text in lines.items() if text]


def _inside(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else None


def _listed(node: Any) -> Sequence[Any]:
    return node if isinstance(node, list) else []


def _called(node: Any) -> str:
    """A class with its arguments, as one would write it in Python."""
    if isinstance(node, str):
        return node.rpartition(".")[2]
    name, arguments = _inside(node, "class_path"), _inside(node, "init_args")
    if isinstance(node, Mapping) and "class_path" not in node:  # networks by the names of unknowns
        return ", ".join(f"{key}: {_called(own)}" for key, own in node.items())
    if not isinstance(name, str):
        return ""
    given = arguments.items() if isinstance(arguments, Mapping) else ()
    short = [f"{key}={value}" for key, value in given if isinstance(value, int | float | str | list)]
    return _called(name) + (f"({', '.join(short)})" if short else "")


def _points(node: Any) -> str:
    if isinstance(node, Mapping):
        return ", ".join(f"{name} {_count(value)}" for name, value in node.items())
    return _count(node)


def _windows(node: Any) -> str:
    """How many of a run in windows of time, and of what."""
    if not isinstance(node, Mapping):
        return ""
    edges, count = _listed(node.get("edges")), node.get("windows")
    number = _count(len(edges) - 1 if edges else WINDOWS if count is None else count)
    return f"{number} of {node.get('coordinate', 't')}" if number else ""


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _phase(node: Any) -> str:
    name, steps = _called(_inside(node, "optimizer")), _inside(node, "steps")
    return f"{name} {steps} steps" if name and steps is not None else name
