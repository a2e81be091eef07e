"""The last layer by one rank-revealing solve: a linear problem's answer, and a start for other methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real
from pinnlab.numerics.least_squares import Solution, rank_revealing
from pinnlab.numerics.linalg import conjugate_gradient
from pinnlab.numerics.memory import check_fits
from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.linearized import LinearizedOptimizer

_HALVINGS = 12
_RELATIVE = 1e-10
"""Of the gradient, at which conjugate gradients end: the next step takes the rest away."""
_MOST = 200
"""Their iterations in a step."""
_DAMPING = 1e-14
"""Of a column over its norm, where columns are damped: the round-off of float64, times the root of some thousands."""
_MORE = 100.0
"""By what the damping of normal equations grows where they are not definite."""
_LINEAR = 1e-6
"""How much of the loss may be beside what the linear model says of a problem that counts as linear: round-off."""


def solve_last_layer(linearization: Linearization, tolerance: float = 0.0) -> tuple[Tensor, Solution]:
    """Minimises the linear model of the loss over the last layer's parameters; a collective.

    Args:
        linearization: around the present parameters.
        tolerance: see `LeastSquares`.

    Returns:
        The numbers of these parameters, and by how much they are to move.

    Raises:
        ConfigurationError: the network has no last layer, or the matrices do not fit into memory.
    """
    columns = linearization.last_layer()
    count = len(columns)
    rows = min(linearization.shape[0], 2 * count + 2)
    key = f"LeastSquares: a QR for the {count} parameters of the last layer"
    check_fits(key, 4 * rows * count * linearization.point.element_size(), columns.device, "use fewer features")
    both = linearization.triangle(columns=columns)
    return columns, rank_revealing(both[:, :-1], both[:, -1], tolerance or None)


def solve_sparse_last_layer(linearization: Linearization, tolerance: float = 0.0) -> tuple[Tensor, Solution]:
    """The same for a network of which a point sees a part: entries that are zero are not computed; a collective.

    Columns are not chosen but damped, by `tolerance` relative to their norms, so that those that cannot be told apart
    share what there is to say.

    Raises:
        ConfigurationError: the network has no last layer, or its Jacobian is not sparse.
    """
    columns = linearization.last_layer()
    system = linearization.staircase("sparse", columns)
    minimiser = system.solve_scaled(tolerance or _DAMPING)
    return columns, Solution(minimiser, float(system.left_over(minimiser)), len(columns))


def solve_normal_equations(linearization: Linearization, tolerance: float = 0.0) -> tuple[Tensor, Solution]:
    """The same by Cholesky's factorisation of J'J, with columns divided by their norms; a collective.

    Columns are damped by `tolerance`, more where the matrix is not definite. What round-off in J'J leaves is taken away
    by the next step, as long as columns can be told apart at all: the condition number is squared.

    Raises:
        ConfigurationError: the network has no last layer, or the matrices do not fit into memory.
    """
    columns = linearization.last_layer()
    key = f"LeastSquares: normal equations for the {len(columns)} parameters of the last layer"
    check_fits(key, 3 * linearization.point.numel() ** 2 * linearization.point.element_size(), columns.device, "use QR")
    matrix, right = linearization.gram()
    if len(columns) < len(right):
        matrix, right = matrix[columns][:, columns], right[columns]
    scale = matrix.diagonal().sqrt()
    scale = torch.where(scale > 0, scale, 1)
    scaled = matrix / scale / scale[:, None]
    damping = (tolerance or _DAMPING) * scaled.new_ones(len(columns))
    factor, failed = torch.linalg.cholesky_ex(scaled + damping.diag())
    while bool(failed) and float(damping[0]) < 1:
        damping *= _MORE
        factor, failed = torch.linalg.cholesky_ex(scaled + damping.diag())
    minimiser = -torch.cholesky_solve((right / scale)[:, None], factor)[:, 0] / scale
    left_over = linearization.residual().square().sum() + minimiser @ (2 * right + matrix @ minimiser)
    return columns, Solution(minimiser, float(left_over), len(columns))


def solve_by_products(linearization: Linearization, tolerance: float = 0.0) -> tuple[Tensor, Solution]:
    """The same by conjugate gradients on J'J d = -J'r, of which products with J and J' are all that is computed.

    For more numbers than a matrix can have. Iterations are few where columns of J are nearly orthogonal and of one
    size, as on a grid those of `ProductSeries` are; they end at `_MOST` in any case, and the next step goes on.

    Raises:
        ConfigurationError: the network has no last layer.
    """
    columns, (push, pull) = linearization.last_layer(), linearization.products()

    def times(d: Tensor) -> Tensor:
        return push(torch.zeros_like(linearization.point).index_copy_(0, columns, d))

    def transposed_times(u: Tensor) -> Tensor:
        return pull(u)[columns]

    residual = linearization.residual(linearization.point)
    found = conjugate_gradient(
        lambda d: transposed_times(times(d)),
        -transposed_times(residual),
        tolerance=tolerance or _RELATIVE,
        most=_MOST,
    )
    left_over = (residual + times(found.solution)).square().sum()
    return columns, Solution(found.solution, float(left_over), len(columns))


class LeastSquares(LinearizedOptimizer):
    """Solves for the last layer: all conditions together, with the loss's weights, by QR with column pivoting.

    The network is linear in its last layer. If the problem is linear in the unknowns, too, one step is the answer, and
    `linear` is true after it; a second step only takes round-off away. If not, a step is one of Newton's method on the
    last layer (Gauss-Newton's, for a sum of squares), halved until the loss falls; give it more steps. When no step
    lowers the loss, `status` says STALLED. All other parameters stay, coefficients too: phases none of which would find
    them are refused. `TargetRatioGaussNewton` does, on the same network.

    On `RandomFeatures` it solves smooth linear problems to 1e-10 in seconds (FastLSQ, arXiv 2602.10541). In front of
    another optimizer it is the initialisation of PirateNets (arXiv 2402.00326, section 4.2) with the equation for data.

    It needs the network's last layer, see `pinnlab.networks.last_layer`. Time and memory are those of a QR of all
    residuals by the last layer's parameters: 8,000 by 1,500 take 5 s on a core.

    Args:
        params: the parameters, in one group, real and of one dtype.
        tolerance: the smallest pivot over the largest one; columns below it stay. 0 stands for 50 times the round-off,
            see `rank_revealing`; more, such as 1e-8, keeps weights small on a network that is trained further.
        lr: the first step length.
        sparse: whether the network is one of `Subdomains` of which only entries of the Jacobian that are not zero are
            computed, see `solve_sparse_last_layer`. Time then grows with the number of windows, not with its cube. A
            second step takes away what the damping left.
        normal: whether to solve the normal equations, by Cholesky's factorisation, in place of QR: for columns that are
            far from dependent, such as those of `SpectralFeatures`, several times as fast. Not for random sines, whose
            digits QR is needed for.
        matrix_free: whether to solve by conjugate gradients that need products with the Jacobian only, see
            `solve_by_products`: for very many numbers whose columns are far from dependent, those of `ProductSeries`.
            `tolerance` is then that of these iterations, relative to the gradient, 1e-10 by default; 1e-4 does
            where an equation is not linear, because the next step starts from a smaller gradient.

    Raises:
        ConfigurationError: a value is out of its range, there is more than one parameter group, or more than one of
            `sparse`, `normal` and `matrix_free`.
    """

    needs_jacobian = True
    needs_last_layer = True
    """Marks optimizers that can only train a network with a last layer."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        tolerance: float = 0.0,
        lr: float = 1.0,
        sparse: bool = False,
        normal: bool = False,
        matrix_free: bool = False,
    ) -> None:
        check_positive("", lr=lr)
        check_real("", tolerance=tolerance)
        if not 0 <= tolerance < 1:
            raise ConfigurationError(f"tolerance: must be in [0, 1), not {tolerance}")
        forms = {"sparse": sparse, "normal": normal, "matrix_free": matrix_free}
        if sum(forms.values()) > 1:
            *others, last = [key for key, value in forms.items() if value]
            raise ConfigurationError(f"{last}: is a way to solve in place of {others[0]}; leave out one of them")
        super().__init__(params, {"tolerance": tolerance, "lr": lr, **forms})
        if sparse or matrix_free:
            self.needs_jacobian = False  # the whole of it is never computed: the gradient costs less

    @property
    def linear(self) -> bool | None:
        """Whether the loss after the first step was what the linear model had said; None before it.

        The first one on an objective: later, near the minimum, every problem looks linear.
        """
        return self._memory.get("linear")

    def objective_changed(self) -> None:
        """Whether the problem is linear is seen anew: a number of it may have changed."""
        self._memory.pop("linear", None)

    @property
    def rank(self) -> int | None:
        """How many parameters of the last layer were independent at the last step; None before the first."""
        return self._memory.get("rank")

    @staticmethod
    def _solver(group: dict[str, Any]) -> Callable[[Linearization, float], tuple[Tensor, Solution]]:
        if group["matrix_free"]:
            return solve_by_products
        if group["normal"]:
            return solve_normal_equations
        return solve_sparse_last_layer if group["sparse"] else solve_last_layer

    def _improve(
        self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor
    ) -> tuple[Tensor, float] | None:
        group = self.param_groups[0]
        columns, solution = self._solver(group)(linearization, group["tolerance"])
        self._memory["rank"] = solution.rank
        for halving in range(1 if self.linear else _HALVINGS + 1):  # a linear problem has no shorter step to offer
            length = group["lr"] * 0.5**halving
            moved = point.index_add(0, columns, solution.minimiser, alpha=length)
            found = float(linearization.loss(moved))
            said = loss + (2 - length) * length * (solution.left_over - loss)
            self._memory.setdefault("linear", abs(found - said) <= _LINEAR * loss)
            if math.isfinite(found) and found < loss:
                return moved, found
        return None
