"""Lanczos' method and stochastic quadrature against dense eigenvalues and closed forms."""

import math

import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.lanczos import lanczos, spectral_density


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def with_eigenvalues(values):
    """A dense symmetric matrix with given eigenvalues."""
    values = torch.as_tensor(values, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator(7), dtype=torch.float64)).Q
    return basis @ torch.diag(values) @ basis.T


def falling(n=300):
    """Ten decades of eigenvalues, as kernels have them."""
    return 10.0 ** -torch.linspace(0, 10, n, dtype=torch.float64)


def indefinite():
    """A few large eigenvalues on both sides, and many small ones around zero."""
    noise = 1e-3 * torch.randn(190, generator=generator(3), dtype=torch.float64)
    return torch.cat([torch.tensor([5.0, -4.0, 3.0, 2.0, -1.0], dtype=torch.float64), noise])


@pytest.mark.parametrize("block", [1, 3, 8])
def test_top_eigenvalues_and_vectors(block):
    matrix = with_eigenvalues(falling())
    found = lanczos(matrix.mm, 300, 20, generator(), block=block)
    assert torch.allclose(found.values, falling()[:20], rtol=1e-10)
    assert bool((found.errors <= 1e-6 * found.values).all())
    residual = matrix @ found.vectors - found.vectors * found.values
    assert torch.allclose(residual.norm(dim=0), found.errors, atol=1e-13)
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(20, dtype=torch.float64), atol=1e-12)
    assert found.products < 300


def test_no_ghosts_and_no_loss_of_orthogonality_over_many_rounds():
    """Without reorthogonalisation the first eigenvalues would come several times."""
    values = torch.cat([torch.tensor([1e6, 1e5], dtype=torch.float64), falling(398)])
    found = lanczos(with_eigenvalues(values).mm, 400, 60, generator(), block=1)
    assert torch.allclose(found.values, values[:60], rtol=0, atol=1e-8)


def test_small_values_are_as_good_as_large_ones():
    """An absolute bound would leave the last ones to chance: they are 1e-9 of the first."""
    values = 10.0 ** -torch.linspace(0, 30, 200, dtype=torch.float64)
    found = lanczos(with_eigenvalues(values).mm, 200, 60, generator())
    assert torch.allclose(found.values, values[:60], rtol=1e-5)


@pytest.mark.parametrize("block", [1, 4])
def test_small_ranks_and_repeated_eigenvalues(block):
    values = torch.tensor([3.0] * 4 + [2.0] * 2 + [0.0] * 44, dtype=torch.float64)
    found = lanczos(with_eigenvalues(values).mm, 50, 10, generator(), block=block)
    assert torch.allclose(found.values, values[:10], atol=1e-12)


def test_all_eigenvalues_of_a_small_matrix():
    values = torch.tensor([4.0, 1.0, -2.0], dtype=torch.float64)
    found = lanczos(with_eigenvalues(values).mm, 3, 10, generator())
    assert torch.allclose(found.values, values, atol=1e-13)
    assert found.vectors.shape == (3, 3)


def test_largest_by_size():
    found = lanczos(with_eigenvalues(indefinite()).mm, 195, 5, generator(), by_size=True)
    assert torch.allclose(found.values, torch.tensor([5.0, 3.0, 2.0, -1.0, -4.0], dtype=torch.float64), atol=1e-12)
    top = lanczos(with_eigenvalues(indefinite()).mm, 195, 3, generator())
    assert torch.allclose(top.values, torch.tensor([5.0, 3.0, 2.0], dtype=torch.float64), atol=1e-12)


def test_a_short_basis_gives_lower_bounds_and_says_so():
    values = torch.linspace(1, 2, 200, dtype=torch.float64).flip(0)
    found = lanczos(with_eigenvalues(values).mm, 200, 5, generator(), block=2, most=20)
    assert found.products == 20
    assert bool((found.values <= values[:5] + 1e-12).all())
    assert float(found.errors.max()) > 1e-10
    for value, error in zip(found.values, found.errors, strict=True):
        assert float((values - value).abs().min()) <= float(error)


def test_products_that_are_not_finite():
    found = lanczos(lambda v: v * math.nan, 10, 3, generator())
    assert found.values.isnan().all()
    assert found.errors.shape == (3,)


@pytest.mark.parametrize("key", ["n", "count", "block"])
def test_bad_numbers(key):
    options = {"n": 5, "count": 2, "block": 1, key: 0}
    with pytest.raises(ConfigurationError, match=rf"^{key}: must be at least 1, got 0"):
        lanczos(lambda v: v, options["n"], options["count"], generator(), block=options["block"])


# ----------------------------------------------------------------------------- density


def test_density_of_every_direction_is_the_spectrum():
    """As many steps as eigenvalues: each rule is exact for all polynomials, so the moments are those of the probe."""
    values = torch.tensor([3.0, 1.0, -0.5, 0.0], dtype=torch.float64)
    matrix = with_eigenvalues(values)
    found = spectral_density(matrix.mm, 4, generator(), probes=2000, steps=10)
    assert float(found.weights.sum()) == pytest.approx(1.0)
    for value in values:
        near = float(found.weights[(found.nodes - value).abs() < 1e-8].sum())
        assert near == pytest.approx(0.25, abs=0.02)
    assert found.trace == pytest.approx(3.5, rel=0.05)
    assert found.below(-0.1) == pytest.approx(0.25, abs=0.02)


def test_moments_are_those_of_the_probes():
    matrix, probes = with_eigenvalues(falling(60)), 3
    drawn = torch.randn(60, probes, generator=generator(), dtype=torch.float64)
    drawn = drawn / drawn.norm(dim=0)
    found = spectral_density(matrix.mm, 60, generator(), probes=probes, steps=6)
    for power in range(12):  # a Gauss rule of 6 nodes is exact up to degree 11
        expected = float((drawn * (torch.linalg.matrix_power(matrix, power) @ drawn)).sum() / probes)
        assert float(found.weights @ found.nodes**power) == pytest.approx(expected, rel=1e-11)


def test_shares_of_an_indefinite_matrix():
    values = indefinite()
    found = spectral_density(with_eigenvalues(values).mm, 195, generator(), probes=20, steps=40)
    for bound in (-2.0, -0.5, 0.0, 0.5, 2.5):
        assert found.below(bound) == pytest.approx(float((values < bound).double().mean()), abs=0.03)
    at = torch.linspace(-6, 7, 4001, dtype=torch.float64)
    curve = found.smoothed(at, 0.1)
    assert float(torch.trapezoid(curve, at)) == pytest.approx(1.0, abs=1e-6)
    assert float(at[curve.argmax()]) == pytest.approx(0.0, abs=0.01)


def test_probes_that_have_seen_everything_go_on_as_nothing():
    values = torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    found = spectral_density(with_eigenvalues(values).mm, 6, generator(), probes=4, steps=6)
    shares = [float(found.weights[(found.nodes - value).abs() < 1e-10].sum()) for value in (1.0, 2.0)]
    assert sum(shares) == pytest.approx(1.0)
    zero = spectral_density(lambda v: 0 * v, 5, generator(), probes=2, steps=3)
    assert torch.equal(zero.nodes, torch.zeros(6, dtype=torch.float64))
    assert float(zero.weights.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("key", ["n", "probes", "steps"])
def test_bad_numbers_of_the_density(key):
    options = {"n": 5, "probes": 2, "steps": 1, key: 0}
    with pytest.raises(ConfigurationError, match=rf"^{key}: must be at least 1, got 0"):
        spectral_density(lambda v: v, options["n"], generator(), probes=options["probes"], steps=options["steps"])
