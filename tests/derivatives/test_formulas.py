"""Functions that are computed by their formulas, against torch's own by nested reverse mode."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pinnlab.derivatives import Wanted, partials
from pinnlab.errors import UnsupportedOperationError

WANTED = Wanted(frozenset({(0,), (0, 1), (1, 1), (0, 0, 1), (0, 0, 1, 1)}), frozenset({(0, 1)}))
GENERATOR = torch.Generator().manual_seed(8)


def random(*shape):
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


X = 0.15 + 0.7 * random(7, 2)
ROWS, MATRIX, CUBE = 1.5 + random(7, 2), random(2, 3), random(3, 2, 2)
GRU, RNN = nn.GRUCell(2, 3).double(), nn.RNNCell(2, 3).double()
LSTM = nn.LSTMCell(2, 1).double()  # with three states reverse mode takes 45 s
BILINEAR, CONVOLUTION = nn.Bilinear(2, 2, 3).double(), nn.Conv1d(1, 2, 2).double()
STATE = random(7, 3)
AROUND = torch.tensor([[1.0, 0.2], [1.0, -0.2], [-1.0, 0.2], [-1.0, -0.2], [0.2, 1.0], [0.2, -1.0], [-0.2, 1.0]])
THREES, PAIR = random(7, 3, 3), torch.tensor([[0.3], [0.4]], dtype=torch.float64)
FIRST = torch.zeros(7, 1, dtype=torch.long)

FUNCTIONS = {
    "atan": lambda x: torch.atan(3 * x) + torch.arctan(x),
    "asin": lambda x: torch.asin(x) + x.arcsin() ** 2,
    "acos": lambda x: torch.acos(x) + x.arccos() ** 2,
    "asinh": lambda x: torch.asinh(2 * x) + x.arcsinh(),
    "acosh": lambda x: torch.acosh(1.5 + x) + (x + 2).arccosh(),
    "atanh": lambda x: torch.atanh(x) + (0.5 * x).arctanh(),
    "atan2": lambda x: torch.atan2(x[:, :1] ** 2, x[:, 1:]) * x,
    "atan2 all around": lambda x: torch.atan2(AROUND[:, :1] * x[:, :1], AROUND[:, 1:] * x[:, 1:]),
    "atan2 of a constant": lambda x: torch.atan2(ROWS, x) + torch.atan2(x, ROWS),
    "hypot": lambda x: torch.hypot(x[:, :1], x[:, 1:] ** 2),
    "logarithms": lambda x: torch.log2(x) + torch.log10(x) * torch.exp2(x),
    "logit": lambda x: torch.logit(x) + torch.special.expit(x),
    "logaddexp": lambda x: torch.logaddexp(40 * x[:, :1], 30 * x[:, 1:]),
    "erfc": lambda x: torch.erfc(5 * x) / torch.erfc(5 * x.detach()),
    "gamma": lambda x: torch.lgamma(1 + x) + torch.digamma(1 + x),
    "float power": lambda x: torch.float_power(x, 2.5) + torch.positive(x),
    "norm": lambda x: x.norm(dim=-1, keepdim=True) + torch.linalg.norm(x**2, dim=-1, keepdim=True),
    "vector norm": lambda x: torch.linalg.vector_norm(x, 3, dim=-1, keepdim=True),
    "norm of order one": lambda x: (x**2 - 0.2).norm(1, -1)[:, None],
    "largest entry": lambda x: torch.linalg.vector_norm(x**2, math.inf, dim=-1, keepdim=True),
    "normalize": lambda x: F.normalize(x**2),
    "cosine": lambda x: F.cosine_similarity(x, 1 + x**2)[:, None],
    "distance": lambda x: F.pairwise_distance(x, ROWS)[:, None],
    "cdist": lambda x: torch.exp(-(torch.cdist(x, MATRIX.T) ** 2)),
    "cross": lambda x: torch.linalg.cross(torch.cat([x, x[:, :1]], 1), torch.cat([x**2, x[:, :1]], 1)),
    "vecdot": lambda x: torch.linalg.vecdot(x, x**2)[:, None],
    "inner": lambda x: torch.inner(x**2, MATRIX.T) + torch.inner(x**2, MATRIX[:, 0])[:, None],
    "mv": lambda x: torch.mv(x**2, MATRIX[:, 0])[:, None],
    "tensordot": lambda x: torch.tensordot(x**2, MATRIX, 1),
    "bilinear": lambda x: BILINEAR(x**2, x) + F.bilinear(x, ROWS, CUBE),
    "addcmul": lambda x: torch.addcmul(x, x, x**2, value=2) + torch.addcdiv(x, x, 1 + x),
    "lerp": lambda x: torch.lerp(x, x**2, 0.3) + torch.lerp(ROWS, x, x),
    "prod": lambda x: (x**2).prod(-1, keepdim=True) + torch.prod(x, 1)[:, None],
    "var": lambda x: (x**2).var(-1, keepdim=True) + torch.var(x, 1, correction=0)[:, None],
    "std": lambda x: torch.cat([x, x**3, x**2], -1).std(-1, False)[:, None],
    "amax": lambda x: (x**2).amax(-1, keepdim=True) + torch.amin(x**3, 1)[:, None],
    "max": lambda x: (x**2).max(-1).values[:, None] + torch.min(x**3, 1, keepdim=True)[0],
    "max of two": lambda x: torch.max(x, 1.2 * x**2) + torch.min(x**2, ROWS - 1),
    "fmod": lambda x: torch.fmod(x, 0.3) * x + torch.frac(3 * x),
    "nan_to_num": lambda x: torch.nan_to_num(x**2),
    "diff": lambda x: torch.diff(x**2, dim=-1) * x,
    "diff of more": lambda x: torch.diff(x**2, dim=-1, prepend=ROWS) + torch.diff(x, append=x**3)[:, :1],
    "norm of all orders": lambda x: (
        x.norm(p=2, dim=(-1,), dtype=torch.float64)[:, None] * torch.norm(x, dim=-1)[:, None]
    ),
    "smallest entry": lambda x: torch.linalg.vector_norm(x**2, -math.inf, dim=-1, keepdim=True),
    "norm of matrices": lambda x: torch.linalg.norm(x[:, :, None] * x[:, None, :], dim=(1, 2))[:, None],
    "vector norm of matrices": lambda x: torch.norm(x[:, :, None] * x[:, None, :], 2, dim=(1, 2))[:, None],
    "cross of rows": lambda x: torch.cross(x[:, :1, None] * THREES, x[:, 1:, None] ** 2 * THREES.flip(1), 1)[:, 0],
    "operands of more dimensions": lambda x: torch.max(x[:, 0], PAIR).T + torch.atan2(x[:, 0], PAIR).T,
    "chosen by more dimensions": lambda x: torch.where(PAIR > 0.35, x[:, 0] ** 2, x[:, 1] ** 3).T,
    "gather": lambda x: (x**2).gather(-1, FIRST) + x.take_along_dim(FIRST, -1) ** 2,
    "tile": lambda x: (x**2).tile(1, 2) + x[:, :1].broadcast_to(7, 4) ** 2,
    "pad": lambda x: F.pad(x**2, (1, 1)) + F.pad(x**3, (1, 1), value=2.0) + F.pad(x, (0, 2)),
    "convolution": lambda x: CONVOLUTION(x[:, None, :] ** 2).flatten(1),
    "gru": lambda x: GRU(x, STATE) + GRU(x, GRU(x)),
    "lstm": lambda x: torch.cat(LSTM(x, LSTM(x)), -1),
    "rnn": lambda x: RNN(x, RNN(x)),
    "einsum of three": lambda x: torch.einsum("ni,nj,nk->nik", x, x**2, x**3).flatten(1),
    "einsum of unlike factors": lambda x: torch.einsum("nij,nj->ni", x[:, :, None] * x[:, None, :], x**2),
    "einsum with constants": lambda x: torch.einsum("ni,oij,nj,nk->no", x, CUBE, x**2, x),
    "complex": lambda x: torch.exp(2j * x).real + torch.exp(1j * x**2).imag + (torch.complex(x, x**2) ** 3).imag,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_formula_is_the_function(name):
    function = FUNCTIONS[name]
    taylor, reverse = partials(function, X, WANTED), partials(function, X, WANTED, "reverse")
    torch.testing.assert_close(taylor.value, reverse.value, rtol=1e-12, atol=1e-12)
    assert taylor.value.shape == function(X).shape
    torch.testing.assert_close(taylor.value, function(X), rtol=1e-12, atol=1e-12)
    for index in WANTED.partials:
        torch.testing.assert_close(taylor.partials[index], reverse.partials[index], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(taylor.laplacians[(0, 1)], reverse.laplacians[(0, 1)], rtol=1e-9, atol=1e-9)


def test_distances_are_smooth_by_their_formula():
    """torch's own have no second derivative, in reverse mode either."""
    computed = partials(FUNCTIONS["cdist"], X, WANTED)
    squared = partials(lambda x: torch.exp(-((x[:, None, :] - MATRIX.T) ** 2).sum(-1)), X, WANTED)
    for index in WANTED.partials:
        torch.testing.assert_close(computed.partials[index], squared.partials[index], rtol=1e-9, atol=1e-12)


