"""Rules in every calling form, on channels that broadcast, and what has no rule."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pinnlab.derivatives import Wanted, partials, resolve_engine
from pinnlab.errors import ConfigurationError, UnsupportedOperationError

WANTED = Wanted(frozenset({(0,), (0, 1), (1, 1), (0, 0, 1), (0, 0, 1, 1)}), frozenset({(0, 1)}))
GENERATOR = torch.Generator().manual_seed(3)
X = 0.2 + torch.rand(7, 2, generator=GENERATOR, dtype=torch.float64)
SAME = 0.5 + torch.rand(7, 2, generator=GENERATOR, dtype=torch.float64)
DIAGONAL = torch.diag(SAME[:, 0])  # points must not mix
TO_THREE = torch.rand(2, 3, generator=GENERATOR, dtype=torch.float64)
FROM_THREE = torch.rand(3, 4, generator=GENERATOR, dtype=torch.float64)
ROW = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
MASK = X > 0.7


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp_min(1.0)).item()


def assert_taylor_is_reverse(function, expected=None):
    taylor, reverse = partials(function, X, WANTED), partials(expected or function, X, WANTED, "reverse")
    assert relative(taylor.value, reverse.value) < 1e-12
    for index in WANTED.partials:
        assert taylor.partials[index].shape == reverse.value.shape
        assert relative(taylor.partials[index], reverse.partials[index]) < 1e-10, index
    assert relative(taylor.laplacians[(0, 1)], reverse.laplacians[(0, 1)]) < 1e-10


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "sin", "cos", "exp", "log", "sqrt", "sinh", "cosh", "square",
                                  "reciprocal", "neg", "abs", "tan", "expm1", "log1p", "rsqrt", "erf"])  # fmt: skip
@pytest.mark.parametrize("form", ["function", "method"])
def test_elementary_functions(name, form):
    def apply(x):
        return getattr(torch, name)(x * x) if form == "function" else getattr(x * x, name)()

    assert_taylor_is_reverse(apply)


@pytest.mark.parametrize(
    "activation",
    [nn.Tanh(), nn.Sigmoid(), nn.Softplus(beta=3.0), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.ReLU(), nn.Softmax(-1),
     F.tanh, F.sigmoid, F.softplus, F.silu, F.gelu, F.relu,
     nn.ELU(), nn.ELU(0.7), nn.CELU(), nn.CELU(1.7), nn.SELU(), nn.Mish(), nn.Softsign(), nn.PReLU().double(),
     nn.PReLU(3, init=0.4).double(), nn.Hardtanh(-0.5, 0.3), nn.ReLU6(), nn.LeakyReLU(0.2), nn.Hardswish(),
     nn.Hardsigmoid(), nn.LogSigmoid(), nn.Softplus(2.0, threshold=0.5), nn.Tanhshrink(), nn.Softshrink(0.1),
     nn.Hardshrink(0.1), nn.Threshold(0.1, 0.3), nn.Softmin(-1), nn.LogSoftmax(-1), nn.RMSNorm(3).double(),
     nn.Dropout(0.0), nn.Dropout(0.5).eval(), nn.ReLU(inplace=True), nn.ELU(inplace=True)],
    ids=lambda activation: getattr(activation, "__name__", str(activation)),
)  # fmt: skip
def test_activations(activation):
    assert_taylor_is_reverse(lambda x: activation(x @ TO_THREE - 1.0))


BETWEEN = {
    "tensor @ jet": lambda x: DIAGONAL @ (x * x),
    "tensor * jet": lambda x: SAME * x * x,
    "tensor + jet": lambda x: SAME + x * x,
    "tensor - jet": lambda x: SAME - x * x,
    "tensor / jet": lambda x: SAME / x,
    "tensor ** jet": lambda x: SAME**x,
    "jet ** tensor": lambda x: x**SAME,
    "jet ** larger tensor": lambda x: (x[:, 0] ** SAME.t()).t(),
    "number / jet": lambda x: 2 / x,
    "number ** jet": lambda x: 2**x,
    "jet % number": lambda x: (x % 0.3) * x,
    "abs": lambda x: abs(x - 0.7) * x,
    "comparisons": lambda x: torch.where((x == 0.3) | (x != 0.3) & (x < 9) & (x <= 9) & (x >= 0), x**2, x),
    "keywords": lambda x: torch.add(torch.sum(input=x * x, dim=-1, keepdim=True), other=x),
    "cat keywords": lambda x: torch.cat(tensors=[x, x * x], dim=-1),
    "where as a method": lambda x: (x**3).where(MASK, x),
    "to": lambda x: x.to(torch.float64).double() ** 2,
    "einsum": lambda x: torch.einsum("ni,ij->nj", x * x, TO_THREE),
    "einsum of jets": lambda x: torch.einsum("ni,ij,nk->nk", x[:, :1] ** 2 + ROW, FROM_THREE, x.sin()),
    "steps": lambda x: (10 * x).floor() * x + (10 * x).round() * x + x.ceil() + torch.sign(x - 0.7) * x**2,
    "transposed": lambda x: (x.T**2).mT,
    "clamp": lambda x: (x**2).clamp(0.3, 0.9) + torch.clamp(x, max=0.8) + x.clamp_min(0.5),
    "maximum": lambda x: torch.maximum(x, x**3 + 0.1) + torch.minimum(x**2, SAME),
    "glu": lambda x: F.glu(torch.cat([x**2, x], -1)),
    "repeat": lambda x: (x**2).repeat(1, 2) * x.repeat_interleave(2, -1),
    "logsumexp": lambda x: torch.logsumexp(x**2, -1)[:, None] + x.logsumexp(-1, keepdim=True),
    "baddbmm": lambda x: torch.baddbmm(ROW, (x * x)[:, None, :], TO_THREE.expand(7, 2, 3)).squeeze(1),
    "column_stack": lambda x: torch.column_stack([x[:, 0] ** 2, x[:, 1], x]),
    "hstack": lambda x: torch.hstack([x[:, 0] ** 2, x[:, 1]]).reshape(2, -1).transpose(0, 1),
    "split": lambda x: x.split(1, -1)[1] ** 2,
    "boolean index": lambda x: (x * x)[:, torch.tensor([True, False])],
    "None among columns": lambda x: torch.cat([x[..., 0:2][..., None, :].sum(-2), x[..., None, 0:1].sum(-2)], -1) ** 2,
    "None and int": lambda x: (x * x)[:, None, 1],
    "slice": lambda x: torch.cat([(x**3)[..., 0:1], (x * x)[:, -1:]], -1),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_forms_and_constants(name):
    assert_taylor_is_reverse(BETWEEN[name])


CONTRACTED = {
    "linear": lambda x: F.linear(x[:, :1] + ROW, FROM_THREE.T),
    "matmul": lambda x: (x[:, :1] ** 2 + ROW) @ FROM_THREE,
    "matmul from the left": lambda x: DIAGONAL @ (x[:, :1] ** 2 + ROW),
    "sum of two jets": lambda x: F.linear(x[:, :1] ** 2 + x @ TO_THREE, FROM_THREE.T),
    "where": lambda x: F.linear(torch.where(x[:, :1] > 0.5, x[:, :1], ROW), FROM_THREE.T),
    "centred": lambda x: (x**2 - (x**3).mean(-1, keepdim=True)) @ TO_THREE,
    "view of a constant channel": lambda x: (x + 1).view(-1).view(-1, 2) ** 2,
    "reductions": lambda x: (x[:, :1] + ROW).sum(-1, keepdim=True) * (x[:, :1] + ROW).mean(-1, keepdim=True),
    "more dimensions": lambda x: (torch.zeros(5, 1, 1, dtype=torch.float64) + x * x).sum(0) * x,
}


@pytest.mark.parametrize("name", CONTRACTED)
def test_channels_that_broadcast_are_summed_in_full(name):
    assert_taylor_is_reverse(CONTRACTED[name])


BEFORE_A_LINEAR_LAYER = {
    "coordinates": lambda x: x,
    "shifted and scaled": lambda x: (x - ROW[:2]) * ROW[1:],
    "by numbers": lambda x: 2 + x * 3.0 - 1,
    "from the left": lambda x: ROW[:2] - ROW[:2] * x,
    "by one entry": lambda x: x * ROW[1:2],
    "divided": lambda x: (x * ROW[:2]) / ROW[1:],
    "negative": lambda x: -(x * ROW[:2]),
    "another number at each point": lambda x: x * SAME + SAME,
    "by a column": lambda x: (x * ROW[:2]) * SAME[:, :1],
    "by themselves": lambda x: (x * ROW[:2]) * x,
    "one of them": lambda x: torch.cat([x[:, :1], x[:, :1]], -1),
}


@pytest.mark.parametrize("axes", [(0, 1), (1,)], ids=str)
@pytest.mark.parametrize("name", BEFORE_A_LINEAR_LAYER)
def test_the_first_layer_knows_what_was_done_to_the_coordinates(name, axes):
    wanted = Wanted(frozenset({(axes[-1],)}), frozenset({axes}))
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    results = []
    for engine in ("taylor", "reverse"):
        computed = partials(lambda x: network(BEFORE_A_LINEAR_LAYER[name](x)), X, wanted, engine)
        results.append((computed.value, computed.partials[(axes[-1],)], computed.laplacians[axes]))
    for taylor, reverse in zip(*results, strict=True):
        assert relative(taylor, reverse) < 1e-12


FROM_ONE_COLUMN = {
    "scaled": lambda x: x * ROW,
    "scaled from the left": lambda x: ROW * x,
    "shifted": lambda x: x + ROW,
    "shifted back": lambda x: 2 * x - ROW,
    "one column of two": lambda x: x[..., 0:1] * ROW,
}


@pytest.mark.parametrize("name", FROM_ONE_COLUMN)
def test_a_row_makes_several_columns_of_one_coordinate(name):
    """A linear layer behind them adds up all of them, and must not take the first for the coordinate."""
    x, indices = X if name == "one column of two" else X[:, :1], ((0,), (0, 0))
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    taylor, reverse = (
        partials(lambda x: network(FROM_ONE_COLUMN[name](x)), x, Wanted(frozenset(indices)), engine)
        for engine in ("taylor", "reverse")
    )
    for index in indices:
        assert relative(taylor.partials[index], reverse.partials[index]) < 1e-12


def test_clamping_does_not_hide_what_is_not_a_number():
    x = torch.tensor([[-1.0], [2.0]], dtype=torch.float64)
    for function in (
        lambda x: x.log().clamp(-5, 5),
        lambda x: x.log().clamp_max(0.5),
        lambda x: torch.maximum(x.log(), x),
        lambda x: torch.maximum(x, x.log()),
        lambda x: torch.minimum(x.log(), x),
    ):
        value = partials(function, x, Wanted(frozenset({(0,)})), "taylor").value
        assert value.isnan().flatten().tolist() == [True, False]
        assert torch.equal(value[1], function(x)[1])


def test_layer_norm_inside_a_network():
    """Against the composed formula: torch 2.13's third derivative of `F.layer_norm` is wrong."""
    torch.manual_seed(0)
    first, last = nn.Linear(2, 3).double(), nn.Linear(3, 2).double()

    def composed(x):
        z = first(x)
        centred = z - z.mean(-1, keepdim=True)
        return last(centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5))

    assert_taylor_is_reverse(nn.Sequential(first, nn.LayerNorm(3).double(), last), composed)


