"""Dense and matrix-free linear algebra for second-order methods: Gram matrices, damped solves, CG, Nyström."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError

_CPU_BLOCK = 160
"""Columns at a time: at (3000, 921) 22.0 ms against 24.5 (64), 22.5 (128), 23.3 (256) and 34.7 for the full product."""

_GPU_BLOCK = 2048
"""A GPU is not filled by a narrow product; up to this width the full one is faster."""

Product = Callable[[Tensor], Tensor]


class SquareRoot(NamedTuple):
    """Products with L and with L', `(n, k) -> (n, k)`, for a positive definite matrix L L'."""

    times: Product
    transposed_times: Product


def gram(rows: Tensor, total: Tensor | None = None) -> Tensor:
    """The symmetric matrix `rows' rows`; only its lower triangle is multiplied out, in blocks, and then mirrored.

    Args:
        rows: `(N, n)`.
        total: `(n, n)`, symmetric; when given, the product is added to it in place.

    Returns:
        `(n, n)`, exactly symmetric: `total`, or a new matrix.
    """
    n = rows.shape[1]
    out = rows.new_zeros(n, n) if total is None else total
    block = _CPU_BLOCK if rows.device.type == "cpu" else _GPU_BLOCK
    for start in range(0, n, block):
        stop = min(start + block, n)
        out[start:stop, :stop].addmm_(rows[:, start:stop].T, rows[:, :stop])
    return mirror_lower(out)


def mirror_lower(matrix: Tensor) -> Tensor:
    """Copies the lower triangle of `(n, n)` into the upper one, in place."""
    if matrix.device.type != "cpu":  # by blocks, which save a copy, it would be a dozen kernels for each
        return matrix.tril_().add_(matrix.tril(-1).T)
    n, block = len(matrix), _CPU_BLOCK
    for start in range(0, n, block):
        stop = min(start + block, n)
        diagonal = matrix[start:stop, start:stop]
        diagonal.copy_(diagonal.tril() + diagonal.tril(-1).T)
        matrix[start:stop, stop:].copy_(matrix[stop:, start:stop].T)
    return matrix


def solve_damped(matrix: Tensor, damping: float, rhs: Tensor) -> Tensor | None:
    """Solves (A + damping I) x = b by Cholesky.

    Args:
        matrix: A `(n, n)`, symmetric; it is left alone.
        damping: what is added to the diagonal.
        rhs: b `(n,)` or `(n, k)`.

    Returns:
        x, shaped like `rhs`; None when A + damping I is not positive definite to working precision.
    """
    damped = matrix.clone()
    damped.diagonal().add_(damping)
    factor, info = torch.linalg.cholesky_ex(damped)
    if int(info) != 0:
        return None
    return torch.cholesky_solve(rhs.reshape(len(rhs), -1), factor).view_as(rhs)


@dataclass(frozen=True)
class CGResult:
    """What `conjugate_gradient` found.

    Attributes:
        solution: `(n,)` the last iterate.
        iterations: how many were made.
        residual_norm: the 2-norm of b - A x, as the recurrence has it.
        negative_curvature: whether it ended at a direction p with p'A p <= 0; A is then not positive definite.
    """

    solution: Tensor
    iterations: int
    residual_norm: float
    negative_curvature: bool


def conjugate_gradient(
    times: Product,
    rhs: Tensor,
    start: Tensor | None = None,
    precondition: Product | None = None,
    tolerance: float = 1e-10,
    most: int = 1000,
) -> CGResult:
    """Solves A x = b by preconditioned conjugate gradients (Nocedal & Wright, algorithm 5.3).

    Args:
        times: the product with A, symmetric positive definite, `(n,) -> (n,)`.
        rhs: b `(n,)`.
        start: the first iterate; default zero.
        precondition: the product with an approximate inverse of A, symmetric positive definite; default none.
        tolerance: ends when the residual's norm is at most this times that of b; small enough by default for the
            solution to count as exact, inexact Newton methods pass a larger one.
        most: the largest number of iterations.

    Returns:
        The last iterate, whatever ended the iteration.
    """
    solution = torch.zeros_like(rhs) if start is None else start.clone()
    residual = rhs.clone() if start is None else rhs - times(solution)
    target = tolerance * float(rhs.norm())
    norm = float(residual.norm())
    direction, rho, iterations = torch.zeros_like(rhs), 1.0, 0
    while norm > target and iterations < most:
        conditioned = residual if precondition is None else precondition(residual)
        new_rho = float(residual @ conditioned)
        if not new_rho > 0:  # underflow: the residual is as small as it gets
            break
        direction = conditioned.add(direction, alpha=new_rho / rho)
        image = times(direction)
        curvature = float(direction @ image)
        if not curvature > 0:
            return CGResult(solution, iterations, norm, True)
        length = new_rho / curvature
        solution = solution.add(direction, alpha=length)
        residual = residual.sub(image, alpha=length)
        norm, rho = float(residual.norm()), new_rho
        iterations += 1
    return CGResult(solution, iterations, norm, False)


def nystrom(
    times_many: Product,
    n: int,
    rank: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """The randomized Nyström approximation U diag(eigenvalues) U' of a positive semidefinite matrix.

    Frangella, Tropp & Udell, arXiv 2110.02820, algorithm 2.1: one product with a random orthonormal block, shifted
    for stability. An indefinite matrix (the Hessian of a loss away from its minimum) is shifted further, to where the
    projected matrix is positive definite, as Newton-CG for PINNs does (arXiv 2402.01868); its negative
    eigenvalues come out as zero.

    Args:
        times_many: the product with the matrix, `(n, k) -> (n, k)`.
        n: the size of the matrix.
        rank: how many eigenvalues to approximate; at most n.
        generator: draws the block, on its own device, so that every rank and every device sees the same.
        dtype: of the block.
        device: where the product is computed.

    Returns:
        U `(n, rank)` with orthonormal columns, and the eigenvalues `(rank,)`, not negative, in descending order.

    Raises:
        ConfigurationError: the rank is not between 1 and n.
    """
    if not 1 <= rank <= n:
        raise ConfigurationError(f"rank: {rank} is not between 1 and the {n} rows of the matrix")
    drawn = torch.randn(n, rank, generator=generator, dtype=dtype, device=generator.device)
    block = torch.linalg.qr(drawn.to(device)).Q
    image = times_many(block)
    core = block.T @ image
    core = (core + core.T) / 2
    # The paper's shift is the round-off of the image; an indefinite core needs its lowest eigenvalue on top.
    shift = torch.finfo(dtype).eps * image.norm()
    shift = shift + (-torch.linalg.eigvalsh(core)[0]).clamp(min=0) * (1 + 1e-8)
    factor, info = torch.linalg.cholesky_ex(core + shift * torch.eye(rank, dtype=dtype, device=block.device))
    while int(info) != 0:  # round-off ate the shift
        shift = torch.where(shift > 0, 10 * shift, torch.finfo(dtype).tiny)
        factor, info = torch.linalg.cholesky_ex(core + shift * torch.eye(rank, dtype=dtype, device=block.device))
    root = torch.linalg.solve_triangular(factor, (image + shift * block).T, upper=False).T
    basis, singular, _ = torch.linalg.svd(root, full_matrices=False)
    return basis, (singular.square() - shift).clamp(min=0)


class NystromPreconditioner:
    """An approximate inverse of A + damping I from a Nyström approximation of A, to speed up conjugate gradients.

    P^-1 = (l + mu) U (L + mu)^-1 U' + (I - U U'), with l the smallest of the eigenvalues L
    (Frangella, Tropp & Udell, arXiv 2110.02820, equation 1.3).

    Args:
        basis: U `(n, rank)`, orthonormal columns; rows may be zero, of what is then left alone.
        eigenvalues: L `(rank,)`, not negative, in descending order.
        damping: mu, positive.

    Raises:
        ConfigurationError: the damping is not positive.
    """

    def __init__(self, basis: Tensor, eigenvalues: Tensor, damping: float) -> None:
        if not damping > 0:
            raise ConfigurationError(f"damping: a Nyström preconditioner needs a positive one, not {damping}")
        self._basis = basis
        self._gains = (eigenvalues[-1] + damping) / (eigenvalues + damping) - 1

    def __call__(self, v: Tensor) -> Tensor:
        """The product with P^-1, `(n,) -> (n,)` or `(n, k) -> (n, k)`."""
        inside = self._basis.T @ v
        gains = self._gains if v.ndim == 1 else self._gains[:, None]
        return v + self._basis @ (gains * inside)