def test_a_step_is_a_constant():
    step = torch.tensor(0.5, dtype=torch.float64)
    computed = partials(lambda x: torch.heaviside(x - 0.4, step) * x**2, X, WANTED)
    expected = partials(lambda x: torch.where(x > 0.4, x**2, 0.0), X, WANTED)
    assert torch.equal(computed.partials[(1, 1)], expected.partials[(1, 1)])


@pytest.mark.parametrize("order", range(1, 9))
def test_high_derivatives_of_the_arctangent(order):
    """It is the imaginary part of log(1 + i x), whose derivatives are known."""
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None]
    index = (0,) * order
    found = partials(torch.atan, x, Wanted(frozenset({index}))).partials[index]
    known = (-((-1j) ** order) * math.factorial(order - 1) * (1 + 1j * x) ** (-order)).imag
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12 * math.factorial(order))


def test_places_where_functions_have_kinks_are_those_of_torch():
    zero = torch.zeros(2, 2, dtype=torch.float64)
    for function in (
        lambda x: torch.atan2(x[:, :1], x[:, 1:]),
        lambda x: x.norm(dim=-1, keepdim=True),
        lambda x: torch.cat([x[:, :1]] * 2, 1).std(-1, keepdim=True),
    ):
        computed = partials(function, zero, Wanted(frozenset({(0,), (1,)})))
        assert computed.value.abs().max() == 0
        assert all(bool((found == 0).all()) for found in computed.partials.values())
    infinite = torch.full((7, 2), math.inf, dtype=torch.float64)
    assert bool((partials(lambda x: torch.logaddexp(x, infinite), X, WANTED).value == math.inf).all())