def test_integer_powers_of_negative_numbers_and_zero():
    two = torch.tensor(2.0, dtype=torch.float64)
    for square in (lambda x: (x - 0.7) ** 2, lambda x: (x - 0.7) ** two, lambda x: torch.pow(x - 0.7, 2.0)):
        computed = partials(square, torch.cat([X, torch.full_like(X[:1], 0.7)]), WANTED)
        assert torch.equal(computed.partials[(1, 1)], torch.tensor([0.0, 2.0], dtype=torch.float64).expand(8, 2))
        assert computed.partials[(0, 0, 1, 1)].abs().max() == 0


TRAINED = {
    "exponent": lambda x, p: x**p,
    "divisor of remainder": lambda x, p: torch.remainder(-4 * x, p) * x**2,
    "divisor of fmod": lambda x, p: torch.fmod(-4 * x, p) * x**2,
}


@pytest.mark.parametrize("name", TRAINED)
def test_constants_that_are_trained_get_gradients(name):
    parameter = torch.tensor([1.5, 3.0], dtype=torch.float64, requires_grad=True)
    values = [
        partials(lambda x: TRAINED[name](x, parameter), X, Wanted(frozenset({(0, 0)})), engine).partials[(0, 0)]
        for engine in ("taylor", "reverse")
    ]
    gradients = [torch.autograd.grad(value.sum(), parameter)[0] for value in values]
    assert torch.allclose(*gradients, rtol=1e-10)
    assert gradients[1].any()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("whole", [0.0, 1.0, 2.0])
