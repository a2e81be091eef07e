"""L-BFGS whose mini-batch changes at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, StopReason, check_positive, check_real, check_whole
from pinnlab.objective.batch_overlap import BatchOverlap
from pinnlab.optimizers.flat import FlatOptimizer
from pinnlab.optimizers.limited_memory import CurvaturePairs, check_history

_SHARED = ("shared_point", "shared_gradient", "shared_number")


class MultiBatchLBFGS(FlatOptimizer):
    """Multi-batch L-BFGS (Berahas, Nocedal & Takáč, arXiv 1605.06049) for losses too large to evaluate in full.

    The difference of the gradients of two mini-batches is mostly noise. Here successive batches S_k and S_k+1 share
    the rows O_k, and y_k = grad_O_k(w_k+1) - grad_O_k(w_k) is a difference of one and the same function. A step is
    w_k+1 = w_k - lr H_k grad_S_k(w_k): one evaluation of the loss and gradient on the batch, and one gradient on each
    of its two overlaps.

    There is no line search: a step that satisfies Armijo's condition on its own batch fits that batch rather than the
    loss, and costs an evaluation more. At equal cost it was no better on Burgers' equation (500 of 3,000 points) and
    twice the loss on the heat equation (250 of 1,500). On Burgers the constant step of the paper diverged for
    every `lr` from 0.03 to 1 without a limit of its length, hence `max_norm`.

    When to choose it: where all points together cost too much, and the batches are large beside the number of
    parameters. Otherwise `LBFGS` on all points is far ahead: at equal cost and from the same start, a loss of 1.5e-3
    against 4e-2 here (and with Adam) on Burgers, 2e-7 against 3e-6 here (1e-5 with Adam) on the heat equation. A long
    phase of Adam with a decaying rate can be ahead of it too: relative L2 error 2.4e-2 against 7.1e-2 on
    Burgers' equation in mini-batches of 500 points, at about the same cost.

    A step without an `overlap` takes it that all rows are shared: the loss must be the same function at every step
    (`CollocationDataModule` without `batch_size`). That works, but `LBFGS` does it better.

    Everything that it remembers is in `state` and `param_groups`, as tensors and primitives. New points or weights do
    not end the memory, since its pairs belong to different batches anyway; only the pair across the change is left
    out. Points that are new at every step therefore never make a pair: what is left is steepest descent.

    Args:
        params: the parameters, in one group, real and of one dtype.
        lr: step length, as a multiple of the quasi-Newton step. A full step fits the batch; 0.3 reached lower losses
            than 1 everywhere, and needs no more steps than 0.1.
        max_norm: longest step in the 2-norm; 0 is no limit. With 0.1 repeated runs on Burgers ended alike, with 1
            they differed by a factor of four.
        history: curvature pairs to keep. 5 are too few (seven times the loss on the heat equation), 50 little better.
        curvature: the cautious update's epsilon: a pair is kept only if s'y >= curvature s's, which bounds the
            matrix. In units of the loss's second derivatives, so small beside 1 for residuals scaled to order 1.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.
    """

    multi_eval = True
    """No gradient clipping, no accumulation, no mixed precision: differences of gradients need the true ones."""

    wants_overlap = True
    """Marks optimizers whose successive mini-batches must share rows; `step` takes the keyword `overlap`."""

    evaluations_per_step = 3

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 0.3,
        max_norm: float = 0.1,
        history: int = 20,
        curvature: float = 1e-4,
    ) -> None:
        check_whole("", least=1, history=history)
        check_positive("", lr=lr, curvature=curvature)
        check_real("", max_norm=max_norm)
        if not max_norm >= 0:
            raise ConfigurationError(f"max_norm: must not be negative, not {max_norm}")
        super().__init__(params, {"lr": lr, "max_norm": max_norm, "history": history, "curvature": curvature})

    @property
    def status(self) -> StopReason:
        """STALLED when the loss or its gradient is not finite and there is no point to go back to."""
        return StopReason.STALLED if self._memory.get("stalled", False) else StopReason.RUNNING

    def check_memory(self, residuals: int = 0) -> None:
        """Refuses a history that does not fit, whatever the number of residuals; see `check_history`."""
        check_history(self)

    def objective_changed(self) -> None:
        """Forgets the gradient kept for the next pair; the pairs stay."""
        self._forget_shared()

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None, overlap: BatchOverlap | None = None
    ) -> Tensor:
        """Makes one iteration.

        A batch on which the loss or its gradient is not finite sends the parameters back to where the last step
        began, without the curvature that led away from there.

        Args:
            closure: computes the loss on the present batch, calls `backward` and returns the loss; called once.
            overlap: gradients on the rows shared with the batches before and after; None when all are.

        Returns:
            The loss at the start of the step, on the present batch.

        Raises:
            ConfigurationError: there is no closure, it returns no loss, or a parameter was frozen in mid-phase.
        """
        if closure is None:
            raise ConfigurationError("closure: MultiBatchLBFGS needs the loss and its gradient; call step(closure)")
        objective = self._objective(closure)
        point = objective.point()
        loss, gradient = objective(point)
        finite = bool((gradient.isfinite().all() & loss.isfinite()).item())
        if finite:
            self._learn(point, gradient, overlap)
            objective.move(point + self._step(gradient))
        elif "shared_point" in self._memory:
            objective.move(self._memory["shared_point"])
        self._memory["stalled"] = not finite and "shared_point" not in self._memory
        if not finite:
            self._forget_shared()
            self._pairs.clear()
        spent = 0 if overlap is None else overlap.evaluations
        self._memory["evaluations"] = self.evaluations + objective.evaluations + spent
        return loss

    # ----------------------------------------------------------------------------- details

    def _learn(self, point: Tensor, gradient: Tensor, overlap: BatchOverlap | None) -> None:
        """Takes in the pair that the last step began and this batch completes, and begins the next one."""
        memory = self._memory
        number = -1 if overlap is None else overlap.number
        if memory.get("shared_number") == (-1 if overlap is None else number - 1):
            s = point - memory["shared_point"]
            y = (gradient if overlap is None else overlap.first()) - memory["shared_gradient"]
            # False also where something is not finite.
            if bool((s @ y >= self.param_groups[0]["curvature"] * (s @ s)).item()):
                self._pairs.append(s, y)
        kept = gradient if overlap is None else overlap.last()
        memory.update(zip(_SHARED, (point, kept, number), strict=True))

    def _step(self, gradient: Tensor) -> Tensor:
        """The step `(n,)` from here, no longer than allowed."""
        group, pairs = self.param_groups[0], self._pairs
        # No curvature yet: a step of length at most `lr` (in the 1-norm) stays at home.
        natural = pairs.times(gradient) if len(pairs) else gradient / gradient.abs().sum().clamp_min(1.0)
        step = -group["lr"] * natural
        return step * (group["max_norm"] / step.norm()).clamp_max(1.0) if group["max_norm"] else step

    def _forget_shared(self) -> None:
        for key in _SHARED:
            self._memory.pop(key, None)

    @property
    def _pairs(self) -> CurvaturePairs:
        return CurvaturePairs(self._memory, self.param_groups[0]["history"])
