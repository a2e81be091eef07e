"""Does this network fit this problem? Found before the first step, where it would show late, or never."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.derivatives import MultiIndex, Wanted, partials
from pinnlab.errors import ConfigurationError, first_line
from pinnlab.numerics.swapped import call_with
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LeastSquares, NystromNewtonCG, check_squares, is_multi_eval, needs_linearization
from pinnlab.problems.base import Problem
from pinnlab.problems.conflicts import warn_of_conflicts
from pinnlab.problems.jumps import warn_of_jumps
from pinnlab.problems.pointwise import check_pointwise, couples_rows, random_conditions
from pinnlab.problems.reference_check import warn_of_reference
from pinnlab.problems.summed_times import warn_of_summed_times
from pinnlab.problems.unused import warn_of_unused
from pinnlab.samplers.sequences import few_points
from pinnlab.training.ansatz_check import check_ansatz
from pinnlab.training.rounding_check import warn_of_rounded_numbers
from pinnlab.training.size_check import warn_of_sizes

_ROWS = 5
_MANY = 256  # points at which a derivative must vanish to be taken for zero; four of them clear a smooth network
_LEAVE_OUT = "leave out detach(), .data, torch.no_grad() and what torch cannot differentiate"
_ORDERS = {2: "second", 3: "third", 4: "fourth"}


def check_setup(problem: Problem, trial: Trial) -> None:
    """Refuses a network that does not fit the problem, and a residual that couples points.

    The network must give one column for each unknown, in the dtype of its points, and row i from row i alone: a run
    evaluates points in batches, in blocks, and one by one.

    Raises:
        ConfigurationError: something does not fit; the message says what.
    """
    points = _points(problem, trial)
    with torch.no_grad(), _untouched_generators(points):
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
    check_pointwise(problem)


def check_optimizers(module: Any, optimizers: Sequence[Optimizer]) -> None:
    """Refuses optimizers that this network, a residual or an energy is not made for.

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
    comparing = [type(o).__name__ for o in optimizers if is_multi_eval(o) or needs_linearization(o)]
    by_rows = [type(o).__name__ for o in optimizers if needs_linearization(o) and not isinstance(o, NystromNewtonCG)]
    if not comparing:
        return
    points = _points(module.problem, module.trial)
    with torch.no_grad(), _untouched_generators(points):
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


