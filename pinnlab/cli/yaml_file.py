"""Reads YAML so that nothing in it is lost or grows: every key counts once, and aliases stay small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pinnlab.errors import ConfigurationError

MOST_NODES = 100_000
"""Of a file, aliases written out. The largest shipped recipe has under 100; nine nested lists of ten have 10^9."""


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key which stands twice in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, after a look at its keys; what `<<` merges in may be written over."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines and key.tag != "tag:yaml.org,2002:merge":
                raise ConfigurationError(
                    f"line {line}: the key {name!r} stands in line {lines[name]} already; join them"
                )
            lines[name] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigurationError: it cannot be read, is no text in UTF-8 or no YAML, or has a key twice; with the line.
    """
    try:
        return parse_yaml(_text(path))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def parse_yaml(text: str) -> Any:
    """What a text in YAML says.

    Raises:
        ConfigurationError: it is no YAML, has a key twice, contains itself, or its aliases multiply without bound.
    """
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {}, [])
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or error
        raise ConfigurationError(f"{where}not YAML: {' '.join(str(problem).split())}") from error
    except RecursionError as error:
        raise ConfigurationError("not YAML that can be read: it is nested too deeply") from error
    except ValueError as error:  # a date such as 2024-13-45
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"not YAML: {' '.join(str(error).split())}") from error


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"line {line}: is not UTF-8 (byte {data[error.start]:#04x}); save it as UTF-8"
        ) from error


def _count(node: yaml.Node, counted: dict[int, int], open_nodes: list[int]) -> int:
    """The nodes under a node, with each alias written out."""
    if id(node) in open_nodes:
        raise ConfigurationError(f"line {node.start_mark.line + 1}: an alias contains itself; write it out")
    if id(node) not in counted:
        open_nodes.append(id(node))
        parts = node.value if isinstance(node.value, list) else []
        inner = [item for part in parts for item in (part if isinstance(part, tuple) else (part,))]
        counted[id(node)] = 1 + sum(_count(item, counted, open_nodes) for item in inner)
        open_nodes.pop()
        if counted[id(node)] > MOST_NODES:
            line = node.start_mark.line + 1
            raise ConfigurationError(f"line {line}: has more than {MOST_NODES:,} entries with its aliases; write less")
    return counted[id(node)]
