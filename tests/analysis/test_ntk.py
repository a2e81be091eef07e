"""Spectra against dense kernels, and what they say against closed forms."""

import math

import pytest
import torch
from linearized import CASES, Case, draw

from pinnlab.analysis.ntk import KernelSpectrum, kernel_modes, kernel_spectra, kernel_spectrum, mode_decay, spectrum_of
from pinnlab.errors import ConfigurationError
from pinnlab.objective import linearized_functions


def known(*values, size=None, **options):
    given = torch.tensor(values, dtype=torch.float64)
    return KernelSpectrum(given, options.pop("trace", float(given.sum())), size or len(values), **options)


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


WAYS = {
    "kernel": {"times": 1},
    "gram": {"times": 5},
    "gram, J not kept": {"times": 5, "memory": 0},
    "Lanczos": {"times": 5, "dense": 3},
    "Lanczos, J not kept": {"times": 5, "dense": 3, "memory": 0},
    "Lanczos, fewer rows": {"times": 1, "dense": 3},
}
"""How spectra are computed: by the numbers of rows and columns, and by what may be made of them."""


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """A case made for one of the ways, and the options that choose it."""
    monkeypatch.setattr(linearized_functions, "_FEWEST", 3)  # several blocks of rows
    monkeypatch.setattr(linearized_functions, "_BLOCK_BYTES", 0)
    options = dict(WAYS[request.param])
    chosen = {"dense": options.pop("dense")} if "dense" in options else {}
    return lambda name: (Case(name, **options), chosen)


def dense_eigenvalues(rows):
    return torch.linalg.eigvalsh(rows @ rows.T).flip(0)


@pytest.mark.parametrize("name", CASES)
def test_blocks_and_whole_against_dense_jacobians(name, way):
    case, options = way(name)
    rows, unscaled, start = case.jacobian(), case.jacobian(unscaled=True), 0
    found = kernel_spectra(case.linearization(), **options)
    assert list(found) == [*case.batch, "total"]
    expected = {"total": dense_eigenvalues(rows)}
    for i, condition in enumerate(case.batch):
        stop = start + found[condition].size
        expected[condition] = case.factors[i] * dense_eigenvalues(unscaled[start:stop])
        start = stop
    assert start == len(rows) == found["total"].size
    for block, values in expected.items():
        count = len(found[block].eigenvalues)
        assert count == min(found[block].size, rows.shape[1])
        assert found[block].complete
        assert torch.allclose(found[block].eigenvalues, values[:count], rtol=0, atol=1e-13 * float(values[0]))
        assert found[block].trace == pytest.approx(float(values.sum()), rel=1e-12)
        assert found[block].top == pytest.approx(float(values[0]), rel=1e-12)


def test_a_part_of_the_spectrum_by_lanczos():
    case = Case("burgers", times=9)
    whole = kernel_spectrum(case.linearization())
    part = kernel_spectrum(case.linearization(), top=6, dense=3)
    assert not part.complete
    assert len(part.eigenvalues) == 6
    assert torch.allclose(part.eigenvalues, whole.eigenvalues[:6], rtol=1e-9)
    assert part.trace == pytest.approx(whole.trace, rel=1e-12)
    assert part.effective_rank <= whole.effective_rank
    assert part.condition_number <= whole.condition_number


def test_a_single_condition_is_the_whole():
    case = Case("burgers")
    case.batch, case.factors = {"pde": case.batch["pde"]}, case.factors[:1]
    found = kernel_spectra(case.linearization())
    assert found["pde"] is found["total"]
    assert torch.allclose(found["total"].eigenvalues, dense_eigenvalues(case.jacobian()), atol=1e-12)


def test_the_same_seed_gives_the_same_bits():
    case = Case("burgers", times=9)
    first, again = (kernel_spectrum(case.linearization(), top=4, dense=3) for _ in range(2))
    assert torch.equal(first.eigenvalues, again.eigenvalues)


# ----------------------------------------------------------------------------- modes


@pytest.mark.parametrize("name", CASES)
def test_modes_are_eigenvectors(name, way):
    case, options = way(name)
    rows = case.jacobian()
    modes = kernel_modes(case.linearization(), 5, **options)
    values, vectors = modes.eigenvalues, modes.vectors
    assert vectors.shape == (len(rows), 5)
    assert torch.allclose(values, dense_eigenvalues(rows)[:5], rtol=1e-9)
    assert torch.allclose(rows @ (rows.T @ vectors), vectors * values, rtol=0, atol=1e-9 * float(values[0]))
    assert torch.allclose(vectors.T @ vectors, torch.eye(5, dtype=torch.float64), atol=1e-7)
    r = case.residual(case.flat())
    assert torch.allclose(modes.coefficients(r), vectors.T @ r)


def test_modes_of_round_off_are_left_out():
    case = Case("oscillator")  # the second condition has weight zero: two rows of 14 are zero
    assert kernel_modes(case.linearization(), 99).vectors.shape == (14, 12)


def linear_case(**options):
    """The heat equation, where the residual is affine in what is trained: the last layer."""
    frozen = [f"network.hidden.{layer}.{kind}" for layer in (0, 1) for kind in ("weight", "bias")]
    return Case("heat", frozen=frozen, **options)


@pytest.mark.parametrize("dense", [2000, 3])
def test_modes_decay_as_predicted_where_the_kernel_cannot_move(dense):
    case = linear_case()
    before = case.flat()
    rate = 0.4 / kernel_spectrum(case.linearization()).top
    found = mode_decay(case.linearization(), rate, 30, 3, dense=dense)
    assert found.measured.shape == found.predicted.shape == (31, 3)
    assert float(found.deviation.max()) < 1e-10
    first = found.measured[:, 0] / found.measured[0, 0]
    assert torch.allclose(first, 0.2 ** torch.arange(31.0, dtype=torch.float64), atol=1e-12)  # 1 - 2 x 0.4
    assert torch.equal(case.flat(), before)


def test_modes_grow_beyond_the_stable_step():
    case = linear_case()
    rate = 1.1 / kernel_spectrum(case.linearization()).top
    found = mode_decay(case.linearization(), rate, 5, 1)
    assert float(found.measured[5, 0] / found.measured[0, 0]) == pytest.approx(-(1.2**5), rel=1e-9)


def test_deviation_is_of_second_order_in_the_step():
    case = Case("burgers")
    rates = [0.01 / kernel_spectrum(case.linearization()).top / k for k in (1, 2)]
    coarse, fine = (mode_decay(case.linearization(), rate, 1, 4).deviation[1] for rate in rates)
    assert torch.allclose(coarse / fine, torch.full((4,), 4.0, dtype=torch.float64), rtol=0.02)
    assert float(coarse.min()) > 1e-9  # not round-off


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0.0, 5, 1), "rate: must be above 0, got 0.0"), ((1.0, 0, 1), "steps: must"), ((1.0, 1, 0), "count: must")],
)
def test_bad_numbers(numbers, message):
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        mode_decay(Case("burgers").linearization(), *numbers)
