"""Windows of time: where they begin and end, the module of each, and all of them as one solution."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.errors import LARGEST_SEED, ConfigurationError
from pinnlab.objective.pieces import Pieces
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.problems.window import Window, check_start, column_of, present
from pinnlab.samplers import seed_for
from pinnlab.training.checkpoint_io import refusal
from pinnlab.training.checkpoints import OF_A_WINDOW, check_made_with, check_problem, check_state
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.march import March
from pinnlab.training.module import PINN

BY_CONDITION = ("weights", "enhance", "points", "samplers")
"""Arguments of modules and data modules that are given by the names of conditions."""


def edges_in(plan: March, problem: Problem) -> list[float]:
    """Where the windows of a plan begin and end in a problem.

    Raises:
        ConfigurationError: the problem cannot be cut, or the edges are not those of its time at both ends.
    """
    column = column_of(problem, plan.coordinate)
    check_start(problem, plan.coordinate)
    low, high = problem.domain.low[column], problem.domain.high[column]
    if plan.edges is None:
        return [low + (high - low) * k / plan.count for k in range(plan.count)] + [high]
    ends = plan.edges[0], plan.edges[-1]
    if not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) for a, b in zip(ends, (low, high), strict=True)):
        raise ConfigurationError(
            f"march.edges: must go from {low:g} to {high:g}, the ends of {plan.coordinate}, got {ends[0]:g} to "
            f"{ends[1]:g}"
        )
    return [low, *map(float, plan.edges[1:-1]), high]


def may_halve(plan: March, problem: Problem, low: float, high: float) -> bool:
    """Whether a window may be halved once more, from the width that the plan gave it."""
    planned = edges_in(plan, problem)
    whole = next(b - a for a, b in itertools.pairwise(planned) if low < b)
    return (high - low) / whole > 0.75 * 0.5 ** (plan.halvings - 1)


def module_in(module: PINN, coordinate: str, edges: Sequence[float], k: int, before: Trial | None) -> PINN:
    """A module like another one, on window k of its problem, with weights of its own.

    Args:
        module: on the whole problem.
        coordinate: that is cut.
        edges: where windows begin and end.
        k: the window, from 0.
        before: the frozen solution of the window before.
    """
    window = Window(module.problem, coordinate, edges[k], edges[k + 1], before)
    network = module.constructed_with.get("network")
    if isinstance(network, nn.Module):
        network = copy.deepcopy(network)
    options = {**module.constructed_with, "problem": window, "network": network, "seed": seed_of(module, k)}
    return type(module)(**_cut(options, window))


def seed_of(module: PINN, k: int) -> int:
    """Of the network in window k: the module's own in the first."""
    seed = int(module.recipe["model"]["seed"])
    return seed if k == 0 else seed_for(seed, "window", k) % (LARGEST_SEED + 1)


def data_in(data: CollocationDataModule, window: Problem) -> CollocationDataModule:
    """A data module like another one, on a window of its problem."""
    return type(data)(**_cut({**data.constructed_with, "problem": window}, window))


def _cut(options: Mapping[str, Any], window: Problem) -> dict[str, Any]:
    """Arguments of a module or a data module, of those by condition what is for the conditions in a window."""
    return {
        key: {name: value[name] for name in present(value, window)}
        if key in BY_CONDITION and isinstance(value, Mapping)
        else value
        for key, value in options.items()
    }


@torch.no_grad()
def go_on_from(module: PINN, before: Trial, noise: float) -> None:
    """Gives a module the weights of the window before, and a little of its own fresh ones."""
    fresh = {name: parameter.clone() for name, parameter in module.trial.network.named_parameters()}
    module.trial.network.load_state_dict(before.network.state_dict())
    for name, parameter in module.trial.network.named_parameters():
        parameter.add_(fresh[name], alpha=noise)


def chain(module: PINN, saved: Mapping[str, Any]) -> list[Trial]:
    """The solutions of the windows that a checkpoint holds, in order; all but the last one are frozen.

    Args:
        module: on the whole problem, as the run was begun with.
        saved: the checkpoint.

    Raises:
        ConfigurationError: it is not of a run in windows, or of another network.
    """
    state = march_state(saved)
    last = {
        name.removeprefix("trial."): value for name, value in saved["state_dict"].items() if name.startswith("trial.")
    }
    trials: list[Trial] = []
    for k, own in enumerate([*state["before"], last]):
        before = trials[-1].frozen() if trials else None
        if before is not None:
            trials[-1] = before
        trial = module_in(module, state["coordinate"], state["edges"], k, before).trial
        shared = {} if trial.before is None else {f"before.{name}": v for name, v in trial.before.state_dict().items()}
        dtype = next(value.dtype for value in own.values() if value.is_floating_point())
        check_state(saved, {**shared, **own}, trial.state_dict())
        trial.to(dtype).load_state_dict({**shared, **own})
        trials.append(trial)
    return trials


def in_last(module: PINN, state: Mapping[str, Any], trials: Sequence[Trial]) -> PINN:
    """A module like another one, on the last window of a checkpoint, with weights of its own.

    Args:
        module: on the whole problem.
        state: see `march_state`.
        trials: see `chain`.
    """
    k = len(trials) - 1
    return module_in(module, state["coordinate"], state["edges"], k, trials[k - 1] if k else None)


def own_state(trial: Trial) -> dict[str, Tensor]:
    """The state of a window's solution, without those before it."""
    return {name: value for name, value in trial.state_dict().items() if not name.startswith("before.")}


def march_state(saved: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its windows.

    Raises:
        ConfigurationError: it is not of a run in windows, or holds weights only, or is of an earlier version, which
            kept them in another form.
    """
    state: dict[str, Any] | None = saved.get("pinnlab_march")
    if state is None and is_of_a_window(saved):
        raise refusal(saved, OF_A_WINDOW)
    if state is None:
        raise refusal(saved, "is not of a run in windows; leave out march")
    if "before" not in state:
        raise refusal(saved, "holds windows in the form of an earlier version; train them again")
    return state


def is_of_a_window(saved: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds the weights of one window, and nothing of the others."""
    return "pinnlab_march" not in saved and bool(saved["pinnlab"].get("of_a_window"))


def pieced(module: PINN, trials: Sequence[Trial], coordinate: str, edges: Sequence[float]) -> PINN:
    """The solutions of windows as one module, to be measured, drawn and saved, not to be trained.

    Args:
        module: on the whole problem.
        trials: of the first windows; they are copied, to the CPU.
        coordinate: that is cut.
        edges: where windows begin and end; the module's problem ends with the last of these windows.
    """
    reached = list(edges[: len(trials) + 1])
    view = Window(module.problem, coordinate, reached[0], reached[-1])
    view.ansatz = None  # it is in the pieces
    network = Pieces([trial.alone() for trial in trials], reached, column_of(module.problem, coordinate))
    options = {**module.constructed_with, "problem": view, "network": network, "phases": None}
    return type(module)(**{**options, "scale_inputs": False, "compile": False})


def pieced_of(module: PINN, saved: Mapping[str, Any]) -> PINN:
    """What a checkpoint of a run in windows holds, as one module; see `pieced`.

    Raises:
        ConfigurationError: it is of another problem or network; what the last window was made with tells.
    """
    check_problem(saved, module.problem)
    state, trials = march_state(saved), chain(module, saved)
    check_made_with(saved, in_last(module, state, trials))
    return pieced(module, trials, state["coordinate"], state["edges"])
