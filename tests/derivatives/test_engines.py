"""The Taylor engine against nested reverse mode, against plain autograd, and against formulas."""

import math
import warnings

import pytest
import torch
from cases import NETWORKS
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from pinnlab.derivatives import Jet, Sample, Wanted, partials, resolve_engine
from pinnlab.derivatives.jet import RULES
from pinnlab.derivatives.lifting import lift
from pinnlab.derivatives.reverse import ByFormula
from pinnlab.errors import ConfigurationError, UnsupportedOperationError
from pinnlab.networks import MLP

ORDERS = Wanted(
    frozenset({(0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 1), (1, 1, 1), (0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 1, 1)}),
    frozenset({(0, 1)}),
)
OF_NETWORKS = Wanted(frozenset({(0,), (0, 1), (1, 1), (0, 0, 1), (0, 0, 1, 1)}), frozenset({(0, 1)}))
"""One of each order, as there are many networks; each operation has all of `ORDERS`."""
LOW = Wanted(frozenset({(0,), (0, 1), (1, 1)}), frozenset({(0, 1)}))


def points(n=7, d=2, seed=0, dtype=torch.float64):
    return 0.2 + torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain_autograd(function, x, index):
    """The textbook way: `autograd.grad` once for each order."""
    x = x.clone().requires_grad_()
    columns = []
    for j in range(function(x).shape[-1]):
        value = function(x)[:, j]
        for axis in index:
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
            value = torch.zeros_like(value) if gradient is None else gradient[:, axis]
            if not value.requires_grad:
                value = value + 0 * x[:, 0]
        columns.append(value.detach())
    return torch.stack(columns, -1)


def close(a, b, tolerance=1e-10):
    scale = b.abs().max().clamp_min(1.0)
    return ((a - b).abs().max() / scale).item() < tolerance