def warn_of_conditions(system: ResidualSystem, weights: Tensor) -> None:
    """Warns of conditions from which nothing can be learned, or the wrong thing, see the eight functions.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    warn_of_jumps(system.problem)
    warn_of_summed_times(system.problem)
    warn_of_conflicts(system.problem)
    warn_of_reference(system.problem)
    warn_of_idle_conditions(system)
    warn_of_flat_derivatives(system)
    with _untouched_generators(weights):
        warn_of_rounded_numbers(system)
        warn_of_unused(system.problem)
        warn_of_sizes(system, weights)


def warn_of_idle_conditions(system: ResidualSystem) -> None:
    """Warns of conditions whose residual depends on nothing that is trained, as after `detach()`.

    Raises:
        ConfigurationError: it is so for all of them.
    """
    if not any(p.requires_grad for p in system.trial.network.parameters()):
        return  # coefficients are sought, with a network that is there: not all conditions have them
    own = system.trial.tensors_apart()
    idle = []
    for name, condition in system.problem.conditions.items():
        few = condition.rows(condition.some_points(_ROWS, seed=0))[:_ROWS]
        parameter = next(system.trial.parameters())
        with torch.enable_grad(), _untouched_generators(parameter):
            parts = system.condition_residuals(name, few.to(parameter), own)
        if not any(part.requires_grad for part in parts):
            idle.append(name)
    if len(idle) == len(system.problem.conditions):
        raise ConfigurationError(f"model.network: no residual depends on its parameters; {_LEAVE_OUT}")
    for name in idle:
        warnings.warn(
            f"condition {name!r}: its residual depends on nothing that is trained, so that nothing is learned from it; "
            f"{_LEAVE_OUT}",
            stacklevel=2,
        )


def warn_of_flat_derivatives(system: ResidualSystem) -> None:
    """Warns of derivatives that a residual needs and that the network has not: those of piecewise linear networks.

    Such a derivative, of order two or more, is exactly zero at every point that is tried while those one order lower
    are not. A network that does not depend on a coordinate at all is thus left alone, and one that is linear as a whole
    is not: it cannot have curvature either. Tried are weights close to the initial ones, because these may be special
    (a PirateNet begins as a linear map of its embedding), and the network without the ansatz, whose own curvature it
    would hide behind.
    """
    for name, wanted in system.wanted.items():
        flat = _flat(system, name, wanted)
        if flat:
            shape = "linear, as with ReLU" if len(flat[0]) == 2 else "polynomial"
            warnings.warn(
                f"condition {name!r}: {_described(flat, system.problem.coordinates)} zero almost everywhere (it is "
                f"piecewise {shape}); choose a smooth activation such as tanh, or a higher degree",
                stacklevel=2,
            )


# --------------------------------------------------------------------------------------- network


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
            f"model.network: no gradient reaches {cut[0]}{others}, on which its values depend; {_LEAVE_OUT}, or "
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


def _points(problem: Problem, trial: Trial) -> Tensor:
    """A few points of the domain, on the device and in the dtype of the parameters."""
    parameter = next(trial.parameters(), torch.zeros((), dtype=torch.float64))
    return few_points(problem.domain, _ROWS, seed=0).to(parameter)


def _accuracy(points: Tensor) -> float:
    """Relative differences that are taken for round-off, which deep networks of high frequencies enlarge."""
    return float(torch.finfo(points.dtype).eps ** 0.5)


def _untouched_generators(points: Tensor) -> Any:
    """A context that gives torch's global generators back as they were."""
    return torch.random.fork_rng(devices=[points.device] if points.device.type == "cuda" else [])


# ----------------------------------------------------------------------------------- derivatives


def _flat(system: ResidualSystem, name: str, wanted: Wanted) -> list[MultiIndex]:
    """The wanted derivatives of order two or more that vanish while those one order lower do not, low orders first."""
    high = {index for index in wanted.partials if len(index) > 1} | {(i, i) for axes in wanted.laplacians for i in axes}
    high |= {(sample.axes[0],) * 2 for sample in wanted.samples}  # one for all: there may be very many
    if not high:
        return []
    points = system.problem.conditions[name].some_points(system.problem.evaluation_count(_MANY), seed=0)
    points = points[:_MANY].to(next(system.trial.parameters()))
    lower = {index: {index[:i] + index[i + 1 :] for i in range(len(index))} for index in high}
    asked = Wanted(frozenset(high.union(*lower.values())))
    network, generator = system.trial.network, torch.Generator().manual_seed(0)
    weights = {
        key: p.detach() + 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p)
        for key, p in network.named_parameters()
    } | {key: buffer.clone() for key, buffer in network.named_buffers()}
    for few in (points[:4], points):
        with torch.no_grad(), _untouched_generators(points):
            found = partials(lambda x: call_with(network, weights, (x,)), few, asked, system.engine).partials
        high = {i for i in high if not found[i].any() and all(bool(found[j].any()) for j in lower[i])}
        if not high:
            return []
    return sorted(high, key=lambda index: (len(index), index))


def _described(indices: list[MultiIndex], coordinates: tuple[str, ...]) -> str:
    """In words, with a verb: those of the lowest order among the given ones."""
    order = len(indices[0])
    names = [" and ".join(coordinates[i] for i in sorted(set(index))) for index in indices if len(index) == order]
    shown, word = ", ".join(names[:3]) + (", ..." if len(names) > 3 else ""), _ORDERS.get(order, f"{order}th")
    several = len(names) > 1
    return f"the {word} derivative{'s' * several} of this network by {shown} {'are' if several else 'is'}"
