from __future__ import annotations

import pytest
import torch
from torch import nn

from pinnlab.optimizers import LBFGS, is_multi_eval, objective_changed, prefer_fused


def parameter():
    return nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))


def step(optimizer, x):
    def closure():
        optimizer.zero_grad()
        loss = (x**4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(LBFGS, True), (torch.optim.LBFGS, True), (torch.optim.Adam, False), (torch.optim.SGD, False)],
)
def test_is_multi_eval(kind, expected):
    assert is_multi_eval(kind([parameter()])) is expected


def test_ours_decides_itself():
    x = parameter()
    optimizer = LBFGS([x])
    step(optimizer, x)
    evaluations = optimizer.evaluations
    objective_changed(optimizer)
    assert set(optimizer.state[x]) == {"evaluations", "search"}
    assert optimizer.evaluations == evaluations


def test_torch_lbfgs_forgets_all_but_its_counter():
    x = parameter()
    optimizer = torch.optim.LBFGS([x], max_iter=3)
    step(optimizer, x)
    evaluations = optimizer.state[x]["func_evals"]
    objective_changed(optimizer)
    assert optimizer.state[x] == {"func_evals": evaluations}
    step(optimizer, x)
    assert optimizer.state[x]["func_evals"] > evaluations


def test_moments_of_first_order_optimizers_stay():
    x = parameter()
    optimizer = torch.optim.Adam([x])
    step(optimizer, x)
    before = optimizer.state[x]["exp_avg"].clone()
    objective_changed(optimizer)
    assert torch.equal(optimizer.state[x]["exp_avg"], before)


@pytest.mark.parametrize(
    "options", [{}, {"amsgrad": True, "weight_decay": 0.1}, {"maximize": True, "betas": (0.8, 0.9)}]
)
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_is_fused_and_makes_the_same_steps(kind, options):
    parameters = [torch.nn.Parameter(torch.linspace(-1, 1, 35, dtype=torch.float64).reshape(5, 7)) for _ in range(2)]
    plain, fused = (kind([p], lr=0.1, **options) for p in parameters)
    prefer_fused(fused)
    assert [o.param_groups[0]["fused"] for o in (plain, fused)] == [None, True]
    for _ in range(20):
        for p in parameters:
            p.grad = p.detach().sin()
        plain.step()
        fused.step()
    torch.testing.assert_close(*parameters, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_is_not_fused_where_the_user_chose_or_the_kernel_cannot(kind):
    parameter = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.float64))
    for choice in ("foreach", "capturable", "differentiable"):
        chosen = kind([parameter], **{choice: True})
        prefer_fused(chosen)
        assert not chosen.param_groups[0]["fused"]
    elsewhere, turned = kind([parameter]), kind([torch.nn.Parameter(parameter.detach().T)])
    prefer_fused(elsewhere, ["cuda"])
    prefer_fused(turned)
    assert elsewhere.param_groups[0]["fused"] is turned.param_groups[0]["fused"] is None
    other = torch.optim.SGD([parameter], lr=0.1)
    prefer_fused(other)
    assert not other.param_groups[0]["fused"]
