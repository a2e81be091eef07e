"""What signatures do with series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def recent(count: int, values: Iterable[T]) -> list[T]:
    """The last so many values of a series; none where there are fewer."""
    series = list(values)
    return series[-count:] if len(series) >= count else []


def shares_of_largest(series: Iterable[Mapping[str, float]]) -> list[dict[str, float]]:
    """Named values at each time over the largest ones up to there; 0 where they are."""
    largest: dict[str, float] = {}
    found = []
    for now in series:
        largest |= {name: max(value, largest.get(name, 0.0)) for name, value in now.items()}
        found.append({name: value / largest[name] if largest[name] else 0.0 for name, value in now.items()})
    return found
