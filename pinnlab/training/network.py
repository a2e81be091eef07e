"""The network of a `PINN`: built for a problem, and checked against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pinnlab.domains import Domain, Fourier, function_spaces
from pinnlab.errors import ConfigurationError, check_seed, unknown
from pinnlab.networks import FNO, MLP, ByUnknown, Composed, DeepONet, Part, ScaledInput, Tiles, unscaled
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.unknowns import alike
from pinnlab.samplers.sequences import few_points


def build_network(problem: Problem, network: Any, scale_inputs: bool, seed: int) -> nn.Module:
    """Builds the network from its own seed, leaving the global random state alone.

    Unknowns that depend on other coordinates, or live elsewhere, have networks of their own in a `Composed` one; so has
    every unknown where networks are given by their names.
    """
    if not isinstance(problem, Problem):
        raise ConfigurationError(f"model.problem: must be a Problem, got {type(problem).__name__}")
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


def check_network(problem: Problem, trial: Trial) -> None:
    """Refuses a network that does not do what its problem relies on, or takes its coordinates for something else.

    Raises:
        ConfigurationError: says what to do.
    """
    for check in (_check_periodicity, _check_coordinates, _check_functions, _check_tiles):
        check(problem, trial)


def _check_coordinates(problem: Problem, trial: Trial) -> None:
    """Refuses a trial function in which an unknown depends on coordinates that it does not have."""
    if not any(own.coordinates for own in problem.living.values()):
        return
    points = few_points(problem.domain, 16, seed=0).to(next(trial.parameters()))
    low, high = (points.new_tensor(ends) for ends in (problem.domain.low, problem.domain.high))
    with torch.no_grad():
        before = trial(points)
        for i, (name, own) in enumerate(problem.living.items()):
            columns = set(own.columns(problem.coordinates))
            others = [k for k in range(points.shape[1]) if k not in columns]
            if not others:
                continue
            moved = points.clone()
            moved[:, others] = (low + high - points)[:, others]
            change = (trial(moved) - before)[:, i].abs().max()
            if change > 1e-6 * before[:, i].abs().max().clamp(min=1e-6):
                names = ", ".join(problem.coordinates[k] for k in others)
                raise ConfigurationError(
                    f"model.network: unknown {name} depends on {names}, and its coordinates are "
                    f"{', '.join(own.coordinates or ())}; give a network class or {{{name}: ...}}, and an ansatz that "
                    "keeps to them"
                )


def _check_periodicity(problem: Problem, trial: Trial) -> None:
    """Refuses a network that is not periodic where the problem relies on it: the answer would be arbitrary."""
    parameter = next(trial.parameters())
    for name in problem.periodic_coordinates:
        column = problem.coordinates.index(name)
        left = few_points(problem.domain.face(**{name: problem.domain.low[column]}), 8, seed=0).to(parameter)
        right = left.clone()
        right[:, column] = problem.domain.high[column]
        with torch.no_grad():
            jump = (trial(left) - trial(right)).abs().max()
        if jump > 1e-3:
            raise ConfigurationError(
                f"model.network: problem {problem.name} needs a network that is periodic in {name}; give it "
                f"the embedding PeriodicEmbedding(columns=[{column}]), or put it into the loss (problem.periodic: loss)"
            )


def _check_functions(problem: Problem, trial: Trial) -> None:
    """Refuses an operator network that takes other coordinates for the function than the domain's spaces have."""
    network, spaces, names = unscaled(trial.network), function_spaces(problem.domain), problem.coordinates
    if not spaces or not isinstance(network, DeepONet | FNO):
        return
    kind, taken = type(network).__name__, names[network.place_columns :]
    functions = [name for space in spaces for name in space.coordinates]
    if not set(functions) <= set(taken) <= {*functions, *problem.domain.parameters}:
        raise ConfigurationError(
            f"model.network: {kind} takes the last coordinates for the function, here {', '.join(taken)}, and it is "
            f"{', '.join(functions)}; make the FunctionSpace the last factor of the domain, with modes={len(functions)}"
        )
    if isinstance(network, FNO):
        bases = [space.basis for space in spaces]
        if (
            len(taken) > bases[0].modes
            or not isinstance(bases[0], Fourier)
            or bases[0].interval.coordinates != names[:1]
        ):
            raise ConfigurationError(
                f"model.network: FNO needs a function in the basis Fourier of the first coordinate, {names[0]}, got "
                f"{', '.join(map(repr, bases))}; use DeepONet"
            )


def _check_tiles(problem: Problem, trial: Trial) -> None:
    """Refuses tiles that nothing couples, and a condition that couples tiles which the network has not."""
    tiles = [module for module in trial.network.modules() if isinstance(module, Tiles)]
    coupled = {name: c for name, c in problem.conditions.items() if isinstance(c, Continuity)}
    have = " and ".join(str(list(own.grid)) for own in tiles) or "no tiles"
    for name, condition in coupled.items():
        if condition.grid not in [own.grid for own in tiles]:
            raise ConfigurationError(
                f"model.network: condition {name!r} couples tiles of grid {list(condition.grid)}, and the network has "
                f"{have}; give it Tiles(grid={list(condition.grid)})"
            )
        if (condition.box.low, condition.box.high) != (tuple(problem.domain.low), tuple(problem.domain.high)):
            raise ConfigurationError(f"condition {name!r}: its domain must be that of the problem, {problem.domain!r}")
    for own in tiles:
        if own.count > 1 and own.grid not in [condition.grid for condition in coupled.values()]:
            raise ConfigurationError(
                f"model.network: nothing couples its tiles of grid {list(own.grid)}; take the problem "
                f"Tiled(..., grid={list(own.grid)}), or give it a condition Continuity"
            )
    scaled = any(isinstance(module, ScaledInput) for module in trial.network.modules())
    ends = {*(-end for end in problem.domain.low), *problem.domain.high}
    if tiles and not scaled and ends != {1.0}:
        raise ConfigurationError("model.scale_inputs: Tiles cut [-1, 1] along each coordinate; leave it true")
