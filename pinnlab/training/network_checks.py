"""Does this network fit this problem? Found before the first step, where it would show late, or never."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.domains import Fourier, function_spaces
from pinnlab.errors import ConfigurationError, first_line
from pinnlab.networks import FNO, DeepONet, ScaledInput, Tiles, unscaled
from pinnlab.numerics.swapped import call_with
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import (
    LeastSquares,
    NystromNewtonCG,
    check_squares,
    is_multi_eval,
    needs_last_layer,
    needs_linearization,
)
from pinnlab.problems.base import Problem
from pinnlab.problems.checks import unchanged
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.pointwise import check_pointwise, couples_rows, random_conditions
from pinnlab.problems.stand_ins import residual_of_stand_ins
from pinnlab.samplers.sequences import few_points
from pinnlab.training.ansatz_check import check_ansatz

_ROWS = 5
LEAVE_OUT = "leave out detach(), .data, torch.no_grad() and what torch cannot differentiate"
"""What to do where no gradient comes through."""


def check_network(problem: Problem, trial: Trial) -> None:
    """Refuses a network that does not fit the problem or do what it relies on, and a residual that couples points.

    The network must give one column for each unknown, in the dtype of its points, and row i from row i alone: a run
    evaluates points in batches, in blocks, and one by one.

    Raises:
        ConfigurationError: something does not fit; the message says what.
    """
    unchanged(problem.name, problem.conditions, problem.wanted)
    points = _points(problem, trial)
    with torch.no_grad(), untouched_generators(points):
        _check_output(problem, trial.network, points)
        check_ansatz(problem, trial, points)
        _check_gradient(trial, points)
        if _is_random(trial, points):
            pass  # nothing can be said about its rows; `check_optimizers` knows the optimizers
        elif couples_rows(_without_traces(trial.network), points, _accuracy(points)):
            raise ConfigurationError(
                "model.network: its value at a point depends on the other points (BatchNorm, a mean over the batch); "
                "use a network whose row i depends on row i only, with LayerNorm in place of BatchNorm"
            )
        elif problem.ansatz is not None and couples_rows(_without_traces(trial), points, _accuracy(points)):
            raise ConfigurationError(
                f"problem {problem.name}: its ansatz at a point depends on the other points; build row i from row i"
            )
    with untouched_generators(points):
        check_pointwise(problem)
        _warn_of_untrained(problem, trial, points)
    for check in (_check_periodicity, _check_coordinates, _check_functions, _check_tiles):
        check(problem, trial)


def check_optimizers(module: Any, optimizers: Sequence[Optimizer]) -> None:
    """Refuses optimizers that this network, a residual, an energy or an unknown coefficient is not made for.

    A loss that is random cannot be searched along lines, nor linearized; a Jacobian of the residuals is computed point
    by point with `torch.func.vmap`, which cannot follow every operation.

    Args:
        module: the `PINN`.
        optimizers: of its phases.

    Raises:
        ConfigurationError: one of the phases has such an optimizer.
    """
    for optimizer in optimizers:
        check_squares(optimizer, module.problem.energies())
    _check_draws(optimizers, module.trial)
    _check_sought(optimizers, module.trial)
    comparing = [type(o).__name__ for o in optimizers if is_multi_eval(o) or needs_linearization(o)]
    by_rows = [type(o).__name__ for o in optimizers if needs_linearization(o) and not isinstance(o, NystromNewtonCG)]
    if not comparing:
        return
    points = _points(module.problem, module.trial)
    with torch.no_grad(), untouched_generators(points):
        random = [f"condition {name!r}: its residual" for name in random_conditions(module.problem)]
        if _is_random(module.trial, points):
            random = ["model.network: its value", *random]
        if random:
            raise ConfigurationError(
                f"{random[0]} is random (Dropout, noise), and {comparing[0]} compares values of the loss; leave that "
                "out, or train with first-order optimizers only"
            )
        if by_rows:
            _check_vmap(module.trial, points, by_rows[0])


def _check_draws(optimizers: Sequence[Optimizer], trial: Trial) -> None:
    """Refuses optimizers that compare values or gradients of one step with those of the next, each of its own draw."""
    across = [o for o in optimizers if is_multi_eval(o) and (not needs_linearization(o) or isinstance(o, LeastSquares))]
    if across and trial.draws.samples:
        raise ConfigurationError(
            f"{trial.draws.samples[0].name} is another estimate at every step, and "
            f"{type(across[0]).__name__} goes by the steps before; leave out sample, or train with Adam, SPRING or "
            "LevenbergMarquardt"
        )


def _check_sought(optimizers: Sequence[Optimizer], trial: Trial) -> None:
    """Refuses phases that all solve for the last layer: a coefficient would end as it began, as if it were found."""
    sought = [name for name, own in trial.coefficients.items() if own.requires_grad]
    if sought and all(map(needs_last_layer, optimizers)):
        raise ConfigurationError(
            f"model.phases: {type(optimizers[-1]).__name__} solves for the network's last layer only, so that nothing "
            f"finds coefficient {sought[0]!r}; take TargetRatioGaussNewton, on the same network, or as a further phase"
        )


# ------------------------------------------------------------------------------------- by itself


def _check_output(problem: Problem, network: nn.Module, points: Tensor) -> None:
    """One evaluation: that it works, and what comes out."""
    n, m, unknowns = len(points), len(problem.unknowns), ", ".join(problem.unknowns)
    given = points.clone()
    try:
        outputs = _without_traces(network)(given)
    except ConfigurationError:
        raise
    except Exception as error:
        couples = "; BatchNorm needs other points" if "per channel when training" in str(error) else ""
        raise ConfigurationError(
            f"model.network: fails on points of shape {tuple(points.shape)}, a column for each coordinate "
            f"({', '.join(problem.coordinates)}): {first_line(error)}{couples}"
        ) from error
    needed = f"problem {problem.name} has {m} unknown{'s' if m > 1 else ''} ({unknowns})"
    if not isinstance(outputs, Tensor):
        raise ConfigurationError(f"model.network: gives a {type(outputs).__name__}, not a tensor; {needed}")
    if outputs.ndim == 2 and len(outputs) == n and outputs.shape[1] != m:
        columns = outputs.shape[1]
        raise ConfigurationError(f"model.network: gives {columns} column{'s' if columns > 1 else ''}, {needed}")
    if outputs.shape != (n, m):
        raise ConfigurationError(
            f"model.network: gives shape {tuple(outputs.shape)} for {n} points, not {(n, m)}; {needed}"
        )
    if outputs.dtype != points.dtype:
        raise ConfigurationError(
            f"model.network: gives {outputs.dtype} for points of {points.dtype}; leave casts out of it, model.dtype "
            "decides"
        )
    if not torch.equal(given, points):
        raise ConfigurationError("model.network: changes the points that it is given; let it write into a clone()")


def _check_gradient(trial: Trial, points: Tensor) -> None:
    """Refuses a network that training could not change, and warns of parameters that it would leave as they are."""
    trained = {name: p for name, p in trial.network.named_parameters() if p.requires_grad}
    if not any(p.requires_grad for p in trial.parameters()):
        raise ConfigurationError("model.network: has no parameters to train")
    try:
        with torch.enable_grad():
            total = _without_traces(trial.network)(points.clone()).sum()
            if not (total.requires_grad and trained):
                return  # `warn_of_idle_conditions` tells what is not trained at all
            gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True, materialize_grads=True)
    except RuntimeError as error:
        raise ConfigurationError(
            f"model.network: has no gradient with respect to its parameters: {first_line(error)}"
        ) from error
    still = [name for name, gradient in zip(trained, gradients, strict=True) if not bool(gradient.any())]
    still = still[:: len(still) // _ROWS + 1]  # a few: most parts of a network of many see none of the points
    if still and not _is_random(trial.network, points):
        _warn_of_cut(trial.network, points, {name: trained[name] for name in still})


def _warn_of_cut(network: nn.Module, points: Tensor, still: Mapping[str, Tensor]) -> None:
    """Warns of parameters without a gradient on which the values depend all the same."""
    evaluate = _without_traces(network)
    before, generator = evaluate(points), torch.Generator().manual_seed(0)
    cut = []
    for name, parameter in still.items():
        moved = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
        moved = parameter + 1e-3 * parameter.abs().mean().clamp_min(0.1) * moved
        if not torch.equal(evaluate(points, {name: moved}), before):
            cut.append(name)
    if cut:
        others = f" and {len(cut) - 1} more" if len(cut) > 1 else ""
        warnings.warn(
            f"model.network: no gradient reaches {cut[0]}{others}, on which its values depend; {LEAVE_OUT}, or "
            "checkpoints with use_reentrant=True",
            stacklevel=2,
        )


def _check_vmap(trial: Trial, points: Tensor, optimizer: str) -> None:
    """Refuses what cannot be evaluated point by point: numbers taken out of tensors, masks that pick entries."""
    evaluate = _without_traces(trial)
    try:
        torch.func.vmap(lambda point: evaluate(point[None])[0])(points)
    except Exception as error:
        raise ConfigurationError(
            f"model.network: {optimizer} needs its Jacobian point by point, which torch.func.vmap cannot compute: "
            f"{first_line(error).rstrip('.')}; use torch.where for masks, or another optimizer"
        ) from error


def _is_random(network: nn.Module, points: Tensor) -> bool:
    """Whether two evaluations differ; random numbers of layers are drawn anew in each."""
    evaluate = _without_traces(network)
    return not torch.equal(evaluate(points).nan_to_num(), evaluate(points).nan_to_num())


def _without_traces(network: nn.Module) -> Callable[..., Tensor]:
    """The network as a function of points, and of other tensors, without trace: statistics are written into copies."""

    def evaluate(points: Tensor, others: Mapping[str, Tensor] | None = None) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        result: Tensor = call_with(network, {**buffers, **(others or {})}, (points,))
        return result

    return evaluate


def tensors_close_by(module: nn.Module) -> dict[str, Tensor]:
    """Parameters a little away from the present ones, which may be special, and copies of the buffers, by name."""
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: p.detach() + 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p)
        for name, p in module.named_parameters()
    }
    return moved | {name: buffer.clone() for name, buffer in module.named_buffers()}


def _points(problem: Problem, trial: Trial) -> Tensor:
    """A few points of the domain, on the device and in the dtype of the parameters."""
    parameter = next(trial.parameters(), torch.zeros((), dtype=torch.float64))
    return few_points(problem.domain, _ROWS, seed=0).to(parameter)


def _accuracy(points: Tensor) -> float:
    """Relative differences that are taken for round-off, which deep networks of high frequencies enlarge."""
    return float(torch.finfo(points.dtype).eps ** 0.5)


def untouched_generators(points: Tensor) -> Any:
    """A context that gives torch's global generators back as they were."""
    return torch.random.fork_rng(devices=[points.device] if points.device.type == "cuda" else [])


# ---------------------------------------------------------------------- what a problem relies on


def _warn_of_untrained(problem: Problem, trial: Trial, points: Tensor) -> None:
    """Warns of parameters outside of the trial function: no optimizer is given them, and no checkpoint has them."""
    where = []
    for name, condition in problem.conditions.items():
        residual, rows = residual_of_stand_ins(problem, condition)
        if residual(rows).requires_grad:
            where.append(f"condition {name!r}")
    if problem.ansatz is not None:
        own = {name: tensor.detach() for name, tensor in trial.tensors_apart().items()}
        if call_with(trial, own, (points,)).requires_grad:
            where.append("the ansatz")
    if where:
        warnings.warn(
            f"problem {problem.name}: {', '.join(where)}: depends on parameters that are not trained, those of a "
            "network or a number of the problem's own; make a function that is sought an unknown, and a number a "
            "Coefficient, or detach() what is to stay as it is",
            stacklevel=2,
        )


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