def compare(function, x, wanted=ORDERS, tolerance=1e-10):
    taylor, reverse = partials(function, x, wanted, "taylor"), partials(function, x, wanted, "reverse")
    assert close(taylor.value, reverse.value, tolerance)
    for index in wanted.partials:
        assert taylor.partials[index].shape == reverse.value.shape
        assert close(taylor.partials[index], reverse.partials[index], tolerance), index
    for axes in wanted.laplacians:
        assert close(taylor.laplacians[axes], reverse.laplacians[axes], tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_with_reverse_mode_to_fourth_order(name):
    torch.manual_seed(0)
    compare(NETWORKS[name](2, 2).double(), points(4) - 0.5, OF_NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_with_plain_autograd(name):
    torch.manual_seed(1)
    network, x = NETWORKS[name](2, 1).double(), points(4) - 0.5
    computed = partials(network, x, ORDERS)
    with ByFormula():  # torch's own kernels of attention and of layer norm have no right third derivative
        for index in [(0,), (0, 1), (0, 0, 1)]:
            assert close(computed.partials[index], plain_autograd(network, x, index)), index


@pytest.mark.parametrize("name", ["mlp", "siren", "piratenet"])
def test_float32(name):
    torch.manual_seed(0)
    compare(NETWORKS[name](2, 1).float(), points(dtype=torch.float32) - 0.5, LOW, 1e-3)


MATRIX = torch.randn(2, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
BIAS = torch.randn(3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def composed_layer_norm(z):
    centred = z - z.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)


OPERATIONS = {
    "linear": lambda x: F.linear(x * x, MATRIX.T, BIAS),
    "matmul": lambda x: (x * x) @ MATRIX,
    "matmul of jets": lambda x: ((x[:, None, :] * x[:, :, None]) @ (x[:, :, None] * x[:, None, :1])).squeeze(-1),
    "constant on the left": lambda x: torch.matmul(torch.eye(len(x), dtype=x.dtype) * 2, x * x),
    "bmm": lambda x: torch.bmm((x * x)[:, None, :], MATRIX.expand(len(x), 2, 3)).squeeze(1),
    "addmm": lambda x: torch.addmm(BIAS, x * x, MATRIX, beta=0.5, alpha=2.0),
    "add": lambda x: x * x + x + 1.5 + x[:, :1],
    "sub": lambda x: 1.0 - x * x - (x[:, 1:] - 2.0 * x),
    "tensor minus jet": lambda x: torch.ones(2, dtype=torch.float64) - x**2,
    "mul": lambda x: x * x[:, :1] * 3.0 * torch.tensor([1.0, -2.0], dtype=torch.float64),
    "mul with more dimensions": lambda x: (x[:, None, :] * torch.ones(4, 1, dtype=torch.float64)).sum(1) ** 2,
    "div": lambda x: x / (1 + x[:, :1]) + 1.0 / x + x / 3.0,
    "pow int": lambda x: x**3 + x.pow(2) + torch.pow(x, 5),
    "pow float": lambda x: x**2.5 + x ** (-1.5),
    "pow jet": lambda x: x ** x[:, :1] + 2.0**x,
    "neg": lambda x: -(x * x) + torch.neg(x),
    "exp": lambda x: torch.exp(x) + (x * x).exp() + torch.expm1(x),
    "log": lambda x: torch.log(x) + torch.log1p(x * x),
    "sqrt": lambda x: torch.sqrt(x) + torch.rsqrt(1 + x),
    "sin cos": lambda x: torch.sin(3 * x) * torch.cos(x) + x.sin(),
    "tan": lambda x: torch.tan(x),
    "tanh": lambda x: torch.tanh(x * x) + x.tanh(),
    "sigmoid": lambda x: torch.sigmoid(2 * x) + F.sigmoid(x),
    "softplus": lambda x: F.softplus(x, beta=2.0),
    "silu": lambda x: F.silu(3 * x),
    "gelu": lambda x: F.gelu(2 * x),
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "erf": lambda x: torch.erf(x),
    "erfcx": lambda x: torch.special.erfcx(2 * x),
    "sinh cosh": lambda x: torch.sinh(x) * torch.cosh(2 * x),
    "square reciprocal": lambda x: torch.square(x) + torch.reciprocal(1 + x),
    "abs": lambda x: torch.abs(x - 5.0) * x,
    "softmax": lambda x: F.softmax(torch.cat([x, x * x], -1), -1),
    "cat": lambda x: torch.cat([x, torch.ones_like(x), x[:, :1] ** 2], -1),
    "stack": lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 1] ** 3, torch.zeros_like(x[:, 0])], -1),
    "indexing": lambda x: (x**2)[..., [1, 0, 0]] * x[:, 0][:, None] + x[..., -1:],
    "reshape": lambda x: (x * x).reshape(-1, 1, 2).transpose(1, 2).squeeze(-1).unsqueeze(0)[0],
    "sum": lambda x: (x**2).sum(-1, keepdim=True) * x + torch.sum(x, -1)[:, None],
    "mean": lambda x: x * torch.mean(x * x, -1, keepdim=True),
    "where": lambda x: torch.where(x > 0.7, x**3, torch.sin(x)) + torch.where(x > 0.5, x, torch.zeros_like(x)),
    "expand": lambda x: (x[:, :1] ** 2).expand(-1, 3) * MATRIX[0],
    "chunk": lambda x: torch.cat([c * c for c in x.chunk(2, -1)][::-1], -1),
    "unbind": lambda x: x.unbind(-1)[0][:, None] ** 2,
    "modules": nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.SiLU(), nn.Linear(3, 2)).double(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_rule_agrees_with_reverse_mode_to_fourth_order(name):
    compare(OPERATIONS[name], points())


@pytest.mark.parametrize("form", ["function", "module"])
def test_layer_norm_against_its_formula(form):
    """Not against nested reverse mode of `F.layer_norm`: torch 2.13's own third derivative of that kernel is wrong
    (it differs from the derivative of the formula by more than 100 %); orders 1 and 2 agree."""
    norm = nn.LayerNorm(3, elementwise_affine=False).double() if form == "module" else lambda z: F.layer_norm(z, (3,))

    def through(rule):
        return lambda x: rule((x @ MATRIX) ** 2 + BIAS)

    x = points()
    computed = partials(through(norm), x, ORDERS)
    expected = partials(through(composed_layer_norm), x, ORDERS, "reverse")
    for index in ORDERS.partials:
        assert close(computed.partials[index], expected.partials[index]), index


def test_analytic_derivatives():
    x = points(20)
    computed = partials(lambda p: torch.sin(2 * p[:, :1]) * torch.exp(3 * p[:, 1:]), x, ORDERS)
    s, c, e = torch.sin(2 * x[:, :1]), torch.cos(2 * x[:, :1]), torch.exp(3 * x[:, 1:])
    assert close(computed.partials[(0, 0, 0, 0)], 16 * s * e)
    assert close(computed.partials[(0, 0, 1, 1)], -4 * 9 * s * e)
    assert close(computed.partials[(0, 1, 1, 1)], 2 * 27 * c * e)
    assert close(computed.laplacians[(0, 1)], (9 - 4) * s * e)


def test_sixth_order():
    x = points(5, 1)
    computed = partials(torch.tanh, x, Wanted(frozenset({(0,) * 6})))
    t = torch.tanh(x)
    s = 1 - t * t  # d^6 tanh = 16 s t (17 - 60 t^2 + 45 t^4) with sign as below
    expected = 16 * s * t * (-17 + 60 * t**2 - 45 * t**4)
    assert close(computed.partials[(0,) * 6], expected)


@pytest.mark.parametrize("d", [2, 5, 40])
def test_laplacian_channel(d):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 1)).double()
    x = points(3, d)
    axes = tuple(range(d))
    one_channel = partials(network, x, Wanted(laplacians=frozenset({axes}))).laplacians[axes]
    hessians = vmap(torch.func.jacrev(torch.func.jacrev(lambda p: network(p)[0])))(x)
    assert close(one_channel[:, 0], hessians.diagonal(dim1=1, dim2=2).sum(-1))


