"""Normalisation and attention: Taylor mode, reverse mode and the plain layer give one answer, as often as wanted."""

import pytest
import torch
from cases import AttentionNetwork
from test_rules import TO_THREE, WANTED, X, assert_taylor_is_reverse, relative
from torch import nn
from torch.func import functional_call, grad, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from pinnlab.derivatives import Wanted, partials
from pinnlab.derivatives.reverse import ByFormula

NOT_CAUSAL = torch.tensor([[False, True, True], [False, False, True], [False, False, False]])
PADDING = torch.tensor([False, False, True]).expand(7, 3)


class Tokens(nn.Module):
    """A layer for sequences `(n, 3, 4)` as a network: three tokens of every point."""

    def __init__(self, layer, batch_first=True, pick=lambda result: result):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(2, 12).double(), nn.Linear(12, 2).double()
        self.layer = layer.double() if isinstance(layer, nn.Module) else layer
        self.batch_first, self.pick = batch_first, pick

    def forward(self, x):
        h = torch.tanh(self.first(x)).reshape(-1, 3, 4)
        h = self.pick(self.layer(h if self.batch_first else h.transpose(0, 1)))
        return self.last((h if self.batch_first else h.transpose(0, 1)).flatten(1))


def attention(**options):
    torch.manual_seed(1)
    call = {
        key: options.pop(key)
        for key in ("need_weights", "attn_mask", "is_causal", "key_padding_mask")
        if key in options
    }
    module = nn.MultiheadAttention(4, 2, **options)
    network = Tokens(module, options.get("batch_first", False), lambda result: result[0])
    network.layer = Called(module.double(), call)
    return network


class Called(nn.Module):
    def __init__(self, attention, options):
        super().__init__()
        self.attention, self.options = attention, options

    def forward(self, h):
        return self.attention(h, h, h, **self.options)


def encoder(layers=1, **options):
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, **options)
    return Tokens(layer if layers == 1 else nn.TransformerEncoder(layer, layers))


NETWORKS = {
    "attention": attention(batch_first=True),
    "attention without weights": attention(batch_first=True, need_weights=False),
    "attention, points second": attention(),
    "attention without bias": attention(batch_first=True, bias=False, need_weights=False),
    "causal": attention(batch_first=True, attn_mask=NOT_CAUSAL, is_causal=True, need_weights=False),
    "mask of numbers": attention(batch_first=True, attn_mask=torch.eye(3, dtype=torch.float64)),
    "padding": attention(batch_first=True, key_padding_mask=PADDING, attn_mask=NOT_CAUSAL),
    "encoder layer": encoder(activation="gelu"),
    "encoder layer, norm first": encoder(norm_first=True, activation=F.silu),
    "encoder": encoder(2, activation="gelu"),
    "group norm": Tokens(nn.GroupNorm(3, 3)),
    "batch norm in use": Tokens(nn.BatchNorm1d(3)).eval(),
    "dot product": Tokens(lambda h: F.scaled_dot_product_attention(h, h * h, torch.sin(h))),
    "causal dot product": Tokens(lambda h: F.scaled_dot_product_attention(h, h, h, is_causal=True, scale=0.7)),
    "masked dot product": Tokens(lambda h: F.scaled_dot_product_attention(h, h, h, attn_mask=~NOT_CAUSAL)),
    "grouped dot product": Tokens(
        lambda h: F.scaled_dot_product_attention(
            h.reshape(-1, 3, 2, 2).transpose(1, 2), h[:, None, :, :2], h[:, None, :, 2:], enable_gqa=True
        ).flatten(1).reshape(-1, 3, 4)
    ),
    "einsum attention": Tokens(
        lambda h: torch.einsum("nij,njk->nik", torch.softmax(torch.einsum("nik,njk->nij", h, h), -1), h)
    ),
}  # fmt: skip
SUPPORTED = [name for name in NETWORKS if name != "batch norm in use"]


BOTH = ("attention", "encoder layer", "encoder")
"""Modules that torch may compute in another way when they are not in training."""
MODES = [
    pytest.param(mode, name, marks=[pytest.mark.slow] * (mode == "eval" and name not in BOTH))
    for mode in ("train", "eval")
    for name in SUPPORTED
]


