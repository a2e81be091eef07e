"""Updates of Adam as a pure computation are the steps of torch's optimizer."""

import functools

import pytest
import torch
from card import WAITS, card
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from pinnlab.optimizers.adam_updates import AdamState, is_pure

OPTIONS = [
    {},
    {"amsgrad": True, "weight_decay": 0.1},
    {"maximize": True, "betas": (0.8, 0.9), "eps": 1e-6},
]
KINDS = [torch.optim.Adam, torch.optim.AdamW]


def trained(kind, **options):
    """An optimizer after two steps, with two groups and a parameter that nothing depends on; names of parameters."""
    torch.manual_seed(0)
    shapes = {"a": (3, 4), "b": (4,), "c": (2,), "unused": (5,)}
    named = {name: torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for name, shape in shapes.items()}
    rest = [named[name] for name in ("b", "c", "unused")]
    groups = [{"params": [named["a"]]}, {"params": rest, "lr": 0.02}]
    optimizer = kind(groups, lr=0.1, fused=True, **options)
    for _ in range(2):
        step(optimizer, named)
    return optimizer, named


def gradients(tensors, inputs):
    """Of some function of a, b and c, in another layout than that of a."""
    a, b, c = (tensors[name].detach() for name in "abc")
    x = inputs["points"]
    return {"a": (a * x).T.contiguous().T.sin(), "b": b.cos() * a.sum(), "c": c * b.sum(), "unused": None}


def sines(tensors, inputs):
    """Of a function of a alone, laid out anew."""
    return {"a": tensors["a"].detach().sin().contiguous()}


POINTS = {"points": torch.linspace(0, 1, 4, dtype=torch.float64)}


def step(optimizer, named, inputs=POINTS):
    for name, gradient in gradients(named, inputs).items():
        named[name].grad = None if gradient is None else gradient.contiguous()
    optimizer.step()


def everything(optimizer, named):
    state = {f"{n} {k}": v for n, p in named.items() for k, v in optimizer.state[p].items()}
    return {name: tensor.detach().clone() for name, tensor in {**named, **state}.items()}


def names_of(named):
    return {parameter: name for name, parameter in named.items()}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_steps_of_the_optimizer(kind, options):
    optimizer, named = trained(kind, **options)
    before = everything(optimizer, named)
    state = AdamState(optimizer, names_of(named))
    after = state.rule.after(3, gradients, {**named, **state.tensors()}, POINTS)
    assert all(torch.equal(before[name], now) for name, now in everything(optimizer, named).items())  # nothing moved
    state.take(after)
    found = everything(optimizer, named)
    other, same = trained(kind, **options)
    for _ in range(3):
        step(other, same)
    expected = everything(other, same)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    step(optimizer, named)
    step(other, same)  # they go on alike
    assert all(torch.equal(named[name], same[name]) for name in named)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_that_is_not_finite_is_not_made(kind):
    optimizer, named = trained(kind)
    before = everything(optimizer, named)
    state = AdamState(optimizer, names_of(named))
    bad = {"points": torch.tensor([0.0, 1.0, torch.inf, 0.0], dtype=torch.float64)}
    state.take(state.rule.after(2, gradients, {**named, **state.tensors()}, bad))
    assert all(torch.equal(before[name], now) for name, now in everything(optimizer, named).items())


def test_the_host_does_not_wait_for_them():
    optimizer, named = trained(torch.optim.Adam)
    state = AdamState(optimizer, names_of(named))
    tensors = {**named, **state.tensors()}
    expected = state.rule.after(3, gradients, tensors, POINTS)
    with card() as device:
        there = {name: tensor.detach().to(device) for name, tensor in tensors.items()}
        points = {name: rows.to(device) for name, rows in POINTS.items()}
        WAITS.clear()
        found = state.rule.after(3, gradients, there, points)
        assert not WAITS.seen
        assert all(tensor.device == device for tensor in found.values())
        for name, value in expected.items():
            torch.testing.assert_close(found[name].cpu(), value, rtol=1e-13, atol=0)


def test_rules_are_equal_as_long_as_they_do_the_same():
    optimizer, named = trained(torch.optim.Adam)
    first = AdamState(optimizer, names_of(named)).rule
    step(optimizer, named)
    assert AdamState(optimizer, names_of(named)).rule == first
    optimizer.param_groups[1]["lr"] = 0.03
    assert AdamState(optimizer, names_of(named)).rule != first


def test_gradients_depend_on_no_state_of_the_optimizer():
    """Else its tensors would be arguments of the loss, which would be compiled anew for them."""
    optimizer, named = trained(torch.optim.Adam)
    state, seen = AdamState(optimizer, names_of(named)), set()

    def watched(tensors, inputs):
        seen.update(tensors)
        return gradients(tensors, inputs)

    state.rule.after(2, watched, {**named, **state.tensors(), "factors": torch.ones(1)}, POINTS)
    assert seen == {*named, "factors"}


def test_a_parameter_that_is_not_trained_now_stays():
    optimizer, named = trained(torch.optim.Adam)
    named["b"].requires_grad_(False)
    before = everything(optimizer, named)
    state = AdamState(optimizer, names_of(named))
    state.take(state.rule.after(2, gradients, {**named, **state.tensors()}, POINTS))
    moved = {name for name, now in everything(optimizer, named).items() if not torch.equal(before[name], now)}
    assert {"a", "c"} <= moved
    assert not any(name.startswith("b") for name in moved)


def test_parameters_keep_their_layout():
    """The kernel goes through the memory of parameter and gradient in one order."""
    weight = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    turned, plain = torch.nn.Parameter(weight.T), torch.nn.Parameter(weight.T.contiguous())
    results = []
    for parameter in (turned, plain):
        optimizer = torch.optim.Adam([parameter], lr=0.1, fused=True)
        parameter.grad = torch.empty_like(parameter).copy_(parameter.detach().sin())
        optimizer.step()
        state = AdamState(optimizer, {parameter: "a"})
        state.take(state.rule.after(3, sines, {"a": parameter, **state.tensors()}, POINTS))
        results.append(parameter.detach())
    assert turned.stride() != plain.stride()
    torch.testing.assert_close(*results, rtol=1e-14, atol=0)


def test_what_they_can_be_made_for():
    optimizer, named = trained(torch.optim.AdamW)
    assert is_pure(optimizer)
    hooks = (
        lambda: named["a"].register_hook(lambda gradient: None),
        lambda: named["a"].register_post_accumulate_grad_hook(lambda p: None),
        lambda: optimizer.register_step_pre_hook(lambda *unused: None),
        lambda: optimizer.register_step_post_hook(lambda *unused: None),
        lambda: register_optimizer_step_pre_hook(lambda *unused: None),
        lambda: register_optimizer_step_post_hook(lambda *unused: None),
    )
    for register in hooks:
        handle = register()
        assert not is_pure(optimizer)
        handle.remove()
    assert is_pure(optimizer)


@pytest.mark.parametrize(
    "kind",
    [
        torch.optim.Adam,
        functools.partial(torch.optim.Adam, fused=True, lr=torch.tensor(0.1)),
        functools.partial(torch.optim.SGD, lr=0.1, fused=True),
        torch.optim.NAdam,
    ],
)
def test_what_they_cannot_be_made_for(kind):
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = kind([p])
    p.grad = torch.ones(2)
    optimizer.step()
    assert not is_pure(optimizer)


def test_the_first_step_is_the_optimizers():
    assert not is_pure(torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], fused=True))