def test_an_exponent_that_is_trained_may_start_at_a_whole_number(whole, order):
    """Against differences: where a derivative of a power is zero torch has no gradient, so reverse mode has none."""

    def total(exponent):
        wanted = Wanted(frozenset({(0,) * order}))
        return partials(lambda x: x[:, :1] ** exponent, X, wanted).partials[(0,) * order].sum()

    exponent, step = torch.tensor(whole, dtype=torch.float64, requires_grad=True), 1e-5
    (gradient,) = torch.autograd.grad(total(exponent), exponent)
    with torch.no_grad():
        difference = (total(exponent + step) - total(exponent - step)) / (2 * step)
    assert gradient.item() == pytest.approx(difference.item(), rel=1e-6)


def test_forward_mode_agrees():
    function, (e0, e1) = (lambda x: torch.tanh(x @ TO_THREE) ** 2), torch.eye(2, dtype=torch.float64)

    def along(f, direction):
        return lambda x: torch.func.jvp(f, (x,), (direction.expand_as(x),))[1]

    computed = partials(function, X, WANTED)
    assert relative(computed.partials[(0, 1)], along(along(function, e0), e1)(X)) < 1e-12
    assert relative(computed.partials[(0, 0, 1)], along(along(along(function, e0), e0), e1)(X)) < 1e-12


