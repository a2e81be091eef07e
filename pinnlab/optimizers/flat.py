"""Parameters as one flat vector, and a closure as a function of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError


def check_parameters(parameters: Sequence[Tensor]) -> None:
    """Refuses parameters that do not fit into one real vector.

    Raises:
        ConfigurationError: when there is no parameter, one is not real, or their dtypes differ.
    """
    dtypes = sorted({str(p.dtype) for p in parameters})
    if len(dtypes) != 1 or not parameters[0].is_floating_point():
        found = ", ".join(dtypes) or "no parameters"
        raise ConfigurationError(f"params: need real parameters of one dtype, got {found}; convert the model")


def refrozen(optimizer: Optimizer) -> ConfigurationError:
    """What is said where parameters were frozen, or are no more, in mid-phase."""
    return ConfigurationError(
        f"params: requires_grad of a parameter has changed since {type(optimizer).__name__} was made; change it before "
        "the run, or after the last step of a phase"
    )


class FlatOptimizer(Optimizer):
    """An optimizer of all parameters as one flat vector.

    Everything that it remembers is in `state` and `param_groups`, as tensors and primitives: a resumed run is
    bitwise the run that was not interrupted.

    Args:
        params: the parameters, in one group, real and of one dtype.
        options: what the parameter group keeps.

    Raises:
        ConfigurationError: there is more than one parameter group, or the parameters do not fit into one vector.
    """

    _trained: Sequence[bool] | None = None  # unknown of a copy: torch's optimizers do not copy other attributes

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], options: dict[str, Any]) -> None:
        super().__init__(params, options)
        own = self.param_groups[0]["params"]
        check_parameters(own)
        self._trained = [p.requires_grad for p in own]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuses a second group: the matrix of a second-order method couples all parameters.

        Raises:
            ConfigurationError: when there is a group already.
        """
        if self.param_groups:
            name = type(self).__name__
            raise ConfigurationError(f"params: {name} takes one parameter group; pass a flat list of parameters")
        super().add_param_group(param_group)

    @property
    def evaluations(self) -> int:
        """Evaluations made, also before a resume: of losses and gradients, and of Jacobians and products with them."""
        return self._memory.get("evaluations", 0)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a copy of a state: what is remembered is updated in place, the given dictionary stays as it is."""
        super().load_state_dict(copy.deepcopy(state_dict))

    @property
    def _memory(self) -> dict[str, Any]:
        return self.state[self.param_groups[0]["params"][0]]

    def _objective(self, closure: Callable[[], Tensor]) -> FlatObjective:
        """The loss and gradient as a function of all parameters, for one step.

        Raises:
            ConfigurationError: a parameter was frozen, or is no more, in mid-phase; kept curvature would move it on.
        """
        own = self.param_groups[0]["params"]
        if self._trained is not None and [p.requires_grad for p in own] != self._trained:
            raise refrozen(self)
        return FlatObjective(own, closure)


class FlatObjective:
    """The loss and gradient that a closure computes, as a function of the flat vector of all parameters.

    Args:
        parameters: the tensors that the closure's loss depends on.
        closure: computes the loss, calls `backward` and returns the loss.

    Attributes:
        evaluations: how often the closure was called.
    """

    def __init__(self, parameters: Sequence[Tensor], closure: Callable[[], Tensor]) -> None:
        self._parameters = parameters
        self._closure = closure
        self._sizes = [p.numel() for p in parameters]
        self.evaluations = 0

    def point(self) -> Tensor:
        """A copy `(n,)` of where the parameters are."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters])

    def move(self, point: Tensor) -> None:
        """Writes a flat vector `(n,)` into the parameters."""
        with torch.no_grad():
            for parameter, part in zip(self._parameters, point.split(self._sizes), strict=True):
                parameter.copy_(part.view_as(parameter))

    def leave_gradient(self, gradient: Tensor) -> None:
        """Writes `(n,)` into the gradients, so that who looks at them next sees the accepted point's."""
        for parameter, part in zip(self._parameters, gradient.split(self._sizes), strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))

    def __call__(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Moves to `point` and evaluates the closure there.

        Returns:
            The loss, detached, as the closure returned it, and the gradient `(n,)`. A parameter that the
            loss does not reach has gradient zero.

        Raises:
            ConfigurationError: when the closure returns no loss.
        """
        self.move(point)
        for parameter in self._parameters:
            parameter.grad = None
        with torch.enable_grad():
            loss = self._closure()
        self.evaluations += 1
        if loss is None:
            raise ConfigurationError("closure: returned None; it must return the loss")
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        return torch.as_tensor(loss).detach(), torch.cat([p.detach().reshape(-1) for p in parts])