def test_partial_laplacian_beside_time():
    function = lambda p: p[:, :1] ** 2 * p[:, 1:2] ** 3 * torch.sin(p[:, 2:])  # noqa: E731
    wanted = Wanted(frozenset({(2,), (0,)}), frozenset({(0, 1), (0, 2)}))
    compare(function, points(5, 3), wanted)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_works_without_a_tape(engine, context):
    network = NETWORKS["mlp"](2, 1).double()
    expected = partials(network, points(), LOW, engine)
    with context():
        computed = partials(network, points(), LOW, engine)
    assert torch.equal(computed.partials[(0, 1)], expected.partials[(0, 1)])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_points(n):
    computed = partials(NETWORKS["mlp"](2, 2).double(), points(n), ORDERS)
    assert {t.shape for t in computed.partials.values()} == {(n, 2)}


def residual(network, x, engine="taylor", parameters=None):
    function = network if parameters is None else (lambda p: functional_call(network, parameters, (p,)))
    computed = partials(function, x, LOW, engine)
    return (computed.partials[(0,)] + computed.value * computed.partials[(0, 1)] + computed.laplacians[(0, 1)])[:, 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_the_parameters(name):
    torch.manual_seed(0)
    network = NETWORKS[name](2, 1).double()
    with torch.no_grad():
        for parameter in network.parameters():  # some start from zero, where this residual's gradient is zero, too
            parameter += 0.1 * torch.randn_like(parameter)
    gradients = []
    for engine in ("taylor", "reverse"):
        network.zero_grad()
        residual(network, points() - 0.5, engine).square().sum().backward()
        gradients.append(
            torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in network.parameters()])
        )
    assert close(*gradients)
    assert gradients[0].abs().max() > 0


