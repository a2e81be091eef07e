"""Attributes of unknowns that are no derivatives: what was meant, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pinnlab.derivatives.multi_index import MultiIndex
from pinnlab.errors import ConfigurationError, unknown

OVER_POINTS = frozenset({"mean", "sum", "max", "min", "amax", "amin", "norm", "std", "var", "prod", "median"})
"""Methods of tensors that would take all points of an unknown together."""


def instead_of(owner: str, name: str, coordinates: Sequence[str]) -> str:
    """What to write in place of an attribute that is no derivative; nothing where it is not known what was meant.

    Args:
        owner: the unknown's name.
        name: of the attribute.
        coordinates: that it can be differentiated by.
    """
    if name == "at":
        return "write at(...) of each unknown in it, as u.at(t=t - 1) ** 2"
    if name in OVER_POINTS:
        return f"{name} is over all points at once, and conditions hold at each; use the conditions Mean and Integral"
    if parts := _names_in(name, coordinates):
        return f"names of several letters go to {owner}.d({', '.join(map(repr, parts))})"
    return f"write torch functions of {owner}, or {owner}.value.{name}" if hasattr(Tensor, name) else ""


def no_coordinate(owner: str, name: object, coordinates: Sequence[str]) -> str:
    """What is wrong with a coordinate to differentiate by that is none, and what to write.

    Args:
        owner: the name of what is differentiated.
        name: what was given.
        coordinates: that it can be differentiated by.
    """
    if not isinstance(name, str):
        return f"derivative of {owner!r}: takes names of coordinates in quotes, one for each order, as d('x', 'x')"
    known = ", ".join(coordinates)
    return (
        f"derivative of {owner!r} with respect to {name!r}: the coordinates are {known}{one_by_one(name, coordinates)}"
    )


def one_by_one(name: str, coordinates: Sequence[str]) -> str:
    """What to write where several coordinates to differentiate by stand in one name; nothing for any other."""
    parts = _names_in(name, coordinates)
    return f"; give one after the other: {', '.join(map(repr, parts))}" if len(parts) > 1 else ""


def index_by(names: Sequence[str], coordinates: Sequence[str]) -> MultiIndex:
    """The columns of the coordinates to differentiate by, in order.

    Raises:
        ConfigurationError: a name is none of the coordinates.
    """
    for name in names:
        if name not in coordinates:
            raise ConfigurationError(f"{unknown('coordinate', name, coordinates)}{one_by_one(str(name), coordinates)}")
    return tuple(sorted(coordinates.index(name) for name in names))


def _names_in(text: str, names: Sequence[str]) -> list[str]:
    """The names that a text is one after the other; empty where it is anything else."""
    for name in names:
        rest = text.removeprefix(name)
        if rest != text and (not rest or _names_in(rest, names)):
            return [name, *_names_in(rest, names)]
    return []
