"""What optimizers share that work on the loss as a sum of squares around the present parameters."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.flat import FlatOptimizer, refrozen


class LinearizedOptimizer(FlatOptimizer):
    """An optimizer whose step needs a `linearization` beside the closure: the residual, its Jacobian, the Hessian.

    A step is one iteration: one evaluation with gradient, and what the subclass asks of the linearization. When that
    finds no decrease, nothing moves and `status` says STALLED. `PINN` hands the linearization over.

    Everything that it remembers is in `state` and `param_groups`, as tensors and primitives: a resumed run is
    bitwise the run that was not interrupted.

    Args:
        params: the parameters, in one group, real and of one dtype.
        options: what the parameter group keeps.

    Raises:
        ConfigurationError: there is more than one parameter group, or the parameters do not fit into one vector.
    """

    multi_eval = True
    """Marks optimizers that evaluate the loss several times per step: no gradient clipping, all points."""

    needs_linearization = True
    """Marks optimizers whose `step` wants the keyword `linearization`."""

    needs_jacobian = False
    """Marks optimizers whose step computes the whole Jacobian: loss and gradient are then taken out of it."""

    @property
    def status(self) -> StopReason:
        """STALLED when the last step found no decrease, RUNNING otherwise."""
        return StopReason.STALLED if self._memory.get("stalled", False) else StopReason.RUNNING

    @property
    def loss(self) -> float | None:
        """The loss after the last step, on the points of that step; None before the first."""
        return self._memory.get("loss")

    def objective_changed(self) -> None:
        """Nothing to forget: what is remembered is meant to outlive the points."""

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None, linearization: Linearization | None = None
    ) -> Tensor:
        """Makes one iteration.

        Args:
            closure: computes the loss, calls `backward` and returns the loss; called once.
            linearization: the same loss as a sum of squares around the present parameters.

        Returns:
            The loss before the step.

        Raises:
            ConfigurationError: one of the two is missing, or a parameter was frozen, or is no more, in mid-phase.
        """
        name = type(self).__name__
        if closure is None or linearization is None:
            missing = "closure" if closure is None else "linearization"
            raise ConfigurationError(f"{missing}: {name} needs the residual; train with PINN, or pass it to step")
        objective = self._objective(closure)
        point = objective.point()
        if len(linearization.point) != len(point):
            raise refrozen(self)
        loss, gradient = objective(point)
        # Fetched together: on a GPU each transfer waits for the evaluation.
        value, steepest = torch.stack([loss.detach().reshape(()), gradient.abs().amax()]).tolist()
        finite = math.isfinite(value) and math.isfinite(steepest)  # else a factorisation of J would fail
        found = self._improve(linearization, point, value, gradient) if finite else None
        self._memory["stalled"] = found is None
        self._memory["loss"] = value if found is None else found[1]
        if found is not None:
            objective.move(found[0])
        self._memory["evaluations"] = self.evaluations + objective.evaluations + linearization.evaluations
        return loss

    @abstractmethod
    def _improve(
        self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor
    ) -> tuple[Tensor, float] | None:
        """The iteration itself.

        Args:
            linearization: around `point`.
            point: `(n,)` the present parameters.
            loss: the loss there, finite.
            gradient: `(n,)` its gradient there, finite.

        Returns:
            The new parameters `(n,)` and the loss there; None when there is no decrease.
        """
