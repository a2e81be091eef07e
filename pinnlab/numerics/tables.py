"""Columns of numbers out of CSV files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinnlab.errors import ConfigurationError


def read_columns(path: str | Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Some columns of a CSV file whose first line names them, `(n, k)`.

    Args:
        path: the file, with or without a byte-order mark.
        names: of the columns, in the order in which they are wanted.

    Raises:
        ConfigurationError: there is no such file or column, or a field is not a number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [*csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"path: {path} cannot be read ({getattr(error, 'strerror', error)})") from error
    found = [name.strip() for name in header]
    for name in names:
        if name not in found:
            raise ConfigurationError(f"path: {path} has no column {name!r}, but {', '.join(found) or 'none'}")
    places = [found.index(name) for name in names]
    rows = []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        try:
            rows.append([float(line[place]) for place in places])
        except (IndexError, ValueError):
            raise ConfigurationError(
                f"path: {path}: line {number} has no number for each of {', '.join(names)}"
            ) from None
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
