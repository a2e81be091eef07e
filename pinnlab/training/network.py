"""The network of a `PINN`: built for a problem, and checked against it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pinnlab.errors import ConfigurationError, check_seed
from pinnlab.networks import MLP, ScaledInput
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.samplers import Sobol


def build_network(problem: Problem, network: Any, scale_inputs: bool, seed: int) -> nn.Module:
    """Builds the network from its own seed, leaving the global random state alone."""
    if not isinstance(problem, Problem):
        raise ConfigurationError(f"model.problem: must be a Problem, got {type(problem).__name__}")
    check_seed("model", seed)
    if network is not None and not callable(network):
        raise ConfigurationError(f"model.network: must be a Module or build one, got {network!r}")
    if not isinstance(network, nn.Module):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = (network or MLP)(len(problem.coordinates), len(problem.unknowns))
    if not isinstance(network, nn.Module):
        raise ConfigurationError(f"model.network: must be a Module, got {type(network).__name__}")
    if not scale_inputs or isinstance(network, ScaledInput):
        return network  # one that scales already, from a run before, is left alone
    return ScaledInput(network, problem.domain.low, problem.domain.high)


def check_periodicity(problem: Problem, trial: Trial) -> None:
    """Refuses a network that is not periodic where the problem relies on it: the answer would be arbitrary."""
    parameter = next(trial.parameters())
    for name in problem.periodic_coordinates:
        column = problem.coordinates.index(name)
        left = Sobol().sample(problem.domain.face(**{name: problem.domain.low[column]}), 8, seed=0).to(parameter)
        right = left.clone()
        right[:, column] = problem.domain.high[column]
        with torch.no_grad():
            jump = (trial(left) - trial(right)).abs().max()
        if jump > 1e-3:
            raise ConfigurationError(
                f"model.network: problem {problem.name} needs a network that is periodic in {name}; give it "
                f"the embedding PeriodicEmbedding(columns=[{column}]), or put it into the loss (problem.periodic: loss)"
            )
