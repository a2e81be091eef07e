"""What a problem of one's own is trained with where there is no recipe: network, phases and points."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinnlab.cli.building import built
from pinnlab.cli.catalog import class_paths
from pinnlab.cli.line import options, parsed, with_paths
from pinnlab.cli.numbered import is_numbered, put
from pinnlab.cli.overlay import set_option
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition
from pinnlab.problems.integrals import Integral
from pinnlab.training.point_store import sampled_conditions

SETTINGS: Mapping[str, str] = {
    "model.network": "MLP",
    "model.phases": "[{optimizer: {class_path: Adam, init_args: {lr: 0.005}}}, {optimizer: SSBroyden, steps: 300}]",
}
"""The network and the phases of most shipped recipes."""

POINTS = (1, 200, 1000)
"""Points of a condition on a region of no, one or more dimensions."""

INTEGRALS = 50
"""Of an `Integral` at each time, which brings a quadrature for each of them."""


def settings(kind: type[Problem], path: Path, rest: Sequence[str]) -> list[str]:
    """Options for a problem without a recipe, and a remark on them.

    Args:
        kind: the problem's class.
        path: its file.
        rest: of the command line; its options decide which conditions the problem has.

    Raises:
        ConfigurationError: the problem cannot be built with these options.
    """
    points = _points(_asked_for(kind, rest))
    print(
        f"{path.with_suffix('.yaml').name}: there is none, so MLP, Adam and SSBroyden"
        f", points {points}; --print_config shows it all",
        file=sys.stderr,
    )
    return [f"--{key}={value}" for key, value in {"name": path.stem, **SETTINGS, "data.points": points}.items()]


def _asked_for(kind: type[Problem], rest: Sequence[str]) -> Problem:
    """The problem with the options that a command line has for it."""
    config: dict[str, Any] = {"problem": {"class_path": f"{kind.__module__}.{kind.__name__}"}}
    paths = class_paths()
    for option, value in options(rest):
        name = option.lstrip("-")
        if value is not None and name.partition(".")[0] == "problem":
            (put if is_numbered(name) else set_option)(config, name, parsed(with_paths(name, value, paths)))
    problem: Problem = built("problem", config["problem"])
    return problem


def _points(problem: Problem) -> str:
    """Points for each condition as YAML."""
    counts = {name: _count(problem.conditions[name]) for name in sampled_conditions(problem)}
    return "{" + ", ".join(f"{name}: {count}" for name, count in counts.items()) + "}"


def _count(condition: Condition) -> int:
    dimension = condition.region.dimension if condition.region else 2
    return INTEGRALS if isinstance(condition, Integral) else POINTS[min(dimension, 2)]
