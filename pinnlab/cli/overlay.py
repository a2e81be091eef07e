"""What is given in several places laid over each other, as the parser does: recipes, and options on top of them."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping
from typing import Any

from pinnlab.cli.places import SPEC, fitting, import_path


def set_option(config: dict[str, Any], name: str, value: Any) -> None:
    """Puts the value of a dotted option where it belongs: into the arguments of a class, or of the last in a list."""
    *parents, last = name.rstrip("+").split(".")
    node = config
    for part in parents:
        owner = _inside(node, part)
        inner = owner.get(part)
        if isinstance(inner, list) and inner:
            inner = inner[-1]
        if isinstance(inner, str):
            inner = {"class_path": inner}
        if not isinstance(inner, dict):
            inner = {}
        if isinstance(owner.get(part), list) and owner[part]:
            owner[part][-1] = inner
        else:
            owner[part] = inner
        node = inner
    owner = _inside(node, last)
    if last == "class_path" and "class_path" in owner:
        owner.update(_over(owner, {"class_path": value}, name.rpartition(".")[0]))
    elif name.endswith("+"):
        before = owner.get(last) or []
        owner[last] = [*_listed(before), *_listed(value)]
    else:
        merge(owner, {last: value}, name.rpartition(".")[0])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _inside(node: dict[str, Any], part: str) -> dict[str, Any]:
    if "class_path" in node and part not in SPEC:
        inner: dict[str, Any] = node.setdefault("init_args", {})
        return inner
    return node


def merge(config: dict[str, Any], content: Mapping[str, Any], where: str = "") -> None:
    """Lays a recipe over what is there, as the parser does; `where` the two stand is for messages."""
    for key, value in content.items():
        before: Any = config.get(key)
        place = f"{where}.{key}".lstrip(".")
        new = _over(before, json.loads(json.dumps(value, default=str)), place)
        is_same = isinstance(before, dict) and isinstance(new, dict)
        if is_same and new.get("class_path", before.get("class_path")) == before.get("class_path"):
            merge(before, new, place)
        else:
            config[key] = new


def _over(before: Any, value: Any, key: str) -> Any:
    """What is given for a place where a class stood: another class keeps those arguments that it has, too.

    A warning names the others: the recipe's file still shows them.
    """
    new: dict[str, Any] = {"class_path": value} if isinstance(value, str) else value
    arguments: dict[str, Any] = (before.get("init_args") if isinstance(before, dict) else None) or {}
    path = new.get("class_path") if isinstance(new, dict) else None
    if arguments and path == before["class_path"]:
        return new
    target = import_path(path, key) if arguments and isinstance(path, str) else None
    if not inspect.isclass(target):
        return value
    kept = fitting(target, arguments, key)
    given = new.get("init_args") or {}
    if lost := [name for name in arguments if name not in {**kept, **given}]:
        old = str(before["class_path"]).rpartition(".")[2]
        warnings.warn(f"{key}: {target.__name__} leaves out what was given for {old}: {', '.join(lost)}", stacklevel=2)
    return {**new, "init_args": {**kept, **given}}
