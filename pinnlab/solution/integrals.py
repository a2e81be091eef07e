"""Integrals of a solution over a region: drag, flux, energy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError, check_real, unknown
from pinnlab.solution.expressions import evaluate
from pinnlab.solution.functions import with_functions
from pinnlab.solution.places import warn_of_untrained

BLOCK = 16_384
"""Nodes that are evaluated at a time, and usually all."""


def integral_of(
    solution: Any, region: Region, function: Callable[..., Any], count: int | None, coordinates: Mapping[str, Any]
) -> Any:
    """The integral of an expression of a solution, see `Solution.integral`."""
    problem = solution.problem
    if not isinstance(region, Region):
        raise ConfigurationError(f"integral: region must be a domain or a boundary, got {type(region).__name__}")
    coordinates = with_functions(problem.domain, coordinates, needed=False)
    columns = _columns(problem.coordinates, region, coordinates)
    nodes, weights = region.quadrature((256 if region.dimension <= 1 else BLOCK) if count is None else count)
    points = torch.tensor([coordinates.get(name, 0.0) for name in problem.coordinates], dtype=torch.float64)
    points = points.repeat(len(nodes), 1)
    points[:, columns] = nodes
    warn_of_untrained(problem.domain, points, problem.domain, "of the integral lie outside of the domain", 4)
    more = {}
    if not region.is_full_dimensional:
        more["normal"] = torch.zeros_like(points)
        more["normal"][:, columns] = region.normals(nodes)
    total: Tensor | float = 0.0
    found = functools.partial(evaluate, problem, solution._derivatives, solution.system.coefficient_values(), function)
    for block in torch.arange(len(nodes)).split(BLOCK):
        there = {name: rows[block].to(solution._like) for name, rows in more.items()}
        values = found(points[block].to(solution._like), there)
        total = total + torch.tensordot(weights[block], values.detach().to("cpu", torch.float64), 1)
    assert isinstance(total, Tensor)  # a quadrature has a node
    return total.item() if total.ndim == 0 else total.numpy()


def _columns(names: tuple[str, ...], region: Region, coordinates: Mapping[str, float]) -> list[int]:
    """The columns of a region's coordinates among all; the others must have values."""
    for name in (*region.coordinates, *coordinates):
        if name not in names:
            raise unknown("coordinate of the integral", name, names)
    for name in names:
        if name in region.coordinates and name in coordinates:
            raise ConfigurationError(f"{name}: is integrated over; leave it out")
        if name not in region.coordinates and name not in coordinates:
            raise ConfigurationError(f"{name}: is missing; give it a value, or a region that has it")
    check_real("integral", **coordinates)
    return [names.index(name) for name in region.coordinates]
