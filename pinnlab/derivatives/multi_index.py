"""Multi-indices of partial derivatives, and how the rules of calculus take them apart."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

MultiIndex = tuple[int, ...]
"""Sorted columns of the coordinates differentiated by: `(0, 0, 1)` is u_xxt when the columns are x, t."""


def joined(index: MultiIndex, more: MultiIndex) -> MultiIndex:
    """The derivative of a derivative."""
    return tuple(sorted((*index, *more)))


def one_lower(index: MultiIndex) -> set[tuple[MultiIndex, int]]:
    """The derivatives of one order less, each with the column by which it is differentiated once more."""
    return {(index[:i] + index[i + 1 :], column) for i, column in enumerate(index)}


def downward_closure(indices: Iterable[MultiIndex]) -> tuple[MultiIndex, ...]:
    """Every derivative that the given ones depend on by the chain rule, themselves included, low orders first."""
    closed = {
        tuple(sorted(part))
        for index in indices
        for size in range(1, len(index) + 1)
        for part in itertools.combinations(index, size)
    }
    return tuple(sorted(closed, key=lambda index: (len(index), index)))


@functools.cache
def chain_rule_terms(index: MultiIndex) -> tuple[tuple[int, tuple[MultiIndex, ...]], ...]:
    """Faa di Bruno's formula: `(multiplicity, blocks)` for every set partition of a multi-index."""
    count = Counter(tuple(sorted(blocks, key=lambda b: (len(b), b))) for blocks in _set_partitions(index))
    return tuple((multiplicity, blocks) for blocks, multiplicity in count.items())


@functools.cache
def product_rule_terms(index: MultiIndex) -> tuple[tuple[int, MultiIndex, MultiIndex], ...]:
    """Leibniz' formula: `(multiplicity, left, right)` for every way to split a multi-index in two."""
    positions = range(len(index))
    count = Counter(
        (tuple(index[i] for i in chosen), tuple(index[i] for i in positions if i not in chosen))
        for size in range(len(index) + 1)
        for chosen in itertools.combinations(positions, size)
    )
    return tuple((multiplicity, left, right) for (left, right), multiplicity in count.items())


def _set_partitions(items: MultiIndex) -> Iterator[list[MultiIndex]]:
    if not items:
        yield []
        return
    head, tail = items[0], items[1:]
    for blocks in _set_partitions(tail):
        yield [(head,), *blocks]
        for i, block in enumerate(blocks):
            yield [*blocks[:i], tuple(sorted((head, *block))), *blocks[i + 1 :]]
