"""A loss together with its gradient, as one computation that is compiled, or replayed on a GPU.

The loss of a PINN is evaluated ten thousand times, so what a call costs counts. `torch.compile` makes two graphs of it,
hands intermediate results over between them, and checks guards at each call: for 1,000 points that takes 1.4 times as
long as the one graph made here. It is traced (`make_fx`) with the gradient in it and goes to torch's code generator,
Inductor, directly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pinnlab.numerics.compilation import TensorFunction
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.tensor_lists import copies, laid_out_like


class CompiledLoss:
    """A weighted loss whose value and gradient are computed together, by one graph.

    Args:
        squared_sums: the sum of squared residuals of each condition, `(parameters, inputs) -> (conditions,)`; see
            `pinnlab.numerics.compiled_value.CompiledValue` for what it may do.
        make: how a pure function is evaluated without a tape; by default compiled.
    """

    def __init__(
        self, squared_sums: TensorFunction, make: Callable[[TensorFunction], TensorFunction] = CompiledValue
    ) -> None:
        self._squared_sums, self._make = squared_sums, make
        self._compiled: dict[tuple[str, ...], TensorFunction] = {}

    def __call__(
        self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor], factors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss, differentiable once with respect to the parameters, and the sums it is made of.

        Args:
            parameters: all tensors besides the points; the gradient is that for those that require one.
            inputs: for each condition its rows.
            factors: of the sums in the loss, `(conditions,)`.

        Returns:
            The loss `factors @ sums`, and the sums `(conditions,)`, detached.
        """
        trained = tuple(name for name, p in parameters.items() if p.requires_grad)
        if trained not in self._compiled:
            self._compiled[trained] = self._make(_with_gradient(self._squared_sums, trained))
        loss, sums, gradients = self._compiled[trained](with_factors(parameters, factors), inputs)
        return with_gradient(loss, gradients, [parameters[name] for name in trained]), sums


_FACTORS = "factors of the loss"


def _with_gradient(squared_sums: TensorFunction, trained: tuple[str, ...]) -> TensorFunction:
    """The function that returns the loss, the sums and the gradient."""

    @functools.wraps(squared_sums)
    def evaluate(
        tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        parameters = {name: tensor.detach() for name, tensor in tensors.items()}
        factors = parameters.pop(_FACTORS)
        leaves = [parameters[name].requires_grad_() for name in trained]
        with torch.enable_grad():
            sums = squared_sums(parameters, inputs)
            loss = torch.dot(factors, sums)
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True) if leaves else ()
        return loss.detach(), sums.detach(), list(gradients)

    return evaluate


def with_gradient(loss: Tensor, gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """A loss that is differentiable once with respect to parameters, with gradients that are known; None for zero."""
    return cast("Tensor", _KnownGradient.apply(loss, [*gradients], *parameters))


class _KnownGradient(torch.autograd.Function):
    """Attaches a gradient that is known already to a value."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *parameters: Tensor) -> Tensor:
        ctx.known = list(zip(parameters, gradients, strict=True))
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        present = iter(torch._foreach_mul([g for _, g in ctx.known if g is not None], factor))
        return None, None, *(None if g is None else next(present) for _, g in ctx.known)


def gradients_by(loss: Callable[..., tuple[Tensor, Tensor]]) -> TensorFunction:
    """The gradient of a loss, as a pure function of parameters with factors, see `with_factors`, and points.

    Args:
        loss: as `CompiledLoss`, or any function of its arguments.

    Returns:
        A function that returns the gradients by name; None where the loss does not depend on a parameter.
    """

    def gradients(tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
        parameters = dict(tensors)
        factors = parameters.pop(_FACTORS)
        trained = {name: p for name, p in parameters.items() if p.requires_grad}
        with torch.enable_grad():
            value, _ = loss(parameters, inputs, factors)
            known = getattr(value.grad_fn, "known", None)
            if known is None:
                found = torch.autograd.grad(value, [*trained.values()], allow_unused=True)
            else:
                found = tuple(gradient for _, gradient in known)
        return dict(zip(trained, found, strict=True))

    return gradients


def with_factors(parameters: Mapping[str, Tensor], factors: Tensor) -> dict[str, Tensor]:
    """Parameters and the factors of the sums in a loss as arguments of one computation."""
    return {**parameters, _FACTORS: factors}


def add_losses(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two losses of the same parameters, whose gradient is known if both are, and nothing else kept."""
    known, more = (getattr(loss.grad_fn, "known", None) for loss in (one, other))
    if known is None or more is None or [id(p) for p, _ in known] != [id(p) for p, _ in more]:
        return one + other
    gradients = [a if b is None else b if a is None else a + b for (_, a), (_, b) in zip(known, more, strict=True)]
    return _KnownGradient.apply(one.detach() + other.detach(), gradients, *(p for p, _ in known))


def leave_gradient(loss: Tensor) -> bool:
    """Does what `loss.backward()` does for a loss as `CompiledLoss` returns it, whose gradient is known already.

    Autograd's engine takes 70 microseconds to hand a small network's gradient over.

    Returns:
        Whether it could: not with a loss that comes from elsewhere or was changed since, nor where a hook is to see
        a parameter's gradient.
    """
    known = getattr(loss.grad_fn, "known", None)
    if known is None or any(p._backward_hooks or p._post_accumulate_grad_hooks for p, _ in known):
        return False
    present = [(p, g) for p, g in known if g is not None]
    # Copies: what a graph returns for two parameters may be one tensor, and gradients are clipped in place.
    for (parameter, _), own in zip(present, copies([g for _, g in present]), strict=True):
        own = laid_out_like(parameter, own)  # as the engine does it
        parameter.grad = own if parameter.grad is None else parameter.grad + own
    return True
