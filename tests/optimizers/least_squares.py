"""Sums of squares with everything an optimizer may ask for; the Jacobian is torch's own, dense and slow."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import hessian, jacrev


class DenseLinearization:
    """What `pinnlab.objective.linearization.Linearization` offers, from a residual function of the flat parameters."""

    def __init__(self, residual, point: Tensor) -> None:
        self._residual, self._point, self.evaluations = residual, point.clone(), 0
        self._scale, self._hessian = None, None

    def loss(self, point: Tensor | None = None) -> Tensor:
        self.evaluations += 1
        return self._residual(self._point if point is None else point).square().sum()

    def residual(self) -> Tensor:
        r = self._residual(self._point)
        return r if self._scale is None else r * self._scale

    def _jacobian(self) -> Tensor:
        rows = jacrev(self._residual)(self._point)
        return rows if self._scale is None else rows * self._scale[:, None]

    @property
    def point(self) -> Tensor:
        return self._point

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.residual()), len(self._point)

    def gradient(self, point: Tensor | None = None) -> Tensor:
        return torch.func.grad(lambda p: self._residual(p).square().sum())(self._point if point is None else point)

    def gram(self) -> tuple[Tensor, Tensor]:
        rows = self._jacobian()
        return rows.T @ rows, rows.T @ self.residual()

    def kernel(self) -> Tensor:
        rows = self._jacobian()
        return rows @ rows.T

    def losses(self, points: Tensor) -> list[float]:
        return [float(self.loss(point)) for point in points]

    def last_layer(self) -> Tensor:
        """All parameters: for a method that trains the last layer only, these functions are nothing else."""
        return torch.arange(len(self._point))

    def triangle(self, sketch: int = 0, draw: int = 0, columns: Tensor | None = None) -> Tensor:
        """The rows themselves, or a dense random sketch of them."""
        rows = self._jacobian()
        both = torch.cat([rows if columns is None else rows[:, columns], self.residual()[:, None]], 1)
        if 0 < sketch < len(both):
            generator = torch.Generator().manual_seed(draw)
            both = torch.randn(sketch, len(both), generator=generator, dtype=both.dtype) @ both / sketch**0.5
        return both if len(both) <= 2 * both.shape[1] else torch.linalg.qr(both, mode="r").R

    def times(self, v: Tensor) -> Tensor:
        return self._jacobian() @ v

    def transposed_times(self, u: Tensor) -> Tensor:
        return self._jacobian().T @ u

    def hessian_times(self, v: Tensor) -> Tensor:
        self.evaluations += 1 if v.ndim == 1 else v.shape[1]
        if self._hessian is None:  # products are asked for by the hundred
            self._hessian = hessian(lambda p: self._residual(p).square().sum())(self._point)
        return self._hessian @ v

    def row_scaled(self) -> DenseLinearization:
        other = DenseLinearization(self._residual, self._point)
        other._scale = 1 / self._jacobian().norm(dim=1)
        return other


class LeastSquares:
    """Minimises the sum of squares of a residual of one vector, or of a module's parameters.

    Args:
        residual: maps the flat parameters `(n,)` to residuals `(N,)`.
        parameters: the tensors that are trained.
        build: the optimizer, from the parameters.
    """

    def __init__(self, residual, parameters, build) -> None:
        self.residual = residual
        self.parameters = list(parameters)
        self.optimizer = build(self.parameters)
        self.calls = 0

    def flat(self) -> Tensor:
        return torch.cat([p.reshape(-1) for p in self.parameters])

    def loss(self) -> Tensor:
        return self.residual(self.flat()).square().sum()

    def closure(self) -> Tensor:
        self.calls += 1
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def one_step(self) -> Tensor:
        if not getattr(self.optimizer, "needs_linearization", False):
            return self.optimizer.step(self.closure)
        linearization = DenseLinearization(self.residual, self.flat().detach())
        returned = self.optimizer.step(self.closure, linearization=linearization)
        self.calls += linearization.evaluations
        return returned

    def step(self, times: int = 1) -> Tensor:
        for _ in range(times):
            self.one_step()
        return self.flat().detach().clone()


def vector(start, dtype=torch.float64) -> nn.Parameter:
    """One trainable vector."""
    return nn.Parameter(torch.as_tensor(start, dtype=dtype).clone())


def rosenbrock(x: Tensor) -> Tensor:
    """Residuals whose sum of squares is Rosenbrock's function; the minimum is at ones."""
    return torch.cat([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


def quadratic(condition: float, size: int = 20):
    """Linear residuals with a Hessian of that condition number; the minimum is at ones."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    scales = torch.logspace(0, torch.log10(torch.tensor(condition)).item() / 2, size, dtype=torch.float64)
    matrix = basis * scales
    return lambda x: matrix.T.to(x.dtype) @ (x - 1)
