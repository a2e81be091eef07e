"""Gram matrices, damped solves, conjugate gradients and Nyström against numpy and scipy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import linalg
from pinnlab.numerics.linalg import NystromPreconditioner, conjugate_gradient, gram, mirror_lower, nystrom, solve_damped


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_eigenvalues(values, seed=0):
    basis = torch.linalg.qr(draw(len(values), len(values), seed=seed)).Q
    return (basis * torch.as_tensor(values, dtype=torch.float64)) @ basis.T


@pytest.mark.parametrize("width", [1, 159, 160, 161, 400])
def test_gram_is_the_full_product(width):
    rows = draw(37, width)
    product = gram(rows)
    assert np.allclose(product.numpy(), rows.numpy().T @ rows.numpy(), rtol=1e-12, atol=1e-12)
    assert torch.equal(product, product.T)


def test_gram_accumulates_over_blocks_of_rows():
    rows = draw(90, 170)
    total = torch.zeros(170, 170, dtype=torch.float64)
    for part in rows.tensor_split(4):
        assert gram(part, total) is total
    assert torch.allclose(total, rows.T @ rows, rtol=1e-12, atol=1e-12)
    assert torch.equal(total, total.T)


def test_gram_of_a_transposed_view_and_of_no_rows():
    rows = draw(200, 30)
    assert torch.allclose(gram(rows.T), rows @ rows.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(gram(rows[:0]), torch.zeros(30, 30, dtype=torch.float64))


def test_gram_takes_wider_blocks_too(monkeypatch):
    rows = draw(20, 50)
    monkeypatch.setattr(linalg, "_CPU_BLOCK", 7)
    assert torch.allclose(gram(rows), rows.T @ rows, rtol=1e-12, atol=1e-12)


def test_mirror_reads_the_lower_triangle_only():
    matrix = draw(330, 330)
    expected = np.tril(matrix.numpy()) + np.tril(matrix.numpy(), -1).T
    assert np.array_equal(mirror_lower(matrix.clone()).numpy(), expected)


@pytest.mark.parametrize("shape", [(40,), (40, 1), (40, 3)])
def test_damped_solve(shape):
    matrix, rhs = gram(draw(60, 40)), draw(*shape)
    kept = matrix.clone()
    solution = solve_damped(matrix, 0.3, rhs)
    expected = scipy.linalg.solve(matrix.numpy() + 0.3 * np.eye(40), rhs.numpy(), assume_a="pos")
    assert solution.shape == rhs.shape
    assert np.allclose(solution.numpy(), expected, rtol=1e-10)
    assert torch.equal(matrix, kept)


@pytest.mark.parametrize("damping", [0.5, float("nan")])
def test_damped_solve_refuses_what_is_not_positive_definite(damping):
    assert solve_damped(with_eigenvalues([-1.0, 2.0, 3.0]), damping, torch.ones(3, dtype=torch.float64)) is None
    assert solve_damped(with_eigenvalues([-1.0, 2.0, 3.0]), 1.5, torch.ones(3, dtype=torch.float64)) is not None


def test_conjugate_gradients_solve_as_lapack_does():
    matrix, rhs = with_eigenvalues(np.logspace(0, 3, 60)), draw(60, seed=1)
    result = conjugate_gradient(lambda v: matrix @ v, rhs, tolerance=1e-12, most=500)
    assert np.allclose(result.solution.numpy(), np.linalg.solve(matrix.numpy(), rhs.numpy()), rtol=1e-8)
    assert not result.negative_curvature
    assert result.residual_norm <= 1e-12 * rhs.norm()


@pytest.mark.parametrize("most", [1, 5, 12])
def test_conjugate_gradients_make_scipys_iterates(most):
    """Preconditioned and from a given start, iterate by iterate."""
    matrix, rhs, start = with_eigenvalues(np.linspace(1, 40, 30)), draw(30, seed=1), draw(30, seed=2)
    diagonal = torch.rand(30, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.5
    result = conjugate_gradient(lambda v: matrix @ v, rhs, start, lambda v: diagonal * v, tolerance=0.0, most=most)
    inverse = scipy.sparse.linalg.LinearOperator((30, 30), matvec=lambda v: diagonal.numpy() * v)
    expected, _ = scipy.sparse.linalg.cg(
        matrix.numpy(), rhs.numpy(), x0=start.numpy(), M=inverse, rtol=0.0, atol=0.0, maxiter=most
    )
    assert result.iterations == most
    assert np.allclose(result.solution.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert result.residual_norm == pytest.approx(float((rhs - matrix @ result.solution).norm()), rel=1e-9)


def test_conjugate_gradients_start_at_the_solution():
    matrix, solution = with_eigenvalues(np.linspace(1, 4, 10)), draw(10)
    result = conjugate_gradient(lambda v: matrix @ v, matrix @ solution, start=solution)
    assert result.iterations == 0
    assert torch.equal(result.solution, solution)
    zero = torch.zeros(10, dtype=torch.float64)
    assert torch.equal(conjugate_gradient(lambda v: matrix @ v, zero).solution, zero)


def test_conjugate_gradients_notice_negative_curvature():
    matrix = with_eigenvalues([-1.0, 1.0, 2.0, 3.0])
    result = conjugate_gradient(lambda v: matrix @ v, draw(4))
    assert result.negative_curvature
    assert result.iterations < 4
    assert result.solution.isfinite().all()


def test_nystrom_is_exact_for_a_matrix_of_low_rank():
    values = np.zeros(50)
    values[:6] = [100.0, 30.0, 10.0, 3.0, 1.0, 0.1]
    matrix = with_eigenvalues(values)
    basis, found = nystrom(lambda v: matrix @ v, 50, 10, torch.Generator().manual_seed(0))
    assert (basis.shape, found.shape) == ((50, 10), (10,))
    assert np.allclose(found.numpy(), np.sort(scipy.linalg.eigvalsh(matrix.numpy()))[::-1][:10], atol=1e-10)
    assert torch.allclose(basis.T @ basis, torch.eye(10, dtype=torch.float64), atol=1e-10)
    assert torch.allclose((basis * found) @ basis.T, matrix, atol=1e-10)


def test_nystrom_is_the_papers_formula():
    """A O (O'A O)^+ (A O)' with the block O that the generator draws."""
    matrix = with_eigenvalues(np.logspace(2, -3, 40))
    basis, found = nystrom(lambda v: matrix @ v, 40, 8, torch.Generator().manual_seed(3))
    block, _ = np.linalg.qr(draw(40, 8, seed=3).numpy())
    image = matrix.numpy() @ block
    expected = image @ np.linalg.pinv(block.T @ image) @ image.T
    assert np.allclose(((basis * found) @ basis.T).numpy(), expected, atol=1e-9)
    assert (found.diff() <= 0).all()


def test_nystrom_of_an_indefinite_matrix():
    matrix = with_eigenvalues([50.0, 20.0, *[0.0] * 26, -2.0, -5.0])
    basis, found = nystrom(lambda v: matrix @ v, 30, 30, torch.Generator().manual_seed(0))
    assert (found >= 0).all()
    assert basis.isfinite().all()
    assert np.allclose(found[:2].numpy(), [50.0, 20.0], rtol=1e-6)
    zero, nothing = nystrom(lambda v: 0 * v, 30, 4, torch.Generator().manual_seed(0))
    assert zero.isfinite().all()
    assert nothing.max() < 1e-20


@pytest.mark.parametrize("rank", [0, 31])
def test_nystrom_rank_is_checked(rank):
    with pytest.raises(ConfigurationError, match="rank"):
        nystrom(lambda v: v, 30, rank, torch.Generator())


def test_preconditioner_is_the_papers_inverse():
    basis, values, damping = torch.linalg.qr(draw(20, 4)).Q, torch.tensor([9.0, 4.0, 1.0, 0.5]).double(), 0.01
    u = basis.numpy()
    forward = u @ np.diag(values.numpy() + damping) @ u.T / (0.5 + damping) + np.eye(20) - u @ u.T
    inverse = NystromPreconditioner(basis, values, damping)
    v = draw(20, 3, seed=1)
    assert np.allclose(inverse(v).numpy(), np.linalg.solve(forward, v.numpy()), rtol=1e-10)
    assert torch.allclose(inverse(v[:, 0]), inverse(v)[:, 0])
    with pytest.raises(ConfigurationError, match="damping"):
        NystromPreconditioner(basis, values, 0.0)


def test_preconditioning_saves_iterations():
    matrix, rhs, damping = with_eigenvalues(np.logspace(3, -4, 200)), draw(200, seed=1), 1e-3
    matrix = (matrix + matrix.T) / 2

    def damped(v):
        return matrix @ v + damping * v

    inverse = NystromPreconditioner(*nystrom(lambda v: matrix @ v, 200, 100, torch.Generator().manual_seed(0)), damping)
    plain = conjugate_gradient(damped, rhs, tolerance=1e-8, most=2000)
    preconditioned = conjugate_gradient(damped, rhs, precondition=inverse, tolerance=1e-8, most=2000)
    assert preconditioned.iterations < plain.iterations / 4
    assert torch.allclose(preconditioned.solution, plain.solution, rtol=1e-4, atol=1e-4 * plain.solution.abs().max())


def test_conjugate_gradient_survives_underflow():
    eye = torch.eye(3, dtype=torch.float64)
    start = torch.full((3,), 1e-300, dtype=torch.float64)
    result = conjugate_gradient(lambda v: eye @ v, torch.zeros(3, dtype=torch.float64), start=start, tolerance=0.0)
    assert result.solution.abs().max() <= 1e-300
