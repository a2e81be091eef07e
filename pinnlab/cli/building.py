"""Problem and network built from what a recipe says of them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonargparse import ArgumentParser

from pinnlab.cli.places import check, hints_of
from pinnlab.domains import Region
from pinnlab.problems import Condition, Given, Problem
from pinnlab.problems.own_file import builder
from pinnlab.training.module import PINN
from pinnlab.training.phase_keys import of_phase
from pinnlab.training.phases import Phase

HINTS: Mapping[str, Any] = MappingProxyType(hints_of(PINN))
"""What may stand for the module's arguments."""

BUILT_WITH_IT: tuple[type, ...] = (Problem, Given, Condition, Region)
"""Problems, and what of their arguments may come from files."""


def build_in(parser: ArgumentParser, folder: Path | None) -> None:
    """Has a parser build problems, and what they are given, in a folder, see `builder`; and phases in their order."""
    for kind in BUILT_WITH_IT:
        parser.add_instantiator(builder(folder), kind)
    parser.add_instantiator(_phase_after_phase(), Phase)


def _phase_after_phase() -> Callable[..., Phase]:
    """What builds phases, and gives their numbers to what they refuse."""
    numbers = itertools.count()

    def build(kind: type[Phase], *args: Any, **kwargs: Any) -> Phase:
        with of_phase(next(numbers)):
            return kind(*args, **kwargs)

    return build


def built(key: str, spec: Any, folder: Path | None = None) -> Any:
    """An argument of `PINN`.

    Args:
        key: its name, `problem` or `network`.
        spec: its class with arguments, as in a recipe.
        folder: in which a problem is built, see `builder`.

    Raises:
        ConfigurationError: it does not fit, or is refused; of other errors `bad_input` and `refused` tell.
    """
    check(spec, HINTS[key], key)
    parser = ArgumentParser(exit_on_error=False)
    others = set(inspect.signature(PINN).parameters) - {key}
    parser.add_class_arguments(PINN, skip=others, instantiate=False, fail_untyped=False)
    build_in(parser, folder)
    return parser.instantiate_classes(parser.parse_object({key: spec}))[key]