def test_a_slope_that_is_trained_gets_gradients():
    prelu, wanted = nn.PReLU(3, init=0.3).double(), Wanted(frozenset({(0, 1)}))
    gradients = [
        torch.autograd.grad(
            partials(lambda x: prelu(x @ TO_THREE - 1.0) ** 2, X, wanted, engine).partials[(0, 1)].sum(), prelu.weight
        )[0]
        for engine in ("taylor", "reverse")
    ]
    assert torch.allclose(*gradients, rtol=1e-12)
    assert gradients[0].abs().min() > 0


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_large_arguments_do_not_overflow(name):
    """The exponential of the branch that is not taken would be infinite, and infinity times zero is no number."""
    computed = partials(lambda x: getattr(F, name)(1e4 * (x - 0.7)), X, WANTED)
    assert all(t.isfinite().all() for t in computed.partials.values())


def test_dropout_draws_one_mask_for_a_value_and_its_derivatives():
    torch.manual_seed(0)
    computed = partials(lambda x: F.dropout(x**2, 0.5), X, Wanted(frozenset({(0,), (0, 0)})))
    kept = computed.value != 0
    assert 0 < kept[:, 0].sum() < 7
    assert torch.equal(computed.partials[(0,)][:, 0], torch.where(kept, 4 * X, 0.0)[:, 0])
    assert torch.equal(computed.partials[(0, 0)][:, 0], torch.where(kept[:, 0], 4.0, 0.0).double())


def test_data_is_a_constant_for_both_engines():
    assert_taylor_is_reverse(lambda x: x * x.data, lambda x: x * x.detach())
    for engine in ("taylor", "reverse"):
        computed = partials(lambda x: x**2 * x.data, X, Wanted(frozenset({(0, 0)})), engine)
        assert torch.equal(computed.partials[(0, 0)][:, 0], 2 * X[:, 0])


UNSUPPORTED = {
    "cumprod": lambda x: torch.cumprod(x, -1),
    "rounding_mode": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "einsum": lambda x: torch.einsum("...i,...i,...i->...i", x, x, x),
    "mm": lambda x: torch.mm(x, mat2=TO_THREE),
    "special_bessel_j0": torch.special.bessel_j0,
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_has_no_rule_is_named_and_falls_back(name):
    with pytest.raises(UnsupportedOperationError, match=name):
        partials(UNSUPPORTED[name], X, WANTED)
    with pytest.warns(UserWarning, match=name) as caught:
        assert resolve_engine(UNSUPPORTED[name], X, WANTED) == "reverse"
    assert len(caught) == 1


NOT_A_TENSOR = {
    "float": lambda x: torch.stack([row * float(row[0]) for row in x]),
    "truth": lambda x: x * x if x[0, 0] else x,
    "item": lambda x: torch.stack([row * row[0].item() for row in x]),
    "tolist": lambda x: x * torch.tensor(x.tolist(), dtype=x.dtype),
    "attribute": lambda x: x if hasattr(x, "special") else x * x,
    "type": lambda x: x * x if isinstance(x, torch.Tensor) else x,
    "vmap": lambda x: torch.func.vmap(lambda point: point**2)(x),
    "masked_select": lambda x: x.masked_select(x > 0).reshape(x.shape) ** 2,
}


@pytest.mark.filterwarnings("ignore:Converting a tensor")
@pytest.mark.parametrize("name", NOT_A_TENSOR)
def test_what_takes_a_jet_for_a_tensor_falls_back_to_right_values(name):
    function = NOT_A_TENSOR[name]
    with pytest.warns(UserWarning, match="nested reverse mode instead of Taylor mode") as caught:
        assert resolve_engine(function, X, WANTED) == "reverse"
    assert len([w for w in caught if "reverse mode" in str(w.message)]) == 1
    assert torch.equal(partials(function, X, WANTED, "reverse").value, function(X))


def test_what_no_engine_can_differentiate_is_one_line():
    with pytest.raises(UnsupportedOperationError, match="floor_divide"):
        partials(lambda x: x // 0.3, X, WANTED)
    with pytest.raises(
        ConfigurationError, match=r"^model.network: .*floor_divide is not implemented; write it in torch"
    ):
        resolve_engine(lambda x: x // 0.3, X, WANTED)
    with pytest.raises(
        ConfigurationError, match=r"^model.network: its derivatives cannot be computed: RuntimeError: c"
    ):
        resolve_engine(lambda x: torch.cat([x, x * x], -1, out=x.new_empty(len(x), 4)), X, WANTED)


def test_an_error_of_the_function_itself_is_not_blamed_on_an_engine():
    with pytest.raises(ZeroDivisionError):
        resolve_engine(lambda x: x / (1 // 0), X, WANTED)
