"""Updates of Adam as a pure computation are the steps of torch's optimizer."""

import functools

import pytest
import torch
from card import WAITS, card

from pinnlab.optimizers.adam_updates import AdamUpdates, is_pure

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
    updates = AdamUpdates(optimizer, names_of(named))
    after = updates.after(3, gradients, {**named, **updates.tensors()}, POINTS)
    assert all(torch.equal(before[name], now) for name, now in everything(optimizer, named).items())  # nothing moved
    updates.take(after)
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
    updates = AdamUpdates(optimizer, names_of(named))
    bad = {"points": torch.tensor([0.0, 1.0, torch.inf, 0.0], dtype=torch.float64)}
    updates.take(updates.after(2, gradients, {**named, **updates.tensors()}, bad))
    assert all(torch.equal(before[name], now) for name, now in everything(optimizer, named).items())


def test_the_host_does_not_wait_for_them():
    optimizer, named = trained(torch.optim.Adam)
    updates = AdamUpdates(optimizer, names_of(named))
    tensors = {**named, **updates.tensors()}
    expected = updates.after(3, gradients, tensors, POINTS)
    with card() as device:
        there = {name: tensor.detach().to(device) for name, tensor in tensors.items()}
        points = {name: rows.to(device) for name, rows in POINTS.items()}
        WAITS.clear()
        found = updates.after(3, gradients, there, points)
        assert not WAITS.seen
        assert all(tensor.device == device for tensor in found.values())
        for name, value in expected.items():
            torch.testing.assert_close(found[name].cpu(), value, rtol=1e-13, atol=0)


def test_numbers_tell_one_computation_from_another():
    optimizer, named = trained(torch.optim.Adam)
    first = AdamUpdates(optimizer, names_of(named)).numbers
    step(optimizer, named)
    assert AdamUpdates(optimizer, names_of(named)).numbers == first
    optimizer.param_groups[1]["lr"] = 0.03
    assert AdamUpdates(optimizer, names_of(named)).numbers != first


def test_what_they_can_be_made_for():
    optimizer, named = trained(torch.optim.AdamW)
    assert is_pure(optimizer)
    hooks = (
        lambda: named["a"].register_hook(lambda gradient: None),
        lambda: named["a"].register_post_accumulate_grad_hook(lambda p: None),
        lambda: optimizer.register_step_pre_hook(lambda *unused: None),
        lambda: optimizer.register_step_post_hook(lambda *unused: None),
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
