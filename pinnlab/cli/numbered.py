"""Options for one of several, by its number: `--model.phases.0.steps 500`, `--trainer.callbacks.1.every 200`.

The parser sets lists as a whole only. So such an option is put into the list as it stands by then, and handed on as
that list.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from typing import Any

from pinnlab.cli.overlay import set_option
from pinnlab.cli.places import SPEC, check
from pinnlab.errors import ConfigurationError
from pinnlab.training.phases import Phase

PHASES = "model.phases"


def is_numbered(name: str) -> bool:
    """Whether an option's name has a number in it, as `model.phases.0.steps`."""
    return any(part.isdigit() for part in name.split("."))


def check_number(config: Mapping[str, Any], name: str, appended: Collection[str]) -> None:
    """Refuses an option for one of several that does not say which, as `model.phases.steps`: it would change the last.

    Args:
        config: all that was given before.
        name: of the option, without a number.
        appended: the lists to which the command line has added something, the last of which is meant then.

    Raises:
        ConfigurationError: there are several; the message says which, and what to write.
    """
    node: Any = config
    parts = name.split(".")
    for k, part in enumerate(parts[:-1], 1):
        node, key, rest = _inside(node, part), ".".join(parts[:k]), ".".join(parts[k:])
        if isinstance(node, list) and len(node) > 1 and key not in appended:
            raise ConfigurationError(f"{name}: of which? {_count(node, part)}; write --{key}.0.{rest} for the first")


def put(config: dict[str, Any], name: str, value: Any) -> tuple[str, str]:
    """Puts the value of such an option into the list that it is for.

    Args:
        config: all that was given before; its list is changed.
        name: of the option.
        value: parsed.

    Returns:
        The name of the list, and the whole of it as text for the parser.

    Raises:
        ConfigurationError: there is no such list or number, or a phase has no such option; the message says how many
            there are.
    """
    parts = name.split(".")
    at = next(k for k, part in enumerate(parts) if part.isdigit())
    key, number, rest = ".".join(parts[:at]), int(parts[at]), ".".join(parts[at + 1 :])
    owner = _owner(config, parts[: at - 1], key)
    items = owner.get(parts[at - 1])
    if isinstance(items, (str, Mapping)):
        items = [items]  # `callbacks` takes a single one, too
    if not isinstance(items, list) or not items:
        raise ConfigurationError(f"{key}.{number}: the recipe has no {key} to change one of; give --{key}")
    if number >= len(items):
        raise ConfigurationError(f"{key}.{number}: {_count(items, parts[at - 1])}; the first has the number 0")
    owner[parts[at - 1]] = items = json.loads(json.dumps(items))
    if not rest:
        items[number] = value
    else:
        item = items[number] if isinstance(items[number], dict) else {"class_path": items[number]}
        items[number] = item
        set_option(item, rest, value)
    if key == PHASES:
        try:
            check(items[number], Phase, f"{key}.{number}")
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; {_count(items, 'phases')}") from error
    return key, json.dumps(items)


def _owner(config: dict[str, Any], parts: list[str], key: str) -> dict[str, Any]:
    """The mapping that the list is in."""
    node: Any = functools.reduce(_inside, parts, config)
    if isinstance(node, dict) and "class_path" in node:
        node = node.get("init_args")
    if not isinstance(node, dict):
        raise ConfigurationError(f"{key}: there is no such list in the recipe; give --{key} as a whole")
    return node


def _inside(node: Any, part: str) -> Any:
    """What is under a key of a mapping, or of a class's arguments; None for nothing."""
    if isinstance(node, Mapping) and "class_path" in node and part not in SPEC:
        node = node.get("init_args")
    return node.get(part) if isinstance(node, Mapping) else None


def _count(items: list[Any], kind: str) -> str:
    """How many there are and which, as `there are 2 phases, 0 Adam and 1 SSBroyden`."""
    names = [f"{number} {_name(item)}".strip() for number, item in enumerate(items)]
    if len(items) == 1:
        return f"there is one {kind.removesuffix('s')}, {names[0]}"
    return f"there are {len(items)} {kind}, {', '.join(names[:-1])} and {names[-1]}"


def _name(item: Any) -> str:
    """The class of an item, or of its optimizer; nothing for a number."""
    if isinstance(item, Mapping):
        item = item.get("optimizer", item.get("class_path", ""))
    if isinstance(item, Mapping):
        item = item.get("class_path", "")
    return str(item).rpartition(".")[2]
