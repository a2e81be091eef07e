"""Does the loss teach the network what the conditions say? Looked at before the first step, and told in warnings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from pinnlab.derivatives import MultiIndex, Wanted, partials
from pinnlab.derivatives.multi_index import one_lower
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.swapped import call_with
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import device_of
from pinnlab.problems.conflicts import warn_of_conflicts
from pinnlab.problems.initial_speeds import warn_of_initial_speeds
from pinnlab.problems.jumps import warn_of_bent_ansatz, warn_of_jumps
from pinnlab.problems.laplacian_check import warn_of_laplacians
from pinnlab.problems.reference_check import warn_of_reference
from pinnlab.problems.unused import warn_of_unused
from pinnlab.training.network_checks import LEAVE_OUT, tensors_close_by, untouched_generators
from pinnlab.training.rounding_check import warn_of_rounded_numbers
from pinnlab.training.size_check import (
    warn_of_large_coefficients,
    warn_of_sizes,
    warn_of_tiny_losses,
    warn_of_tiny_solutions,
)

_ROWS = 5
_MANY = 256  # points at which a derivative must vanish to be taken for zero; four of them clear a smooth network
_ORDERS = {2: "second", 3: "third", 4: "fourth"}


def warn_of_conditions(system: ResidualSystem, weights: Tensor) -> None:
    """Warns of conditions from which nothing can be learned, or the wrong thing, see the functions that it calls.

    Args:
        system: as training begins.
        weights: of the conditions in the loss, in the problem's order.
    """
    weighed = [name for name, own in zip(system.problem.conditions, weights.tolist(), strict=True) if own]
    warn_of_jumps(system.problem)
    if system.trial.before is None and next(system.trial.parameters()).dtype == torch.float64:  # not of rounding errors
        warn_of_bent_ansatz(system.problem, system.trial, system.engine, device_of(system.trial))
    warn_of_laplacians(system.problem)
    warn_of_initial_speeds(system.problem)
    warn_of_conflicts(system.problem, weighed)
    warn_of_reference(system.problem, weighed)
    warn_of_large_coefficients(system)
    warn_of_idle_conditions(system, weighed)
    warn_of_flat_derivatives(system)
    with untouched_generators(weights):
        warn_of_rounded_numbers(system)
        warn_of_unused(system.problem)
        warn_of_sizes(system, weights)
        warn_of_tiny_solutions(system, weights)
        warn_of_tiny_losses(system, weights)


def warn_of_idle_conditions(system: ResidualSystem, weighed: Sequence[str]) -> None:
    """Warns of conditions whose residual depends on nothing that is trained, as after `detach()`.

    Args:
        system: as training begins.
        weighed: the names of the conditions that are in the loss.

    Raises:
        ConfigurationError: it is so for all of them, or all weights are 0.
    """
    if not weighed:
        raise ConfigurationError("model.weights: all are 0, so that nothing is learned; give one above 0")
    if not any(p.requires_grad for p in system.trial.network.parameters()):
        return  # coefficients are sought, with a network that is there: not all conditions have them
    own = system.trial.tensors_apart()
    idle = []
    for name in weighed:
        condition = system.problem.conditions[name]
        few = condition.rows(condition.some_points(_ROWS, seed=0))[:_ROWS]
        parameter = next(system.trial.parameters())
        with torch.enable_grad(), untouched_generators(parameter):
            parts = system.condition_residuals(name, few.to(parameter), own)
        if not any(part.requires_grad for part in parts):
            idle.append(name)
    if len(idle) == len(weighed):
        which = "no residual" if len(idle) == len(system.problem.conditions) else "no residual whose weight is above 0"
        raise ConfigurationError(f"model.network: {which} depends on its parameters; {LEAVE_OUT}")
    for name in idle:
        warnings.warn(
            f"condition {name!r}: its residual depends on nothing that is trained, so that nothing is learned from it; "
            f"{LEAVE_OUT}",
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


def _flat(system: ResidualSystem, name: str, wanted: Wanted) -> list[MultiIndex]:
    """The wanted derivatives of order two or more that vanish while those one order lower do not, low orders first."""
    high = {index for index in wanted.partials if len(index) > 1} | {(i, i) for axes in wanted.laplacians for i in axes}
    high |= {(sample.axes[0],) * 2 for sample in wanted.samples}  # one for all: there may be very many
    if not high:
        return []
    points = system.problem.conditions[name].some_points(system.problem.evaluation_count(_MANY), seed=0)
    points = points[:_MANY].to(next(system.trial.parameters()))
    lower = {index: {rest for rest, _ in one_lower(index)} for index in high}
    asked = Wanted(frozenset(high.union(*lower.values())))
    network, weights = system.trial.network, tensors_close_by(system.trial.network)
    for few in (points[:4], points):
        with torch.no_grad(), untouched_generators(points):
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
