"""Eigenvalues of large symmetric matrices from products with vectors: Lanczos' method and stochastic quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.linalg import Product


@dataclass(frozen=True)
class Ritz:
    """What Lanczos' method found of a symmetric matrix.

    Attributes:
        values: `(k,)` approximate eigenvalues, in descending order.
        vectors: `(n, k)` the approximate eigenvectors, orthonormal.
        errors: `(k,)` the norms of A x - value x: within that distance of each value there is an eigenvalue. All is
            NaN when a product was not finite.
        products: with how many vectors the matrix was multiplied.
    """

    values: Tensor
    vectors: Tensor
    errors: Tensor
    products: int


def lanczos(
    times: Product,
    n: int,
    count: int,
    generator: torch.Generator,
    *,
    by_size: bool = False,
    block: int = 8,
    tolerance: float = 1e-6,
    most: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Ritz:
    """The largest eigenvalues of a symmetric matrix, by block Lanczos with full reorthogonalisation.

    Each round multiplies a block of vectors and adds it to an orthonormal basis; the values are those of the matrix on
    the span of the basis (Rayleigh-Ritz; Golub & Van Loan, Matrix Computations, 4th ed., section 10.3). A block finds
    eigenvalues that come several times, and costs less than as many single products where a product with several
    vectors does. Every block is orthogonalised twice against all before it: without that, converged values come again
    as ghosts.

    Memory is that of twice the basis, `(n, most)`.

    Args:
        times: the product with the matrix, `(n, j) -> (n, j)`.
        n: the size of the matrix.
        count: how many eigenvalues; as many as there are when that is more than n.
        generator: draws the first block, on its own device, so that every rank and every device sees the same.
        by_size: whether the largest in absolute value are wanted, for a matrix that is not positive semidefinite.
        block: vectors in a block.
        tolerance: ends when every error is at most this times the value that it belongs to, or n times the rounding
            unit of the largest one. A value is then far better than that unless it has close neighbours: its error is
            about the square of `errors` over the gap to them.
        most: vectors in the basis at last, whether the values have converged or not; default 8 `count` + 10 `block`.
        dtype: of the vectors.
        device: where the product is computed.

    Raises:
        ConfigurationError: `n`, `count` or `block` is below 1.
    """
    _at_least_one(n=n, count=count, block=block)
    count, most = min(count, n), min(n, 8 * count + 10 * block if most is None else max(most, count))
    drawn = torch.randn(n, min(block, n), generator=generator, dtype=dtype, device=generator.device)
    fresh = torch.linalg.qr(drawn.to(device)).Q
    basis, projected = fresh[:, :0], fresh.new_zeros(0, 0)
    while True:
        image = times(fresh)
        basis = torch.cat([basis, fresh], 1)
        if not bool(image.isfinite().all()):
            unknown = image.new_full((count,), torch.nan)
            return Ritz(unknown, unknown.expand(n, count), unknown, basis.shape[1])
        image, coefficients = _orthogonalised(image, basis)
        projected = _bordered(projected, coefficients)
        fresh, coupling = torch.linalg.qr(image)
        values, mixes = torch.linalg.eigh(projected)
        wanted = (values.abs() if by_size else values).argsort(descending=True)[:count]
        wanted = wanted[values[wanted].argsort(descending=True)]
        errors = (coupling @ mixes[-coupling.shape[1] :, wanted]).norm(dim=0)
        room, floor = most - basis.shape[1], n * torch.finfo(dtype).eps * values.abs().max()
        done = len(wanted) == count and bool((errors <= (tolerance * values[wanted].abs()).clamp(min=floor)).all())
        if done or room == 0:
            return Ritz(values[wanted], basis @ mixes[:, wanted], errors, basis.shape[1])
        # Columns that vanished are filled with noise by the factorisation, and that has to be made orthogonal, too.
        fresh = torch.linalg.qr(_orthogonalised(fresh[:, :room], basis)[0]).Q


def _orthogonalised(vectors: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors `(n, j)` without their parts in the span of the basis `(n, m)`, and these parts `(m, j)`."""
    first = basis.T @ vectors
    vectors = vectors - basis @ first
    second = basis.T @ vectors  # round-off of the first time; twice is enough (Parlett)
    return vectors - basis @ second, first + second


