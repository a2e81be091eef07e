from __future__ import annotations

import pytest
import torch

from pinnlab.optimizers.limited_memory import CurvaturePairs


def pairs_of(count, n, seed=0):
    """Steps and gradient changes of a convex quadratic with a random, badly scaled Hessian."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    hessian = root @ root.T + torch.diag(torch.logspace(-2, 2, n, dtype=torch.float64))
    steps = torch.randn(count, n, generator=generator, dtype=torch.float64)
    return steps, steps @ hessian, torch.randn(n, generator=generator, dtype=torch.float64)


def dense_inverse(steps, changes, start=None):
    """Nocedal & Wright, eq. 6.17 and 7.20, with dense matrices; or from another matrix."""
    s, y = steps[-1], changes[-1]
    eye = torch.eye(len(s), dtype=s.dtype)
    inverse = (s @ y) / (y @ y) * eye if start is None else start
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (s @ y)
        left = eye - rho * torch.outer(s, y)
        inverse = left @ inverse @ left.T + rho * torch.outer(s, s)
    return inverse


@pytest.mark.parametrize("written", [1, 2, 5, 6, 7, 10, 13])
@pytest.mark.parametrize("n", [1, 12])
def test_product_is_that_of_the_dense_matrix(written, n):
    steps, changes, vector = pairs_of(written, n)
    pairs = CurvaturePairs({}, history=5 if n > 1 else 1)
    for s, y in zip(steps, changes, strict=True):
        assert pairs.append(s, y)
    kept = min(written, 5 if n > 1 else 1)
    expected = dense_inverse(steps[-kept:], changes[-kept:]) @ vector
    assert len(pairs) == kept
    torch.testing.assert_close(pairs.times(vector), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("written", [1, 4, 5, 7, 13])
def test_the_starting_matrix_can_be_any(written):
    n = 12
    steps, changes, vector = pairs_of(written, n)
    root = torch.randn(n, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start, pairs, gammas = root @ root.T, CurvaturePairs({}, history=5), []
    for s, y in zip(steps, changes, strict=True):
        pairs.append(s, y)
    found = pairs.times(vector, lambda v, gamma: gammas.append(gamma) or start @ v)
    expected = dense_inverse(steps[-5:], changes[-5:], start) @ vector
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
    s, y = steps[-1], changes[-1]
    torch.testing.assert_close(gammas, [(s @ y) / (y @ y)])


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1e-17])
def test_pairs_without_curvature_are_skipped(curvature):
    pairs = CurvaturePairs({}, 3)
    s = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert not pairs.append(s, torch.tensor([curvature, 1.0], dtype=torch.float64))
    assert not pairs.append(s, torch.tensor([torch.nan, 1.0], dtype=torch.float64))
    assert len(pairs) == 0


def test_clear_forgets_everything_but_leaves_the_rest_of_the_store():
    store = {"evaluations": 7}
    pairs = CurvaturePairs(store, 3)
    steps, changes, _ = pairs_of(2, 4)
    pairs.append(steps[0], changes[0])
    pairs.clear()
    assert len(pairs) == 0
    assert store == {"evaluations": 7}


def test_wraps_a_store_that_has_pairs_already():
    steps, changes, vector = pairs_of(7, 6)
    store = {}
    for s, y in zip(steps, changes, strict=True):
        CurvaturePairs(store, 4).append(s, y)
    expected = dense_inverse(steps[-4:], changes[-4:]) @ vector
    torch.testing.assert_close(CurvaturePairs(store, 4).times(vector), expected)
