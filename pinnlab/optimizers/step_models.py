"""The quadratic model of one Gauss-Newton iteration, in the five forms that it can be solved in.

Each gives the damped step d that minimises |J d + r|^2 + mu |d|^2, or |d - carried| in place of |d|.

| form | solves | good for |
|---|---|---|
| primal | (J'J + mu I) d = -J'r by Cholesky | many residuals, dampings above 1e-12 |J|^2 |
| dual | d = -J'(JJ' + mu I)^-1 r by Cholesky | fewer residuals than parameters, the same dampings |
| qr | J = QR, then the singular values of R | float64, any damping: J'J squares the condition number, R does not |
| sparse | a QR of J and the damping, window by window | `Subdomains`: the cost grows with their number, not its cube |
| schwarz | sweeps over the windows, each by its own QR | the same in two dimensions and more; not to the end |
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from pinnlab.numerics.least_squares import DampedLeastSquares
from pinnlab.numerics.linalg import solve_damped
from pinnlab.objective.linearization import Linearization


class StepModel(ABC):
    """The model |r + J d|^2 of the loss around the present parameters."""

    @abstractmethod
    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """The damped step `(n,)`; with momentum, the one closest to what is carried over. None if not solvable."""

    @abstractmethod
    def curvature(self, step: Tensor) -> Tensor:
        """|J d|^2 for a step `(n,)`."""


class PrimalModel(StepModel):
    """Through J'J `(n, n)`.

    Args:
        linearization: around the present parameters.
    """

    def __init__(self, linearization: Linearization) -> None:
        self._matrix, self._right = linearization.gram()

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """See `StepModel`."""
        right = self._right if carried is None else self._right + self._matrix @ carried
        solution = solve_damped(self._matrix, damping, right)
        if solution is None:
            return None
        return -solution if carried is None else carried - solution

    def curvature(self, step: Tensor) -> Tensor:
        """See `StepModel`."""
        return step @ (self._matrix @ step)


class DualModel(StepModel):
    """Through JJ' `(N, N)`, the kernel.

    Args:
        linearization: around the present parameters.
    """

    def __init__(self, linearization: Linearization) -> None:
        self._linearization = linearization
        self._matrix, self._right = linearization.kernel(), linearization.residual()

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """See `StepModel`."""
        right = self._right if carried is None else self._right + self._linearization.times(carried)
        solution = solve_damped(self._matrix, damping, right)
        if solution is None:
            return None
        step = -self._linearization.transposed_times(solution)
        return step if carried is None else step + carried

    def curvature(self, step: Tensor) -> Tensor:
        """See `StepModel`."""
        return self._linearization.times(step).square().sum()


class OrthogonalModel(StepModel):
    """Through an orthogonal factorisation of J, whose rows may be sketched first.

    Args:
        linearization: around the present parameters.
        sketch: rows that remain of a random sketch; 0 is none.
        draw: the number of its random draw.

    Attributes:
        system: the damped least squares themselves.
    """

    def __init__(self, linearization: Linearization, sketch: int = 0, draw: int = 0) -> None:
        rows = linearization.triangle(sketch, draw)
        self.system = DampedLeastSquares(rows[:, :-1], rows[:, -1])

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """See `StepModel`."""
        return self.system.step(damping, carried)

    def curvature(self, step: Tensor) -> Tensor:
        """See `StepModel`."""
        return self.system.curvature(step)


class SparseModel(StepModel):
    """Through the entries of J that are not zero, for a network of which a point sees a part.

    Args:
        linearization: around the present parameters.

    Raises:
        ConfigurationError: it has no sparse rows.
    """

    def __init__(self, linearization: Linearization) -> None:
        self._system = linearization.staircase("form: sparse")

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """See `StepModel`."""
        return self._system.solve(damping, carried)

    def curvature(self, step: Tensor) -> Tensor:
        """See `StepModel`."""
        return self._system.curvature(step)


class SchwarzModel(StepModel):
    """Sweeps over the windows of a network of which a point sees a part: the step of a few of them, not the minimiser.

    Args:
        linearization: around the present parameters.
        sweeps: how many.
        mode: `multiplicative`, `additive` or `conjugate`, see `SchwarzSweeps`.

    Raises:
        ConfigurationError: it has no sparse rows.
    """

    def __init__(self, linearization: Linearization, sweeps: int, mode: str) -> None:
        self._system = linearization.schwarz("form: schwarz", sweeps, mode)

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """See `StepModel`."""
        return self._system.solve(damping, carried)

    def curvature(self, step: Tensor) -> Tensor:
        """See `StepModel`."""
        return self._system.rows.times(step).square().sum()