def test_jacobian_rows_by_vmap():
    network, x = NETWORKS["mlp"](2, 1).double(), points(5)
    parameters = dict(network.named_parameters())
    rows = vmap(grad(lambda p, point: residual(network, point[None], parameters=p)[0]), (None, 0))(parameters, x)
    for i in range(5):
        network.zero_grad()
        residual(network, x[i : i + 1])[0].backward()
        for name, parameter in network.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert close(rows[name][i], expected)


def test_an_operation_without_a_rule_is_named():
    with pytest.raises(UnsupportedOperationError, match="i0"):
        partials(torch.special.i0, points(), LOW, "taylor")


def test_auto_falls_back_with_one_warning():
    with pytest.warns(UserWarning, match="i0") as caught:
        assert resolve_engine(torch.special.i0, points(), LOW) == "reverse"
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_engine(torch.tanh, points(), LOW) == "taylor"


def test_unknown_engine():
    with pytest.raises(ConfigurationError, match=r"tailor.*taylor"):
        partials(torch.tanh, points(), LOW, "tailor")


def test_constant_function_has_zero_derivatives():
    computed = partials(lambda x: torch.ones(7, 1, dtype=torch.float64), points(), LOW)
    assert computed.partials[(0, 1)].abs().max() == 0
    linear = partials(lambda x: x @ MATRIX, points(), LOW)
    assert linear.partials[(0, 1)].abs().max() == 0
    assert linear.laplacians[(0, 1)].abs().max() == 0


def test_nothing_wanted_is_a_plain_call():
    assert partials(torch.tanh, points(), Wanted()).partials == {}


def test_rules_are_named_after_torch_operations():
    for name in RULES:
        places = (torch, torch.Tensor, F, torch._C._nn, torch._C._special, torch._C._linalg)
        assert any(hasattr(place, name) for place in places) or name in ("getitem", "setitem", "mapped", "grid_sum"), (
            name
        )
    assert isinstance(lift(points(), LOW), Jet)
    assert math.isclose(lift(points(), LOW).first.sum(), 2.0)


# ------------------------------------------------------------------------------------ long gradients


LONG = MLP(20, 2, hidden=(6, 6)).double()
PLACES = torch.rand(5, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
SINGLES = frozenset((i,) for i in range(20))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(SINGLES),
        Wanted(SINGLES | {(2, 3), (7, 7)}),
        Wanted(SINGLES, frozenset({(0, 5)})),
        Wanted(SINGLES, samples=frozenset({Sample(tuple(range(20)), 2)})),
    ],
    ids=["alone", "mixed", "laplacian", "estimate"],
)
def test_a_long_gradient_goes_back_and_the_rest_ahead(wanted):
    """Seventeen first derivatives and more that nothing else needs: no jet carries them."""
    draws = {sample: torch.tensor([3, 11]) for sample in wanted.samples}
    found, exact = (partials(LONG, PLACES, wanted, engine, draws) for engine in ("taylor", "reverse"))
    torch.testing.assert_close(found.value, exact.value)
    gradient = torch.stack([torch.func.jacrev(lambda x: LONG(x[None])[0])(place) for place in PLACES])
    for index in wanted.partials:
        torch.testing.assert_close(found.partials[index], exact.partials[index], rtol=1e-12, atol=1e-13)
        if len(index) == 1:
            torch.testing.assert_close(found.partials[index], gradient[..., index[0]], rtol=1e-12, atol=1e-13)
    for kind in ("laplacians", "samples"):
        for key, value in getattr(found, kind).items():
            torch.testing.assert_close(value, getattr(exact, kind)[key], rtol=1e-12, atol=1e-13)
    assert len(wanted.backwards) >= 17
    assert wanted.channels < 12


def test_what_jets_have_anyway_they_give():
    assert not Wanted(SINGLES, frozenset({tuple(range(20))})).backwards
    assert not Wanted(frozenset((i,) for i in range(16))).backwards
    assert Wanted(SINGLES | {(2, 3)}).backwards == SINGLES - {(2,), (3,)}
