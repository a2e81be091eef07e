"""Numbers in files, whoever reads them: tables of CSV files, whose first line names the columns, and NumPy's arrays.

A `#` before these names, as NumPy writes it, is none of them. Empty lines, others that begin with `#`, before the names
or later, and blanks around a field mean nothing.
"""

from __future__ import annotations

import csv
import itertools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnlab.errors import ConfigurationError

Line = tuple[int, list[str]]
"""A line's number in its file, and its fields."""


def read_columns(
    path: str | Path, names: Sequence[str], key: str = "path", headless: bool = False
) -> NDArray[np.float64]:
    """Some columns of a file, `(n, k)`.

    Args:
        path: the file, with or without a byte-order mark.
        names: of the columns, in the order in which they are wanted.
        key: what to name in an error.
        headless: whether the first line may be one of numbers; the columns are `names` then.

    Raises:
        ConfigurationError: there is no such file or column, or a field is missing or not a number.
    """
    found, rows = _read(path, key, names if headless else None)
    for name in names:
        if name not in found:
            raise ConfigurationError(f"{key}: {path} has no column {name!r}, but {', '.join(found) or 'none'}")
    _check(path, key, found, rows, names)
    places, table = [found.index(name) for name in names], []
    for number, fields in rows:
        try:
            table.append([float(fields[place]) for place in places])
        except ValueError:
            name, place = next(pair for pair in zip(names, places, strict=True) if not _is_number(fields[pair[1]]))
            raise ConfigurationError(
                f"{key}: {path}: line {number} has no number for {name}, but {fields[place]!r}"
            ) from None
    return np.array(table, dtype=np.float64).reshape(len(table), len(names))


def read_table(path: str | Path, key: str = "path") -> dict[str, NDArray[np.float64]]:
    """All columns of a file by their names, `(n,)` each; NaN where a field is not a number.

    Args:
        path: the file, with or without a byte-order mark.
        key: what to name in an error.

    Raises:
        ConfigurationError: there is no such file, or a field is missing.
    """
    names, rows = _read(path, key)
    _check(path, key, names, rows, [name for name in names if name])
    return {
        name: np.array([float(fields[k]) if _is_number(fields[k]) else np.nan for _, fields in rows])
        for k, name in enumerate(names)
    }


def read_arrays(path: str | Path, key: str = "path") -> dict[str, NDArray[Any]]:
    """All arrays of a `.npz` file by their names.

    Args:
        path: the file.
        key: what to name in an error.

    Raises:
        ConfigurationError: there is no such file, or it is another one, or damaged.
    """
    try:
        if Path(path).is_file() and not zipfile.is_zipfile(path):  # what NumPy says of others is about pickles
            raise ValueError("it is no .npz file, as numpy.savez writes it, or only a part of one")
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        told = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigurationError(f"{key}: {Path(path).absolute()} cannot be read ({told})") from error


def _read(path: str | Path, key: str, otherwise: Sequence[str] | None = None) -> tuple[Sequence[str], list[Line]]:
    """The names of the columns, those given where the first line is one of numbers; the fields of each numbered row."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [field.strip() for field in line]) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else error
        told = getattr(error, "strerror", reason)
        raise ConfigurationError(f"{key}: {Path(path).absolute()} cannot be read ({told})") from error
    lines = [(number, fields) for number, fields in lines if fields not in ([], [""])]
    names, lines = otherwise, _without_remarks(lines)
    if names is None or (lines and not _is_number(lines[0][1][0])):
        names = [name.lstrip("# ") for _, fields in lines[:1] for name in fields]
        _check_names(path, key, names, [fields for _, fields in lines[1:]])
        lines = lines[1:]
    return names, [(number, fields) for number, fields in lines if not fields[0].startswith("#")]


def _without_remarks(lines: list[Line]) -> list[Line]:
    """From the line of names on: the first without a mark if it has no number, else the last of those with one."""
    marked = sum(1 for _ in itertools.takewhile(lambda line: line[1][0].startswith("#"), lines))
    named_below = marked < len(lines) and not any(map(_is_number, lines[marked][1]))
    return lines[marked if named_below else max(marked - 1, 0) :]


def _check_names(path: str | Path, key: str, names: Sequence[str], below: Sequence[Sequence[str]]) -> None:
    """Refuses a first line that names no columns, or a table that separates them otherwise than by commas."""
    whole = Path(path).absolute()
    if names and all(map(_is_number, names)):
        raise ConfigurationError(f"{key}: the first line of {whole} must name its columns, got {', '.join(names)}")
    in_all = [mark for mark in ";\t" if all(mark in ",".join(fields) for fields in (names, *below))]
    if len(names) == 1 and in_all:
        raise ConfigurationError(
            f"{key}: {whole} separates its columns by {in_all[0]!r}; separate them by ',', with '.' as the decimal mark"
        )


def _check(path: str | Path, key: str, names: Sequence[str], rows: list[Line], wanted: Sequence[str]) -> None:
    """Refuses columns of the same name, and lines with more or fewer fields than there are names."""
    for name in wanted:
        if names.count(name) > 1:
            raise ConfigurationError(f"{key}: {path} has {names.count(name)} columns {name!r}; rename all but one")
    for number, fields in rows:
        if len(fields) != len(names):
            raise ConfigurationError(f"{key}: {path}: line {number} must have {len(names)} fields, got {len(fields)}")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
