"""L-BFGS with a strong-Wolfe line search."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers.flat import FlatObjective, check_parameters
from pinnlab.optimizers.limited_memory import CurvaturePairs
from pinnlab.optimizers.line_search import SearchResult, SearchStatus, StrongWolfe

_STATUSES = tuple(SearchStatus)
_CACHE = ("point", "loss", "gradient")


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal & Wright, algorithm 7.5) for deterministic losses in float64.

    There are no tolerances: a step either moves or says that it could not (`status`). When a line search
    finds no decrease, the curvature is forgotten and steepest descent is tried once from a fresh evaluation.

    Evaluations: the loss and gradient at the accepted point are kept, so a step that follows another one
    starts its first line search without evaluating that point again; the trials of the search are the calls
    of the closure that every step makes. The kept values are used only where the parameters are bitwise
    those of the accepted point, so a rollback, or anyone else who writes the parameters, costs one evaluation
    and nothing more. A change of the loss itself cannot be seen from here: call `objective_changed()`.

    Everything that it remembers is in `state` and `param_groups`, as tensors and primitives: a resumed run is
    bitwise the run that was not interrupted.

    Args:
        params: the parameters, in one group, real and of one dtype.
        lr: first trial of each line search, as a multiple of the quasi-Newton step. 1 is the length that
            gives superlinear convergence.
        history: curvature pairs to keep. 50 is enough for most PINNs; each costs two vectors.
        iterations: quasi-Newton iterations per `step`. 10 is few enough that progress bars, checkpoints and
            signals stay responsive, and many enough to hide the cost of what happens between steps.
        c1: sufficient decrease; see `StrongWolfe`.
        c2: curvature condition; see `StrongWolfe`.
        max_evaluations: budget of one line search; see `StrongWolfe`.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.

    Example:
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        >>> optimizer = LBFGS([x])
        >>> def closure():
        ...     loss = (x**2 * torch.tensor([1.0, 100.0])).sum()
        ...     loss.backward()
        ...     return loss
        >>> float(optimizer.step(closure))
        409.0
        >>> bool(closure() < 1e-10)
        True
    """

    multi_eval = True
    """Marks optimizers that evaluate the closure several times per step."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 1.0,
        history: int = 50,
        iterations: int = 10,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ) -> None:
        StrongWolfe(c1, c2, max_evaluations)
        if not lr > 0:
            raise ConfigurationError(f"lr: must be positive, not {lr}")
        for key, value in {"history": history, "iterations": iterations}.items():
            if value < 1:
                raise ConfigurationError(f"{key}: must be at least 1, not {value}")
        options = {"c1": c1, "c2": c2, "max_evaluations": max_evaluations}
        super().__init__(params, {"lr": lr, "history": history, "iterations": iterations, **options})
        check_parameters(self.param_groups[0]["params"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuses a second group: a quasi-Newton matrix couples all parameters.

        Raises:
            ConfigurationError: when there is a group already.
        """
        if self.param_groups:
            raise ConfigurationError("params: LBFGS takes one parameter group; pass a flat list of parameters")
        super().add_param_group(param_group)

    @property
    def status(self) -> StopReason:
        """STALLED when the last `step` ended because no further decrease was found, RUNNING otherwise."""
        return StopReason.RUNNING if self.search_status.moved else StopReason.STALLED

    @property
    def search_status(self) -> SearchStatus:
        """How the last line search ended; WOLFE before the first one."""
        return _STATUSES[self._memory.get("search", 0)]

    @property
    def evaluations(self) -> int:
        """How often the closure was called since the optimizer was made, also before a resume."""
        return self._memory.get("evaluations", 0)

    @property
    def loss(self) -> float | None:
        """The loss at the accepted point; None before the first step and after a change of the objective."""
        return self._memory.get("loss")

    def objective_changed(self) -> None:
        """Forgets what belongs to the old objective: the kept loss and gradient, and the curvature pairs."""
        self._forget()
        self._pairs.clear()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a copy of a state: the history is updated in place, the given dictionary stays as it is."""
        super().load_state_dict(copy.deepcopy(state_dict))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """Makes up to `iterations` quasi-Newton iterations; fewer only when the run stalls.

        Args:
            closure: computes the loss, calls `backward` and returns the loss. It is called at least once.

        Returns:
            The loss at the start of the step.

        Raises:
            ConfigurationError: when there is no closure, or it returns no loss.
        """
        if closure is None:
            raise ConfigurationError("closure: LBFGS evaluates the loss several times; call step(closure)")
        objective = FlatObjective(self.param_groups[0]["params"], closure)
        memory, point = self._memory, objective.point()
        kept = "point" in memory and torch.equal(memory["point"], point)
        if not kept:
            self._evaluate(objective, point)
        first = memory["gradient"].new_tensor(memory["loss"])
        for _ in range(self.param_groups[0]["iterations"]):
            if not self._iterate(objective, fresh=not kept):
                break
            kept = False
        objective.move(memory["point"])
        objective.leave_gradient(memory["gradient"])
        memory["evaluations"] = self.evaluations + objective.evaluations
        if self.status is StopReason.STALLED:
            self._forget()
        return first

    def _iterate(self, objective: FlatObjective, *, fresh: bool) -> bool:
        """One iteration from the kept point; `fresh` says that its values were computed in this step."""
        result, direction = self._search(objective)
        if not result.status.moved and (len(self._pairs) or not fresh):
            self._pairs.clear()
            self._evaluate(objective, self._memory["point"])
            result, direction = self._search(objective)
        self._memory["search"] = _STATUSES.index(result.status)
        if not result.status.moved:
            return False
        self._accept(result, direction)
        return True

    def _search(self, objective: FlatObjective) -> tuple[SearchResult, Tensor]:
        point, loss, gradient = (self._memory[key] for key in _CACHE)
        direction = self._direction(gradient)
        group = self.param_groups[0]

        def evaluate(step: float) -> tuple[Tensor, Tensor]:
            return objective(point.add(direction, alpha=step))

        rule = StrongWolfe(group["c1"], group["c2"], group["max_evaluations"])
        return rule.search(evaluate, direction, loss, gradient, float(group["lr"])), direction

    def _direction(self, gradient: Tensor) -> Tensor:
        if len(self._pairs):
            return self._pairs.times(gradient).neg_()
        # No curvature yet: a step of length at most one (in the 1-norm) keeps the first trial at home.
        return -gradient / gradient.abs().sum().clamp(min=1)

    def _accept(self, result: SearchResult, direction: Tensor) -> None:
        memory = self._memory
        point = memory["point"].add(direction, alpha=result.step)
        # The difference of the rounded points is the step that was really made.
        self._pairs.append(point - memory["point"], result.gradient - memory["gradient"])
        self._keep(point, result.loss, result.gradient)

    def _evaluate(self, objective: FlatObjective, point: Tensor) -> None:
        loss, gradient = objective(point)
        self._keep(point, float(loss), gradient)

    def _keep(self, point: Tensor, loss: float, gradient: Tensor) -> None:
        self._memory.update(zip(_CACHE, (point, loss, gradient), strict=True))

    def _forget(self) -> None:
        for key in _CACHE:
            self._memory.pop(key, None)

    @property
    def _memory(self) -> dict[str, Any]:
        return self.state[self.param_groups[0]["params"][0]]

    @property
    def _pairs(self) -> CurvaturePairs:
        return CurvaturePairs(self._memory, self.param_groups[0]["history"])