def _bordered(matrix: Tensor, columns: Tensor) -> Tensor:
    """The symmetric matrix `(m, m)` whose last columns are `(m, j)`, beside and below the present one."""
    old, size = len(matrix), len(columns)
    whole = columns.new_zeros(size, size)
    whole[:old, :old] = matrix
    whole[:, old:], whole[old:, :] = columns, columns.T
    whole[old:, old:] = (columns[old:] + columns[old:].T) / 2
    return whole


@dataclass(frozen=True)
class Density:
    """Where the eigenvalues of a symmetric matrix are: a quadrature rule for the average of a function over them.

    Attributes:
        nodes: `(q,)` in ascending order.
        weights: `(q,)`, not negative, with the sum 1: about the share of the eigenvalues near each node.
        size: n, how many eigenvalues the matrix has.
    """

    nodes: Tensor
    weights: Tensor
    size: int

    @property
    def trace(self) -> float:
        """An estimate of the sum of the eigenvalues."""
        return self.size * float(self.weights @ self.nodes)

    def below(self, value: float) -> float:
        """About which share of the eigenvalues is below a value."""
        return float(self.weights[self.nodes < value].sum())

    def smoothed(self, at: Tensor, width: float) -> Tensor:
        """The density `(p,)` at given values, with every node spread to a normal distribution of so much deviation."""
        scaled = (at[:, None] - self.nodes) / width
        return torch.exp(-scaled.square() / 2) @ self.weights / (width * (2 * torch.pi) ** 0.5)


def spectral_density(
    times: Product,
    n: int,
    generator: torch.Generator,
    *,
    probes: int = 8,
    steps: int = 60,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Density:
    """The density of the eigenvalues of a symmetric matrix, by stochastic Lanczos quadrature.

    From each of several random vectors Lanczos' method makes a Gauss rule for the density seen from that vector; the
    rules are averaged (Ubaru, Chen & Saad, SIAM J. Matrix Anal. Appl. 38, 2017; Ghorbani, Krishnan & Xiao, arXiv
    1901.10159). A share of the eigenvalues is found to about the root of 2 share / (n probes). All vectors are
    multiplied at a time; memory is that of n x steps x probes numbers.

    Args:
        times: the product with the matrix, `(n, j) -> (n, j)`.
        n: the size of the matrix.
        generator: draws the vectors, on its own device, so that every rank and every device sees the same.
        probes: how many vectors.
        steps: of Lanczos' method: nodes for each vector. Isolated eigenvalues are exact after a few dozen.
        dtype: of the vectors.
        device: where the product is computed.

    Raises:
        ConfigurationError: `n`, `probes` or `steps` is below 1.
    """
    _at_least_one(n=n, probes=probes, steps=steps)
    steps = min(steps, n)
    drawn = torch.randn(n, probes, generator=generator, dtype=dtype, device=generator.device).to(device)
    basis = drawn.new_zeros(steps, n, probes)
    diagonal, beside = drawn.new_zeros(steps, probes), drawn.new_zeros(steps, probes)
    vectors = drawn / drawn.norm(dim=0)
    for k in range(steps):
        basis[k] = vectors
        image = times(vectors)
        scale = image.norm(dim=0)
        for _ in range(2):
            parts = torch.einsum("knp,np->kp", basis[: k + 1], image)
            diagonal[k] += parts[k]
            image = image - torch.einsum("knp,kp->np", basis[: k + 1], parts)
        beside[k] = image.norm(dim=0)
        # A vector that has seen all it can see ends here: it goes on as zero, with weights of zero.
        beside[k][beside[k] <= n * torch.finfo(dtype).eps * scale] = 0.0
        vectors = torch.where(beside[k] > 0, image / beside[k], 0.0)
    rows = torch.diag_embed(diagonal.T) + torch.diag_embed(beside[:-1].T, 1) + torch.diag_embed(beside[:-1].T, -1)
    nodes, mixes = torch.linalg.eigh(rows)
    order = nodes.flatten().argsort()
    return Density(nodes.flatten()[order], mixes[:, 0].square().flatten()[order] / probes, n)


def _at_least_one(**numbers: int) -> None:
    for key, value in numbers.items():
        if value < 1:
            raise ConfigurationError(f"{key}: must be at least 1, got {value}")
