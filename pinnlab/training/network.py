"""The network of a `PINN`, built for a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pinnlab.domains import Domain
from pinnlab.errors import ConfigurationError, check_seed, unknown
from pinnlab.networks import MLP, ByUnknown, Composed, Part, ScaledInput
from pinnlab.problems.base import Problem, check_problem
from pinnlab.problems.unknowns import alike


def build_network(problem: Problem, network: Any, scale_inputs: bool, seed: int) -> nn.Module:
    """Builds the network from its own seed, leaving the global random state alone.

    Unknowns that depend on other coordinates, or live elsewhere, have networks of their own in a `Composed` one; so has
    every unknown where networks are given by their names.
    """
    check_problem("model.problem", problem)
    check_seed("model", seed)
    named = network.networks if isinstance(network, ByUnknown) else network
    by_name = _by_name(problem, named) if isinstance(named, Mapping) else None
    groups = alike(problem.living, problem.coordinates) if by_name is None else [[name] for name in problem.unknowns]
    if by_name is None and (isinstance(network, nn.Module) or (len(groups) == 1 and _is_whole(problem))):
        whole = _built("model.network", network, len(problem.coordinates), len(problem.unknowns), seed)
        return _scaled(whole, scale_inputs, problem.domain.low, problem.domain.high)
    parts = []
    for k, group in enumerate(groups):
        own = problem.living[group[0]]
        columns, box = own.columns(problem.coordinates), own.on if isinstance(own.on, Domain) else problem.domain
        key, build = ("model.network", network) if by_name is None else (f"model.network.{group[0]}", by_name[group[0]])
        part = _built(key, build, len(columns), len(group), seed + k)
        part = _scaled(part, scale_inputs, *([ends[i] for i in columns] for ends in (box.low, box.high)))
        parts.append(Part(part, columns, [problem.unknowns.index(name) for name in group]))
    return Composed(parts)


def _is_whole(problem: Problem) -> bool:
    """Whether the first unknown depends on all coordinates and lives everywhere."""
    own = problem.living[problem.unknowns[0]]
    return own.on is None and len(own.columns(problem.coordinates)) == len(problem.coordinates)


def _by_name(problem: Problem, networks: Mapping[str, Any]) -> Mapping[str, Any]:
    """Networks by the names of the unknowns, one for each."""
    for name in networks:
        if name not in problem.unknowns:
            raise unknown("unknown in model.network", str(name), problem.unknowns)
    for name in problem.unknowns:
        if name not in networks:
            raise ConfigurationError(f"model.network: names no network for {name}; give one for each unknown")
    return networks


def _built(key: str, network: Any, inputs: int, outputs: int, seed: int) -> nn.Module:
    """A network, built if it is not one yet."""
    if network is not None and not callable(network):
        raise ConfigurationError(f"{key}: must be a Module or build one, got {network!r}")
    if not isinstance(network, nn.Module):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = (network or MLP)(inputs, outputs)
    if not isinstance(network, nn.Module):
        raise ConfigurationError(f"{key}: must be a Module, got {type(network).__name__}")
    return network


def _scaled(network: nn.Module, scale_inputs: bool, low: Sequence[float], high: Sequence[float]) -> nn.Module:
    """The network on coordinates of [-1, 1]; one that scales already, from a run before, is left alone."""
    if not scale_inputs or isinstance(network, (ScaledInput, Composed)):
        return network
    return ScaledInput(network, low, high)
