"""Derivatives of the residuals by the trained parameters: rows of the Jacobian, products with it and with the Hessian.

Pure functions of a system, of all parameters and buffers by name (see `Trial.tensors`) and of the rows of each
condition. Flat vectors `(n,)` hold the trained parameters in the order of `ResidualSystem.trained`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from pinnlab.numerics.linalg import Product
from pinnlab.numerics.torch_version import differentiable_in_inference_mode
from pinnlab.objective.residuals import Batch, Parameters, ResidualSystem


def stacked(system: ResidualSystem, parameters: Parameters, batch: Batch) -> Tensor:
    """All residuals in one vector `(N,)`, enhanced: by condition, then point, then equation."""
    return torch.cat([r.reshape(-1) for r in system.residuals(batch, parameters, enhanced=True).values()])


@differentiable_in_inference_mode
def jacobian_rows(
    system: ResidualSystem, parameters: Parameters, batch: Batch, scales: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The stacked residuals and their gradients with respect to the trained parameters.

    Each row is a gradient of one point's residual, so all rows cost about as much as one backward pass, where N
    vector-Jacobian products of the whole batch would cost N.

    Args:
        system: the residuals.
        parameters: every parameter and buffer by name, see `Trial.tensors`.
        batch: rows of each condition, at least one of them with any; the others have no part in the result.
        scales: `(conditions,)` factors of each condition's residuals; default ones.

    Returns:
        The residuals `(N,)`, ordered as in `stacked`, and their Jacobian `(N, n)`.
    """
    trained, others = split_parameters(system, parameters)
    values, rows = [], []
    for i, (name, points) in enumerate(batch.items()):
        if points.shape[0] == 0:
            continue
        scale = None if scales is None else scales[i]
        per_point = vmap(functools.partial(point_rows, system, name, others, scale), (None, 0))
        value, gradients = per_point(trained, points)
        values.append(value.flatten())
        equations = [torch.cat([_columns(g) for g in by_name.values()], 1) for by_name in gradients]
        # (points, equations, n) -> (points * equations, n); stacking would copy where there is one equation.
        rows.append(equations[0] if len(equations) == 1 else torch.stack(equations, 1).flatten(0, 1))
    return (values[0], rows[0]) if len(rows) == 1 else (torch.cat(values), torch.cat(rows))


@differentiable_in_inference_mode
def jacobian_product(system: ResidualSystem, parameters: Parameters, batch: Batch, vector: Tensor) -> Tensor:
    """The Jacobian of the stacked residuals times a flat vector `(n,)`, `(N,)`, without forming it.

    J v is the gradient of v'(J'u) with respect to any u: reverse mode twice, because torch's forward mode turns
    the number of points into a constant of the graph, which then cannot be compiled for all of them.
    """
    return linear_maps(system, parameters, batch)[0](vector)


@differentiable_in_inference_mode
def transposed_product(system: ResidualSystem, parameters: Parameters, batch: Batch, dual: Tensor) -> Tensor:
    """The transposed Jacobian of the stacked residuals times a vector `(N,)`, `(n,)`, without forming it."""
    trained, others = split_parameters(system, parameters)
    pull_back = vjp(lambda own: stacked(system, {**others, **own}, batch), trained)[1]
    return _flatten(pull_back(dual)[0])


@differentiable_in_inference_mode
def linear_maps(system: ResidualSystem, parameters: Parameters, batch: Batch) -> tuple[Product, Product]:
    """The two products above for many vectors: what they need of the points is computed once, and kept.

    A product then costs one pass back through the residuals, J v one pass back through that: a third of the time and
    less, because most of it goes into derivatives by the coordinates.
    """
    trained, others = split_parameters(system, parameters)
    values, pull_back = vjp(lambda own: stacked(system, {**others, **own}, batch), trained)[:2]
    push_forward = vjp(lambda dual: pull_back(dual)[0], torch.zeros_like(values))[1]
    return lambda v: push_forward(system.unflatten(v))[0], lambda u: _flatten(pull_back(u)[0])


@differentiable_in_inference_mode
def loss_gradient(system: ResidualSystem, parameters: Parameters, batch: Batch, factors: Tensor) -> Tensor:
    """The gradient `(n,)` of the sum over conditions of factor times squared sum; factors `(conditions,)`."""
    trained, others = split_parameters(system, parameters)
    return _flatten(grad(functools.partial(_weighted, system))(trained, others, batch, factors))


@differentiable_in_inference_mode
def hessian_product(
    system: ResidualSystem, parameters: Parameters, batch: Batch, factors: Tensor, vector: Tensor
) -> Tensor:
    """The Hessian of the same sum times a flat vector `(n,)`, or times each column of `(n, k)`.

    Reverse over reverse, see `jacobian_product`: about four evaluations of the sum, for each column.
    """
    trained, others = split_parameters(system, parameters)
    slope = grad(functools.partial(_weighted, system))
    pull_back = vjp(lambda own: slope(own, others, batch, factors), trained)[1]

    def product(v: Tensor) -> Tensor:
        return _flatten(pull_back(system.unflatten(v))[0])

    # Columns are taken a few at a time: the memory is that of an evaluation for each.
    return product(vector) if vector.ndim == 1 else vmap(product, 1, 1, chunk_size=16)(vector)


def split_parameters(system: ResidualSystem, parameters: Parameters) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The trained parameters by name, in their order, and all other tensors."""
    names = system.trained()
    trained = {name: parameters[name] for name in names}
    return trained, {name: value for name, value in parameters.items() if name not in names}


def point_rows(
    system: ResidualSystem, name: str, others: Parameters, scale: Tensor | None, trained: dict[str, Tensor], row: Tensor
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """One point's residuals `(equations,)` and the gradient of each."""

    def equation(own: dict[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
        parts = system.condition_residuals(name, row[None], {**others, **own})
        values = torch.stack([part.sum() for part in parts])
        values = values if scale is None else scale * values
        return values[k], values

    first, values = grad(equation, has_aux=True)(trained, 0)
    return values, [first, *(grad(equation, has_aux=True)(trained, k)[0] for k in range(1, len(values)))]


def _weighted(system: ResidualSystem, trained: Parameters, others: Parameters, batch: Batch, factors: Tensor) -> Tensor:
    return torch.dot(factors, system.squared_sums({**others, **trained}, batch))


def _flatten(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts.values()])


def _columns(gradients: Tensor) -> Tensor:
    """Gradients with respect to one parameter, `(N, ...)`, as columns; a coefficient, of shape `()`, is one."""
    return gradients.flatten(1) if gradients.ndim > 1 else gradients.unsqueeze(1)
