"""L-BFGS with a line search that does not give up silently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from pinnlab.errors import check_whole
from pinnlab.numerics.linalg import SquareRoot
from pinnlab.optimizers.limited_memory import CurvaturePairs, check_history
from pinnlab.optimizers.quasi_newton import QuasiNewton


class LBFGS(QuasiNewton):
    """Limited-memory BFGS (Nocedal & Wright, algorithm 7.5) for deterministic losses in float64.

    Steps, restarts, evaluations and what a checkpoint holds: see `QuasiNewton`. New points end its memory:
    pairs of two objectives would make the matrix wrong, and it relearns quickly.

    Args:
        params: the parameters, in one group, real and of one dtype.
        lr: first trial of each line search, as a multiple of the quasi-Newton step. 1 is the length that
            gives superlinear convergence.
        history: curvature pairs to keep. 50 is enough for most PINNs; each costs two vectors.
        iterations: quasi-Newton iterations per `step`. 10 is few enough that progress bars, checkpoints and
            signals stay responsive, and many enough to hide the cost of what happens between steps.
        line_search: `strong_wolfe` or `hager_zhang`; both take the first trial nearly always.
        c1: sufficient decrease; see `StrongWolfe`. Hager and Zhang take 0.1 for theirs.
        c2: curvature condition; see `StrongWolfe`.
        max_evaluations: budget of one line search; see `StrongWolfe`.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.

    Examples:
        >>> import torch
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

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 1.0,
        history: int = 50,
        iterations: int = 10,
        line_search: str = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ) -> None:
        check_whole("", least=1, history=history)
        search: dict[str, Any] = {"line_search": line_search, "c1": c1, "c2": c2, "max_evaluations": max_evaluations}
        super().__init__(params, lr=lr, iterations=iterations, history=history, **search)

    def check_memory(self, residuals: int = 0) -> None:
        """Refuses a history that does not fit, whatever the number of residuals; see `check_history`."""
        check_history(self)

    def _has_curvature(self) -> bool:
        return len(self._pairs) > 0

    def _times(self, gradient: Tensor) -> Tensor:
        return self._pairs.times(gradient)

    def _root(self) -> SquareRoot:
        return self._pairs.root()

    def _learn(self, s: Tensor, y: Tensor, gradient: Tensor, step: float) -> None:
        self._pairs.append(s, y)

    def _restart(self) -> None:
        self._pairs.clear()

    @property
    def _pairs(self) -> CurvaturePairs:
        return CurvaturePairs(self._memory, self.param_groups[0]["history"])
