"""The loss of a `PINN` as a sum of squares in float64, to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pinnlab.objective.gradients import row_counts
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.trial_function import beside


def linearization(
    module: Any, rows: Mapping[str, Tensor], functions: LinearizedFunctions | None = None
) -> Linearization:
    """The loss of a `PINN` on this rank's share of some rows around the present parameters; a collective.

    In float64 whatever the phase's precision, with the weights of the conditions as they stand.

    Args:
        module: the `PINN`.
        rows: of each condition, in any precision, on any device.
        functions: how to evaluate; default: new ones that are not compiled. Compiled ones of the run would keep the
            sizes of blocks, and those must stay as they are.
    """
    functions = functions or LinearizedFunctions(module.system)
    exact, weights = doubled(beside(module.trial, rows)), module.loss_weights.double()
    return Linearization(functions, doubled(module.trial.tensors()), exact, weights / row_counts(exact, weights))


def doubled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached tensors, those of numbers that are not whole in float64."""
    return {name: t.detach().double() if t.is_floating_point() else t for name, t in tensors.items()}
