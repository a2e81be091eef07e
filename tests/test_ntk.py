"""Spectra against dense kernels, and what they say against closed forms."""

import math

import pytest
import torch
from linearized import CASES, Case, draw

from pinnlab.errors import ConfigurationError
from pinnlab.ntk import Spectrum, kernel_spectra, spectrum_of


def known(*values, size=None, **options):
    given = torch.tensor(values, dtype=torch.float64)
    return Spectrum(given, options.pop("trace", float(given.sum())), size or len(values), **options)


def test_spectrum_of_a_matrix_with_known_eigenvalues():
    values = torch.tensor([5.0, 2.0, 0.5, 0.0], dtype=torch.float64)
    basis = torch.linalg.qr(draw(4, 4)).Q
    found = spectrum_of(basis @ torch.diag(values) @ basis.T)
    assert torch.allclose(found.eigenvalues, values, atol=1e-14)
    assert (found.size, found.rank, found.complete) == (4, 3, True)
    assert found.trace == pytest.approx(7.5)
    assert found.top == pytest.approx(5.0)
    assert found.condition_number == pytest.approx(10.0)
    assert found.effective_dimension(0.5) == pytest.approx(5 / 5.5 + 2 / 2.5 + 0.5)


def test_effective_rank_counts_equal_eigenvalues():
    assert known(3.0, 3.0, 3.0, 0.0, -1e-17).effective_rank == pytest.approx(3.0)
    assert known(7.0).effective_rank == pytest.approx(1.0)
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    expected = math.prod(float(p) ** -float(p) for p in shares)
    assert known(6.0, 3.0, 1.0).effective_rank == pytest.approx(expected)


def test_round_off_is_left_out_of_rank_and_condition_number():
    eps = torch.finfo(torch.float64).eps
    assert known(1.0, 2.1 * 3 * eps, 0.9 * 3 * eps).rank == 2
    assert known(1.0, 2.0 * 3 * eps, 0.9 * 3 * eps).condition_number == pytest.approx(1 / (6 * eps))
    coarse = spectrum_of(torch.diag(torch.tensor([1.0, 1e-3, 1e-8])))  # float32
    assert coarse.eigenvalues.dtype == torch.float64
    assert coarse.rank == 2
    assert coarse.condition_number == pytest.approx(1e3)


def test_a_part_of_a_spectrum_gives_lower_bounds():
    values = [4.0, 2.0, 1.0, 0.5, 0.25]
    whole, part = known(*values), known(*values[:3], size=5, trace=sum(values), complete=False)
    for damping in (1e-3, 0.5, 10.0):
        assert 0 < part.effective_dimension(damping) <= whole.effective_dimension(damping)
    assert part.effective_dimension(10.0) == pytest.approx(whole.effective_dimension(10.0), rel=0.02)
    assert 3 < part.effective_rank <= whole.effective_rank
    assert part.condition_number == 4.0


def test_kernels_that_are_zero_or_not_finite():
    zero = spectrum_of(torch.zeros(3, 3, dtype=torch.float64))
    assert (zero.rank, zero.effective_rank, zero.top, zero.effective_dimension(1.0)) == (0, 0.0, 0.0, 0.0)
    assert math.isnan(zero.condition_number)
    blown_up = spectrum_of(torch.full((2, 2), torch.nan, dtype=torch.float64))
    assert blown_up.eigenvalues.shape == (2,)
    assert math.isnan(blown_up.top)
    assert math.isnan(blown_up.condition_number)
    assert math.isnan(blown_up.trace)
    assert math.isnan(blown_up.effective_rank)


def test_damping_must_be_positive():
    with pytest.raises(ConfigurationError, match=r"damping: must be above 0, got 0"):
        known(1.0).effective_dimension(0.0)


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("name", CASES)
def test_blocks_and_whole_against_dense_jacobians(name, memory):
    case = Case(name, memory=memory)
    rows, unscaled, start = case.jacobian(), case.jacobian(unscaled=True), 0
    found = kernel_spectra(case.linearization())
    assert list(found) == [*case.batch, "total"]
    expected = torch.linalg.eigvalsh(rows @ rows.T).flip(0)
    assert torch.allclose(found["total"].eigenvalues, expected, atol=1e-13 * float(expected[0]))
    assert found["total"].trace == pytest.approx(float(rows.square().sum()))
    for i, condition in enumerate(case.batch):
        stop = start + found[condition].size
        block = unscaled[start:stop]
        expected = case.factors[i] * torch.linalg.eigvalsh(block @ block.T).flip(0)
        assert torch.allclose(found[condition].eigenvalues, expected, atol=1e-13 * float(expected[0]))
        start = stop
    assert start == len(rows) == found["total"].size
