"""What all quasi-Newton methods share: a direction from curvature learned so far, and a line search along it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, StopReason, check_positive, check_real, check_whole, unknown
from pinnlab.numerics.linalg import SquareRoot
from pinnlab.optimizers.flat import FlatObjective, FlatOptimizer
from pinnlab.optimizers.hager_zhang import HagerZhang
from pinnlab.optimizers.line_search import LineSearch, SearchResult, SearchStatus, StrongWolfe

_STATUSES = tuple(SearchStatus)
_CACHE = ("point", "loss", "gradient")
_SEARCHES = ("strong_wolfe", "hager_zhang")


class QuasiNewton(FlatOptimizer):
    """A quasi-Newton method for deterministic losses: subclasses say how curvature is kept and used.

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
        lr: first trial of each line search, as a multiple of the quasi-Newton step.
        iterations: quasi-Newton iterations per `step`.
        line_search: `strong_wolfe` or `hager_zhang`.
        c1: sufficient decrease; see `StrongWolfe` (Hager & Zhang's delta).
        c2: curvature condition; see `StrongWolfe` (Hager & Zhang's sigma).
        max_evaluations: budget of one line search.
        **options: what the subclass keeps in the parameter group.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.
    """

    multi_eval = True
    """Marks optimizers that evaluate the closure several times per step."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        iterations: int,
        line_search: str,
        c1: float,
        c2: float,
        max_evaluations: int,
        **options: Any,
    ) -> None:
        check_whole("", least=1, iterations=iterations, max_evaluations=max_evaluations)
        check_positive("", lr=lr)
        check_real("", c1=c1, c2=c2)
        own = {"lr": lr, "iterations": iterations, "line_search": line_search, "c1": c1, "c2": c2}
        own["max_evaluations"] = max_evaluations
        _line_search(own)
        super().__init__(params, {**own, **options})

    @property
    def status(self) -> StopReason:
        """STALLED when the last `step` ended because no further decrease was found, RUNNING otherwise."""
        return StopReason.RUNNING if self.search_status.moved else StopReason.STALLED

    @property
    def search_status(self) -> SearchStatus:
        """How the last line search ended; WOLFE before the first one."""
        return _STATUSES[self._memory.get("search", 0)]

    @property
    def loss(self) -> float | None:
        """The loss where the last step ended; None before the first step and after a change of the objective."""
        return self._memory.get("loss")

    def objective_changed(self) -> None:
        """Forgets the kept loss and gradient, which belong to the old objective, and unsound curvature."""
        self._forget()
        self._carry_over()

    def inverse_hessian_root(self) -> SquareRoot | None:
        """L with L L' = H, the approximate inverse Hessian; None before anything was learned, or if H has no root."""
        return self._root() if self._has_curvature() else None

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """Makes up to `iterations` quasi-Newton iterations; fewer only when the run stalls.

        Args:
            closure: computes the loss, calls `backward` and returns the loss. It is called at least once.

        Returns:
            The loss at the start of the step.

        Raises:
            ConfigurationError: when there is no closure, it returns no loss, or a parameter was frozen in mid-phase.
        """
        if closure is None:
            name = type(self).__name__
            raise ConfigurationError(f"closure: {name} evaluates the loss several times; call step(closure)")
        objective = self._objective(closure)
        memory, point = self._memory, objective.point()
        kept = "point" in memory and torch.equal(memory["point"], point)
        if not kept:
            self._evaluate(objective, point)
        first = memory["gradient"].new_full((), memory["loss"])
        for _ in range(self.param_groups[0]["iterations"]):
            if not self._iterate(objective, fresh=not kept):
                break
            kept = False
        objective.move(memory["point"])
        objective.leave_gradient(memory["gradient"])
        memory["evaluations"] = self.evaluations + objective.evaluations
        if self.status is StopReason.STALLED:
            # Evaluated afresh next time; the loss stays known: the last evaluation was a trial of the search.
            del memory["point"], memory["gradient"]
        return first

    # -------------------------------------------------------------------- what a subclass says

    @abstractmethod
    def _has_curvature(self) -> bool:
        """Whether anything was learned: without it a direction is that of steepest descent."""

    @abstractmethod
    def _times(self, gradient: Tensor) -> Tensor:
        """The product of the inverse Hessian's approximation with `(n,)`; asked only when there is curvature."""

    @abstractmethod
    def _root(self) -> SquareRoot | None:
        """A square root of the inverse Hessian's approximation; asked only when there is curvature."""

    @abstractmethod
    def _learn(self, s: Tensor, y: Tensor, gradient: Tensor, step: float) -> None:
        """Takes in an accepted step.

        Args:
            s: `(n,)` the step.
            y: `(n,)` the change of the gradient over it.
            gradient: `(n,)` the gradient where the step began.
            step: the step length t in s = -t H g.
        """

    @abstractmethod
    def _restart(self) -> None:
        """Forgets all curvature."""

    def _carry_over(self) -> None:
        """Decides what curvature survives a change of the objective; by default none does."""
        self._restart()

    # ----------------------------------------------------------------------------- details

    def _iterate(self, objective: FlatObjective, *, fresh: bool) -> bool:
        """One iteration from the kept point; `fresh` says that its values were computed in this step."""
        result, direction = self._search(objective)
        if not result.status.moved and (self._has_curvature() or not fresh):
            self._restart()
            self._evaluate(objective, self._memory["point"])
            result, direction = self._search(objective)
        self._note(result.status)
        if not result.status.moved:
            return False
        self._accept(result, direction)
        return True

    def _search(self, objective: FlatObjective) -> tuple[SearchResult, Tensor]:
        direction, first = self._direction(self._memory["gradient"])
        return self._search_along(objective, direction, self.param_groups[0]["lr"] * first), direction

    def _search_along(self, objective: FlatObjective, direction: Tensor, first: float) -> SearchResult:
        """Searches along `(n,)` from the kept point; `first` is the first trial."""
        point, loss, gradient = (self._memory[key] for key in _CACHE)

        def evaluate(step: float) -> tuple[Tensor, Tensor]:
            return objective(point.add(direction, alpha=step))

        return _line_search(self.param_groups[0]).search(evaluate, direction, loss, gradient, first)

    def _note(self, status: SearchStatus) -> None:
        self._memory["search"] = _STATUSES.index(status)

    def _direction(self, gradient: Tensor) -> tuple[Tensor, float]:
        """Where to go, and the natural step length there."""
        if self._has_curvature():
            return self._times(gradient).neg_(), 1.0
        # No curvature yet: a step of length at most one (in the 1-norm) keeps the first trial at home.
        return -gradient, 1 / max(float(gradient.abs().sum()), 1.0)

    def _accept(self, result: SearchResult, direction: Tensor) -> None:
        memory = self._memory
        point = memory["point"].add(direction, alpha=result.step)
        # The difference of the rounded points is the step that was really made.
        s, y = point - memory["point"], result.gradient - memory["gradient"]
        self._learn(s, y, memory["gradient"], result.step)
        self._keep(point, result.loss, result.gradient)

    def _evaluate(self, objective: FlatObjective, point: Tensor) -> None:
        loss, gradient = objective(point)
        self._keep(point, float(loss), gradient)

    def _keep(self, point: Tensor, loss: float, gradient: Tensor) -> None:
        self._memory.update(zip(_CACHE, (point, loss, gradient), strict=True))

    def _forget(self) -> None:
        for key in _CACHE:
            self._memory.pop(key, None)


def _line_search(options: Mapping[str, Any]) -> LineSearch:
    name, c1, c2 = (options[key] for key in ("line_search", "c1", "c2"))
    if name not in _SEARCHES:
        raise unknown("line_search", name, _SEARCHES)
    if name == "hager_zhang":
        return HagerZhang(delta=c1, sigma=c2, max_evaluations=options["max_evaluations"])
    return StrongWolfe(c1, c2, options["max_evaluations"])