@pytest.mark.parametrize(("mode", "name"), MODES)
def test_engines_agree_to_fourth_order_and_with_the_layer(name, mode):
    network = NETWORKS[name].train(mode == "train")
    assert_taylor_is_reverse(network)
    assert relative(partials(network, X, WANTED).value, network(X)) < 1e-14
    assert relative(partials(network, X, Wanted()).value, network(X)) < 1e-14


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_fast_paths_are_the_same_function(context):
    """In evaluation mode without gradients torch takes one fused kernel for a whole encoder layer."""
    network = encoder(activation="gelu").eval()
    expected = partials(network, X, WANTED, "reverse")
    with context():
        assert relative(network(X), expected.value) < 1e-12
        for engine in ("taylor", "reverse"):
            computed = partials(network, X, WANTED, engine)
            assert relative(computed.partials[(0, 0, 1)], expected.partials[(0, 0, 1)]) < 1e-12


def test_unbatched_attention():
    """A sequence of its own for each point, without a dimension for the points."""
    module = nn.MultiheadAttention(4, 2).double()

    def network(x):
        sequences = torch.tanh(x @ torch.linspace(-1, 1, 24, dtype=x.dtype).reshape(2, 12)).reshape(-1, 3, 4)
        return torch.stack([module(h, h, h, need_weights=False)[0][1, :1] for h in sequences])

    assert_taylor_is_reverse(network)


def test_third_derivatives_of_layer_norm_in_both_engines():
    """Against finite differences of the second derivative, as torch's own third derivative cannot be trusted."""
    network, step = encoder(activation="gelu"), 1e-5
    second, third = Wanted(frozenset({(0, 0)})), Wanted(frozenset({(0, 0, 0)}))
    shift = torch.tensor([step, 0.0], dtype=torch.float64)
    ahead, behind = (partials(network, X + s * shift, second).partials[(0, 0)] for s in (1, -1))
    for engine in ("taylor", "reverse"):
        assert relative(partials(network, X, third, engine).partials[(0, 0, 0)], (ahead - behind) / (2 * step)) < 1e-7


def residuals(network, engine):
    """A second-order residual beside a condition without derivatives, as functions of parameters and points."""

    def function(parameters, x):
        def at(points):
            return functional_call(network, parameters, (points,))

        wanted = Wanted(frozenset({(0, 0), (1,)}))
        inside, value = partials(at, x, wanted, engine), partials(at, 1 - x, Wanted(), engine).value
        return torch.stack([inside.partials[(0, 0)][:, 0] - inside.partials[(1,)][:, 0], value[:, 0] ** 2], -1)

    return function


@pytest.mark.parametrize("network", [AttentionNetwork(2, 1), encoder(activation="gelu")], ids=["attention", "encoder"])
def test_gradients_jacobians_and_hessian_products_of_both_engines(network):
    network = network.double()
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    found = []
    for engine in ("taylor", "reverse"):
        r = residuals(network, engine)

        def loss(own, r=r):
            return r(own, X).square().sum()

        rows = vmap(grad(lambda own, x, r=r: r(own, x[None]).sum()), (None, 0))(parameters, X)
        slope, pull_back = vjp(grad(loss), parameters)
        product = pull_back(parameters)[0]
        found.append([torch.cat([t.flatten() for t in part.values()]) for part in (slope, rows, product)])
    for taylor, reverse in zip(*found, strict=True):
        assert reverse.abs().max() > 1e-3
        assert relative(taylor, reverse) < 1e-10


@pytest.mark.slow
def test_attention_is_traced_for_every_number_of_points():
    network = AttentionNetwork(2, 1).double()
    parameters = dict(network.named_parameters())

    def loss(own, x):
        total = residuals(network, "taylor")(own, x).square().mean()
        return total, torch.autograd.grad(total, list(own.values()))

    graph = make_fx(loss, tracing_mode="symbolic", _allow_non_fake_inputs=True)(parameters, X.repeat(3, 1))
    for x in (X, X[:4]):
        (total, slope), (expected, expected_slope) = graph(parameters, x), loss(parameters, x)
        assert torch.allclose(total, expected, rtol=1e-12)
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(slope, expected_slope, strict=True))


def test_forms_without_a_formula_are_left_to_torch():
    module = nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True, add_zero_attn=True).double()
    network = Tokens(Called(module, {}), pick=lambda result: result[0])
    with ByFormula():
        assert torch.equal(network(X), network(X))
    celu = nn.CELU(1.5, inplace=True)
    with ByFormula():
        h = X @ TO_THREE - 1
        assert celu(h) is h
