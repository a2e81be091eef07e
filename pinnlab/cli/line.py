"""The words of a command line: options with their values, and what these say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pinnlab.cli.catalog import CLASS_KEYS, resolve_names
from pinnlab.cli.yaml_file import parse_yaml
from pinnlab.errors import ConfigurationError

FLAGS = ("help", "print_config", "config", "c", "h")
"""Options that are no keys of a configuration."""


def options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values; what is not in that form is handed on as it is."""
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        name, equals, value = option.partition("=")
        is_option = option.startswith("--") or option == "-c"
        if is_option and equals:
            yield name, value
        elif is_option and option.lstrip("-") not in FLAGS[:2] and rest and not rest[0].startswith("--"):
            yield option, rest.pop(0)
        else:
            yield option, None


def with_paths(name: str, value: str, paths: Mapping[str, str]) -> str:
    """The value of an option with full class paths, since several classes share a short name."""
    if name.rstrip("+").split(".")[-1] in (*CLASS_KEYS, "callbacks") and value in paths:
        return paths[value]
    content = parsed(value)
    if isinstance(content, (list, dict)):
        resolved = resolve_names(content, paths)
        return value if resolved == content else json.dumps(resolved)
    return value


def parsed(value: str) -> Any:
    """What a value says as YAML; the text itself where it is none."""
    try:
        return parse_yaml(value)
    except ConfigurationError:
        return value
