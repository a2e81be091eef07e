"""The limited-memory BFGS matrix in compact form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinnlab.numerics.linalg import SquareRoot
from pinnlab.numerics.memory import check_fits

_KEYS = ("pairs", "products", "written")


class CurvaturePairs:
    """The last pairs (s, y) of steps and gradient changes, and the inverse Hessian they imply.

    The product with the inverse Hessian is that of the two-loop recursion, but in the compact form of Byrd,
    Nocedal & Schnabel (Math. Program. 63, 1994, eq. 3.1): two passes over the pairs as matrix-vector
    products and triangular solves of the size of the history, instead of four vector operations per pair.

    Args:
        store: where everything is kept (an optimizer's state, so that checkpoints hold it): `pairs`
            `(history, 2, n)` used as a ring, `products` `(2, history, history)` with s_i'y_j for i not newer
            than j and with y_i'y_j, and `written`, the number of pairs ever written into the ring.
        history: the most pairs to keep.
    """

    def __init__(self, store: dict[str, Any], history: int) -> None:
        self._store = store
        self._history = history

    def __len__(self) -> int:
        return min(self._store.get("written", 0), self._history)

    def clear(self) -> None:
        """Forgets all pairs."""
        for key in _KEYS:
            self._store.pop(key, None)

    def append(self, s: Tensor, y: Tensor) -> bool:
        """Adds a pair, in the place of the oldest one when the history is full.

        Args:
            s: `(n,)` the step.
            y: `(n,)` the change of the gradient over that step.

        Returns:
            False when the pair was skipped because its curvature s'y is not positive beyond round-off: it
            would make the matrix singular or indefinite.
        """
        curvature, length_s, length_y = torch.stack((s @ y, s.norm(), y.norm())).tolist()
        if not curvature > torch.finfo(s.dtype).eps * length_s * length_y:
            return False
        if "pairs" not in self._store:
            self._store["pairs"] = s.new_zeros(self._history, 2, len(s))
            self._store["products"] = s.new_zeros(2, self._history, self._history)
            self._store["written"] = 0
        k = self._store["written"] % self._history
        self._store["written"] += 1
        self._store["pairs"][k, 0] = s
        self._store["pairs"][k, 1] = y
        count = len(self)
        sy, yy = self._store["products"]
        from_s, from_y = self._project(y)
        sy[:count, k] = from_s
        yy[:count, k] = from_y
        yy[k, :count] = from_y
        return True

    def times(self, vector: Tensor, start: Callable[[Tensor, Tensor], Tensor] | None = None) -> Tensor:
        """The product `(n,)` of the inverse Hessian with a vector `(n,)`; at least one pair is needed.

        The starting matrix is the identity times gamma = s'y / y'y of the newest pair (Nocedal & Wright, eq. 7.20).

        Args:
            vector: `(n,)`.
            start: the product of another starting matrix with `(n,)`, given that and gamma.
        """
        count = len(self)
        # A full ring starts with its oldest pair at the place that is written next; the triangular structure
        # needs the order of age.
        shift = self._store["written"] % self._history if count == self._history else 0
        sy, yy = self._store["products"][:, :count, :count].roll((-shift, -shift), (1, 2))
        from_s, from_y = self._project(vector).roll(-shift, 1)
        gamma = sy[-1, -1] / yy[-1, -1]
        upper = sy.triu()
        a = torch.linalg.solve_triangular(upper, from_s[:, None], upper=True)[:, 0]
        if start is not None:
            # The two loops, one after the other: q = v - Y a, then H0 q + S b, b being what Y sees of H0 q.
            rows = self._rows().view(count, 2, -1)
            product = start(vector - a.roll(shift) @ rows[:, 1], gamma)
            left = sy.diagonal() * a - (rows[:, 1] @ product).roll(-shift)
            b = torch.linalg.solve_triangular(upper.T, left[:, None], upper=False)[:, 0]
            return product + b.roll(shift) @ rows[:, 0]
        right = sy.diagonal() * a + gamma * (yy @ a - from_y)
        b = torch.linalg.solve_triangular(upper.T, right[:, None], upper=False)[:, 0]
        weights = torch.stack((b, -gamma * a), 1).roll(shift, 0)
        return torch.addcmul(weights.reshape(-1) @ self._rows(), gamma, vector)

    def root(self) -> SquareRoot:
        """The symmetric square root of the inverse Hessian; at least one pair is needed.

        With gamma as in `times`, and Q an orthonormal basis of the span of all pairs, the inverse Hessian is
        gamma (I - Q Q') + Q S Q', so its root is sqrt(gamma) (I - Q Q') + Q sqrt(S) Q'.
        """
        basis = torch.linalg.qr(self._rows().T).Q
        inside = basis.T @ torch.stack([self.times(vector) for vector in basis.T], 1)
        values, turn = torch.linalg.eigh((inside + inside.T) / 2)
        basis, gains = basis @ turn, values.clamp(min=0).sqrt()
        newest = (self._store["written"] - 1) % self._history
        sy, yy = self._store["products"][:, newest, newest]
        outside = (sy / yy).sqrt()

        def times(vectors: Tensor) -> Tensor:
            return outside * vectors + basis @ ((gains - outside)[:, None] * (basis.T @ vectors))

        return SquareRoot(times, times)

    def _rows(self) -> Tensor:
        pairs: Tensor = self._store["pairs"][: len(self)]
        return pairs.view(-1, pairs.shape[-1])

    def _project(self, vector: Tensor) -> Tensor:
        return (self._rows() @ vector).view(-1, 2).T


def check_history(optimizer: Optimizer) -> None:
    """Refuses an optimizer whose pairs do not fit into memory.

    Args:
        optimizer: with `history` in its parameter group.

    Raises:
        ConfigurationError: they do not.
    """
    parameters, history = optimizer.param_groups[0]["params"], optimizer.param_groups[0]["history"]
    n = sum(p.numel() for p in parameters)
    check_fits(
        f"model.phases.optimizer.history: {type(optimizer).__name__}'s {history} pairs of {n} numbers",
        2 * history * (n + history) * parameters[0].element_size(),
        parameters[0].device,
        "use fewer, or a smaller network",
    )