def test_distances_that_are_only_fitted_are_those_of_torch():
    """Where two rows meet, its kernel has a gradient, and the formula has none."""
    centers = X[:3].clone().requires_grad_()
    value = partials(lambda x: torch.exp(-(torch.cdist(x, centers) ** 2)), X, Wanted(), "auto").value
    (gradient,) = torch.autograd.grad(value.sum(), centers)
    assert bool(gradient.isfinite().all())


COUPLED = {
    "norm over all points; say dim=-1": lambda x: x.norm() * x,
    "product over all points; say dim=-1": lambda x: x.prod() * x,
    "variance over all points; say dim=-1": lambda x: x.var() * x,
    "extreme over several dimensions; say dim=-1": lambda x: x.amax() * x,
    "norm of matrices of order 1": lambda x: torch.linalg.norm(x[:, :, None] * x[:, None, :], 1, dim=(1, 2))[:, None],
    "einsum '...i,...i,...i->...': write all indices": lambda x: torch.einsum("...i,...i,...i->...", x, x, x)[:, None],
    "norm of order 0": lambda x: torch.linalg.vector_norm(x, 0, dim=-1)[:, None] * x,
    "norm of matrices of order 2": lambda x: torch.linalg.norm(x[:, :, None] * x[:, None, :], 2, dim=(1, 2))[:, None],
    "norm of complex numbers": lambda x: torch.exp(1j * x).norm(dim=-1)[:, None],
    "vecdot of complex numbers": lambda x: torch.linalg.vecdot(torch.exp(1j * x), torch.exp(2j * x)).real[:, None],
    "a variance of complex numbers": lambda x: torch.exp(1j * x).var(-1)[:, None],
    "sgn of complex numbers": lambda x: torch.exp(1j * x).sgn().real,
    "cross without a dimension; say dim=-1": lambda x: torch.cross(x[:, :1] * THREES[:, 0], THREES[:, 1]),
    "a cross product of other than three": lambda x: torch.cross(x, x**2, dim=-1),
    "fmod with a divisor that varies": lambda x: torch.fmod(ROWS, x),
    "tensordot with two factors that vary": lambda x: torch.tensordot(x, x.T, 1),
}


@pytest.mark.parametrize("said", COUPLED)
def test_what_has_no_formula_is_said(said):
    with pytest.raises(UnsupportedOperationError) as raised:
        partials(COUPLED[said], X, WANTED, "taylor")
    assert said in str(raised.value)
